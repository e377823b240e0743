CREATE INDEX payments_purchase ON payments (purchase);
DROP INDEX payments_of_purchase;
CREATE INDEX payments_all ON payments (created_at, id);
DROP INDEX payments_listed;
