-- Why a hail was cancelled, and what staff did.
ALTER TABLE taxi_rides ADD COLUMN cause integer NOT NULL DEFAULT 0;
ALTER TABLE taxi_rides ADD COLUMN intervened_by text;
ALTER TABLE taxi_rides ADD COLUMN intervention_reason text;
ALTER TABLE taxi_rides ADD COLUMN intervened_at timestamptz;
