-- A customer lists their own orders in a state.
CREATE INDEX orders_of_customer_in_state ON orders (customer, state, created_at, id) WHERE is_order;
