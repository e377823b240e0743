-- Fares that customers owe; start codes; what staff did.
ALTER TABLE hails
    ADD COLUMN start_code text NOT NULL DEFAULT '',
    ADD COLUMN drive_sequence bigint NOT NULL DEFAULT 0,
    ADD COLUMN fare_owed boolean NOT NULL DEFAULT false,
    ADD COLUMN fare_sequence bigint NOT NULL DEFAULT 0,
    ADD COLUMN is_open boolean NOT NULL DEFAULT false,
    ADD COLUMN intervened_by text,
    ADD COLUMN intervention_reason text,
    ADD COLUMN intervened_at timestamptz;
UPDATE hails SET is_open = true WHERE state IN ('requested', 'allocated', 'cancelling', 'under_way');
-- What a customer may have one of.
CREATE INDEX hails_open ON hails (customer) WHERE is_open;
CREATE INDEX hails_owed ON hails (customer) WHERE fare_owed;
