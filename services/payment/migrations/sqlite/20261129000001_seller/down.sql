ALTER TABLE payments DROP COLUMN seller;
