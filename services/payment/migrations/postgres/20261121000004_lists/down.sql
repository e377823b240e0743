DROP INDEX payments_all;
DROP INDEX payments_customer;
CREATE INDEX payments_customer ON payments (customer, id);
