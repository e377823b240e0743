-- Drives. If only a cancellation was received so far, the customer and the fields of the hail are empty.
CREATE TABLE drives (
    id blob PRIMARY KEY NOT NULL,
    version bigint NOT NULL,
    wake_at bigint,
    hail blob NOT NULL,
    customer text NOT NULL,
    pickup text NOT NULL,
    latitude double NOT NULL,
    longitude double NOT NULL,
    destination text NOT NULL,
    destination_latitude double,
    destination_longitude double,
    payment_method text NOT NULL,
    state text NOT NULL,
    is_offered boolean NOT NULL,
    driver text,
    fare_minor bigint,
    currency text,
    fare_state text NOT NULL,
    attempt integer NOT NULL,
    payment blob,
    created_at bigint NOT NULL,
    accepted_at bigint,
    started_at bigint,
    finished_at bigint,
    updated_at bigint NOT NULL,
    last_event blob
);
CREATE INDEX drives_wake_at ON drives (wake_at) WHERE wake_at IS NOT NULL;
-- For the search of the nearest offers: the index is read for a band of latitude and filtered by longitude.
CREATE INDEX drives_offered ON drives (latitude, longitude) WHERE is_offered;
CREATE INDEX drives_driver ON drives (driver, id) WHERE driver IS NOT NULL;

-- The drivers who declined an offered drive.
CREATE TABLE declined (
    drive blob NOT NULL,
    driver text NOT NULL,
    PRIMARY KEY (drive, driver)
);
CREATE INDEX declined_driver ON declined (driver);
