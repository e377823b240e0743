CREATE INDEX hails_customer ON hails (customer, id);
