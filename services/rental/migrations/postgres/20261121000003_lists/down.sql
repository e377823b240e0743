DROP INDEX reservations_all;
DROP INDEX reservations_customer_newest;
