-- What is paid for was used up before it is paid: there is nothing to take back.
ALTER TABLE payments ADD COLUMN used boolean NOT NULL DEFAULT false;
