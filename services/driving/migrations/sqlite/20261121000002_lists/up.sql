-- Drives are listed newest first: a driver's own, and all.
DROP INDEX drives_driver;
CREATE INDEX drives_driver ON drives (driver, created_at, id) WHERE driver IS NOT NULL;
CREATE INDEX drives_all ON drives (created_at, id);
