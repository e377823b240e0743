DROP INDEX stays_of_customer_in_state;
DROP INDEX stays_in_state;
