-- Reservations in a state are listed: all, and a customer's own.
CREATE INDEX reservations_in_state ON reservations (state, created_at, id);
CREATE INDEX reservations_of_customer_in_state ON reservations (customer, state, created_at, id);
-- Since they are listed by time, nothing has used this.
DROP INDEX reservations_customer;
