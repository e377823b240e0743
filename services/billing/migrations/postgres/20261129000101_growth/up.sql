-- A customer lists their own bills in a state.
CREATE INDEX bills_of_customer_in_state ON bills (customer, state, started_at, id);
