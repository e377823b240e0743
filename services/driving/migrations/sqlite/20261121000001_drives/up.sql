-- Drives. Where nothing but a cancellation was heard of, the customer and what belongs to the hail are empty.
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
-- What a driver looks through for the nearest: a band of latitude is read, and cut to longitudes within the index.
CREATE INDEX drives_offered ON drives (latitude, longitude) WHERE is_offered;
CREATE INDEX drives_driver ON drives (driver, id) WHERE driver IS NOT NULL;

-- Who declined an offered drive.
CREATE TABLE declined (
    drive blob NOT NULL,
    driver text NOT NULL,
    PRIMARY KEY (drive, driver)
);
CREATE INDEX declined_driver ON declined (driver);
