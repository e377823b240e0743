-- The purchase was used before it was paid, so it cannot be cancelled.
ALTER TABLE payments ADD COLUMN used boolean NOT NULL DEFAULT false;
