CREATE TABLE riders (
    id blob PRIMARY KEY NOT NULL,
    version bigint NOT NULL,
    wake_at bigint,
    customer text NOT NULL
);
CREATE INDEX riders_wake_at ON riders (wake_at) WHERE wake_at IS NOT NULL;

CREATE TABLE rides (
    id blob PRIMARY KEY NOT NULL,
    rider blob NOT NULL,
    customer text NOT NULL,
    bike blob NOT NULL,
    bike_name text NOT NULL,
    from_place text NOT NULL,
    from_latitude double,
    from_longitude double,
    to_place text,
    to_latitude double,
    to_longitude double,
    state text NOT NULL,
    is_open boolean NOT NULL,
    is_known boolean NOT NULL,
    until bigint,
    started_at bigint NOT NULL,
    ended_at bigint,
    updated_at bigint NOT NULL,
    last_event blob
);
CREATE INDEX rides_open ON rides (rider) WHERE is_open;
CREATE INDEX rides_listed ON rides (started_at, id) WHERE is_known;
CREATE INDEX rides_of_customer ON rides (customer, started_at, id) WHERE is_known;

-- The state of each bill that is or was in arrears.
CREATE TABLE bills (
    id blob PRIMARY KEY NOT NULL,
    rider blob NOT NULL,
    in_arrears boolean NOT NULL,
    sequence bigint NOT NULL
);
CREATE INDEX bills_in_arrears ON bills (rider) WHERE in_arrears;
