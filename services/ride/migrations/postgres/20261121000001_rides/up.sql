CREATE TABLE riders (
    id uuid PRIMARY KEY,
    version bigint NOT NULL,
    wake_at timestamptz,
    customer text NOT NULL
);
CREATE INDEX riders_wake_at ON riders (wake_at) WHERE wake_at IS NOT NULL;

CREATE TABLE rides (
    id uuid PRIMARY KEY,
    rider uuid NOT NULL,
    customer text NOT NULL,
    bike uuid NOT NULL,
    bike_name text NOT NULL,
    from_place text NOT NULL,
    from_latitude double precision,
    from_longitude double precision,
    to_place text,
    to_latitude double precision,
    to_longitude double precision,
    state text NOT NULL,
    is_open boolean NOT NULL,
    is_known boolean NOT NULL,
    until timestamptz,
    started_at timestamptz NOT NULL,
    ended_at timestamptz,
    updated_at timestamptz NOT NULL,
    last_event uuid
);
CREATE INDEX rides_open ON rides (rider) WHERE is_open;
CREATE INDEX rides_listed ON rides (started_at, id) WHERE is_known;
CREATE INDEX rides_of_customer ON rides (customer, started_at, id) WHERE is_known;

-- The state of each bill that is or was in arrears.
CREATE TABLE bills (
    id uuid PRIMARY KEY,
    rider uuid NOT NULL,
    in_arrears boolean NOT NULL,
    sequence bigint NOT NULL
);
CREATE INDEX bills_in_arrears ON bills (rider) WHERE in_arrears;
