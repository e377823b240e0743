-- The owners of bikes.
ALTER TABLE bikes ADD COLUMN owner text NOT NULL DEFAULT '';
