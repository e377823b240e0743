DROP INDEX drives_all;
DROP INDEX drives_driver;
CREATE INDEX drives_driver ON drives (driver, id) WHERE driver IS NOT NULL;
