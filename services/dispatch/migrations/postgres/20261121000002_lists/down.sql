DROP INDEX hails_all;
DROP INDEX hails_customer_newest;
