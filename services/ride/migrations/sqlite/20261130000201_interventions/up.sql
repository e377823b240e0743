-- What staff did; the rides under way, from the newest on.
ALTER TABLE rides ADD COLUMN intervened_by text;
ALTER TABLE rides ADD COLUMN intervention_reason text;
ALTER TABLE rides ADD COLUMN intervened_at bigint;
CREATE INDEX rides_under_way ON rides (started_at, id) WHERE is_known AND is_open;
