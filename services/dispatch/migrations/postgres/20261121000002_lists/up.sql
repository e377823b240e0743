-- Hails are listed newest first: a customer's own, and all.
CREATE INDEX hails_customer_newest ON hails (customer, created_at, id);
CREATE INDEX hails_all ON hails (created_at, id);
