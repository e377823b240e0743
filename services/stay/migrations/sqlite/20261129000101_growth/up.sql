-- Stays in a state are listed: all, and a customer's own.
CREATE INDEX stays_in_state ON stays (state, created_at, id);
CREATE INDEX stays_of_customer_in_state ON stays (customer, state, created_at, id);
