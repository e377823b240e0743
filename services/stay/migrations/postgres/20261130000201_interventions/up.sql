-- What staff did; what a customer has unpaid.
ALTER TABLE stays ADD COLUMN intervened_by text;
ALTER TABLE stays ADD COLUMN intervention_reason text;
ALTER TABLE stays ADD COLUMN intervened_at timestamptz;
CREATE INDEX stays_unpaid ON stays (customer) WHERE expires_at IS NOT NULL;
