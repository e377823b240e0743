CREATE INDEX vouchers_stay ON vouchers (stay_id);
DROP INDEX vouchers_of_stay;
DROP INDEX vouchers_of_customer_in_state;
DROP INDEX vouchers_in_state;
CREATE INDEX vouchers_created_at ON vouchers (created_at, id);
DROP INDEX vouchers_listed;
