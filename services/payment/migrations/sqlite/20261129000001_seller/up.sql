-- The context of the seller. Empty in payments that are older than this column or were written by an older replica.
ALTER TABLE payments ADD COLUMN seller text NOT NULL DEFAULT '';
