-- Since hails are listed by time, nothing has used this.
DROP INDEX hails_customer;
