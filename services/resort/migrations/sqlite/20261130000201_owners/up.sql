-- The owners of resorts.
ALTER TABLE resorts ADD COLUMN owner text NOT NULL DEFAULT '';
