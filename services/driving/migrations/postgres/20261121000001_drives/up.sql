-- Drives. If only a cancellation was received so far, the customer and the fields of the hail are empty.
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
-- For the search of the nearest offers: the index is read for a band of latitude and filtered by longitude.
CREATE INDEX drives_offered ON drives (latitude, longitude) WHERE is_offered;
CREATE INDEX drives_driver ON drives (driver, id) WHERE driver IS NOT NULL;

-- The drivers who declined an offered drive.
CREATE TABLE declined (
    drive uuid NOT NULL,
    driver text NOT NULL,
    PRIMARY KEY (drive, driver)
);
CREATE INDEX declined_driver ON declined (driver);
