-- What staff did.
ALTER TABLE rides ADD COLUMN intervened_by text;
ALTER TABLE rides ADD COLUMN intervention_reason text;
ALTER TABLE rides ADD COLUMN intervened_at timestamptz;
