-- Drives. Where nothing but a cancellation was heard of, the customer and what belongs to the hail are empty.
CREATE TABLE drives (
    id uuid PRIMARY KEY,
    version bigint NOT NULL,
    wake_at timestamptz,
    hail uuid NOT NULL,
    customer text NOT NULL,
    pickup text NOT NULL,
    latitude double precision NOT NULL,
    longitude double precision NOT NULL,
    destination text NOT NULL,
    destination_latitude double precision,
    destination_longitude double precision,
    payment_method text NOT NULL,
    state text NOT NULL,
    is_offered boolean NOT NULL,
    driver text,
    fare_minor bigint,
    currency text,
    fare_state text NOT NULL,
    attempt integer NOT NULL,
    payment uuid,
    created_at timestamptz NOT NULL,
    accepted_at timestamptz,
    started_at timestamptz,
    finished_at timestamptz,
    updated_at timestamptz NOT NULL,
    last_event uuid
);
CREATE INDEX drives_wake_at ON drives (wake_at) WHERE wake_at IS NOT NULL;
-- What a driver looks through for the nearest: a band of latitude is read, and cut to longitudes within the index.
CREATE INDEX drives_offered ON drives (latitude, longitude) WHERE is_offered;
CREATE INDEX drives_driver ON drives (driver, id) WHERE driver IS NOT NULL;

-- Who declined an offered drive.
CREATE TABLE declined (
    drive uuid NOT NULL,
    driver text NOT NULL,
    PRIMARY KEY (drive, driver)
);
CREATE INDEX declined_driver ON declined (driver);
