-- Bike rides as their customers see them. The fields of a context are null until its first event is received.
CREATE TABLE bike_rides (
    id blob PRIMARY KEY NOT NULL,
    version bigint NOT NULL,
    customer text,
    bike text,
    bike_name text,
    from_place text,
    from_latitude double,
    from_longitude double,
    to_place text,
    to_latitude double,
    to_longitude double,
    ride_sequence bigint NOT NULL,
    ride_state integer NOT NULL,
    started_at bigint,
    ended_at bigint,
    bill text,
    bill_sequence bigint NOT NULL,
    bill_state integer NOT NULL,
    minutes integer NOT NULL,
    fee_minor bigint,
    currency text
);
CREATE INDEX bike_rides_customer ON bike_rides (customer, started_at, id);
CREATE INDEX bike_rides_all ON bike_rides (started_at, id);

-- The deposits and points of customers, from the events of `wallet`.
CREATE TABLE wallets (
    id blob PRIMARY KEY NOT NULL,
    version bigint NOT NULL,
    customer text,
    deposit_minor bigint NOT NULL,
    points bigint NOT NULL,
    arrears_minor bigint,
    currency text NOT NULL,
    sequence bigint NOT NULL,
    updated_at bigint
);
