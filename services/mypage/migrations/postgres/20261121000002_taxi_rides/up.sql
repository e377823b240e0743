-- Taxi rides as their customers see them. The fields of a context are null until its first event is received.
CREATE TABLE taxi_rides (
    id uuid PRIMARY KEY,
    version bigint NOT NULL,
    customer text,
    pickup text,
    pickup_latitude double precision,
    pickup_longitude double precision,
    destination text,
    destination_latitude double precision,
    destination_longitude double precision,
    hail_sequence bigint NOT NULL,
    hail_state integer NOT NULL,
    drive text,
    driver text,
    drive_sequence bigint NOT NULL,
    drive_state integer NOT NULL,
    fare_minor bigint,
    currency text,
    payment text,
    payment_sequence bigint NOT NULL,
    payment_state integer NOT NULL,
    hailed_at timestamptz,
    started_at timestamptz,
    finished_at timestamptz,
    cancelled_at timestamptz
);
CREATE INDEX taxi_rides_customer ON taxi_rides (customer, hailed_at, id);
