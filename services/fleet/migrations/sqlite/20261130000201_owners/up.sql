-- Owners and number plates.
ALTER TABLE cars ADD COLUMN owner text NOT NULL DEFAULT '';
ALTER TABLE cars ADD COLUMN plate text NOT NULL DEFAULT '';
