CREATE INDEX reservations_customer ON reservations (customer, id);
DROP INDEX reservations_of_customer_in_state;
DROP INDEX reservations_in_state;
