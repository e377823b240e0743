-- Only payments of known customers are listed. A customer also lists their own for a purchase.
CREATE INDEX payments_listed ON payments (created_at, id) WHERE customer IS NOT NULL;
DROP INDEX payments_all;
CREATE INDEX payments_of_purchase ON payments (purchase, customer, created_at, id);
DROP INDEX payments_purchase;
