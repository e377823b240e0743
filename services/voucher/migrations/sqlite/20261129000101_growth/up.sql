-- Only vouchers of known customers are listed: all, those in a state, a customer's own in a state or for a stay.
CREATE INDEX vouchers_listed ON vouchers (created_at, id) WHERE customer IS NOT NULL;
DROP INDEX vouchers_created_at;
CREATE INDEX vouchers_in_state ON vouchers (state, created_at, id) WHERE customer IS NOT NULL;
CREATE INDEX vouchers_of_customer_in_state ON vouchers (customer, state, created_at, id)
    WHERE customer IS NOT NULL;
CREATE INDEX vouchers_of_stay ON vouchers (stay_id, customer, created_at, id);
DROP INDEX vouchers_stay;
