-- Payments are listed newest first: a customer's own, and all.
DROP INDEX payments_customer;
CREATE INDEX payments_customer ON payments (customer, created_at, id);
CREATE INDEX payments_all ON payments (created_at, id);
