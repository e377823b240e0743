-- What staff did.
ALTER TABLE orders ADD COLUMN intervened_by text;
ALTER TABLE orders ADD COLUMN intervention_reason text;
ALTER TABLE orders ADD COLUMN intervened_at timestamptz;
