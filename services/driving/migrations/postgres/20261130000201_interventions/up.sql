-- Staff who act in a driver's place; why a drive was cancelled; when one that a driver has is overdue; start codes.
ALTER TABLE drives
    ADD COLUMN start_code text NOT NULL DEFAULT '',
    ADD COLUMN cause text NOT NULL DEFAULT '',
    ADD COLUMN overdue_at timestamptz,
    ADD COLUMN intervened_by text,
    ADD COLUMN intervention_reason text,
    ADD COLUMN intervened_at timestamptz;
UPDATE drives SET cause = 'customer' WHERE state = 'cancelled';
UPDATE drives SET overdue_at = coalesce(started_at, accepted_at) + interval '3 hours'
    WHERE state IN ('accepted', 'started');
-- The drives under way, of which there are as many as drivers at most.
CREATE INDEX drives_under_way ON drives (driver) WHERE overdue_at IS NOT NULL;
CREATE INDEX drives_overdue ON drives (created_at, id) WHERE overdue_at IS NOT NULL;

-- Drivers who are on duty, or were.
CREATE TABLE shifts (
    id uuid PRIMARY KEY,
    version bigint NOT NULL,
    driver text NOT NULL,
    on_duty boolean NOT NULL,
    updated_at timestamptz NOT NULL
);
