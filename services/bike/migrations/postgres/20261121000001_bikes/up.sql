CREATE TABLE bikes (
    id uuid PRIMARY KEY,
    version bigint NOT NULL,
    name text NOT NULL,
    place text NOT NULL,
    latitude double precision NOT NULL,
    longitude double precision NOT NULL,
    state text NOT NULL,
    ride uuid,
    battery_percent integer NOT NULL,
    usable boolean NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
CREATE INDEX bikes_listed ON bikes (created_at, id);
CREATE INDEX bikes_in_state ON bikes (state, created_at, id);
CREATE INDEX bikes_available ON bikes (latitude, longitude) WHERE state = 'available';

-- The bike of each ride. A ride takes a bike only once.
CREATE TABLE takings (
    bike uuid NOT NULL,
    ride uuid NOT NULL,
    customer text NOT NULL,
    is_over boolean NOT NULL,
    PRIMARY KEY (bike, ride)
);
CREATE INDEX takings_open ON takings (bike) WHERE NOT is_over;
