-- Fares that customers owe; start codes; what staff did.
ALTER TABLE hails ADD COLUMN start_code text NOT NULL DEFAULT '';
ALTER TABLE hails ADD COLUMN drive_sequence bigint NOT NULL DEFAULT 0;
ALTER TABLE hails ADD COLUMN fare_owed boolean NOT NULL DEFAULT false;
ALTER TABLE hails ADD COLUMN fare_sequence bigint NOT NULL DEFAULT 0;
ALTER TABLE hails ADD COLUMN is_open boolean NOT NULL DEFAULT false;
ALTER TABLE hails ADD COLUMN intervened_by text;
ALTER TABLE hails ADD COLUMN intervention_reason text;
ALTER TABLE hails ADD COLUMN intervened_at bigint;
UPDATE hails SET is_open = true WHERE state IN ('requested', 'allocated', 'cancelling', 'under_way');
-- What a customer may have one of.
CREATE INDEX hails_open ON hails (customer) WHERE is_open;
CREATE INDEX hails_owed ON hails (customer) WHERE fare_owed;
