-- Taxi rides as their customers see them. The fields of a context are null until its first event is received.
CREATE TABLE taxi_rides (
    id blob PRIMARY KEY NOT NULL,
    version bigint NOT NULL,
    customer text,
    pickup text,
    pickup_latitude double,
    pickup_longitude double,
    destination text,
    destination_latitude double,
    destination_longitude double,
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
    hailed_at bigint,
    started_at bigint,
    finished_at bigint,
    cancelled_at bigint
);
CREATE INDEX taxi_rides_customer ON taxi_rides (customer, hailed_at, id);
