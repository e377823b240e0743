CREATE TABLE cars (
    id uuid PRIMARY KEY,
    version bigint NOT NULL,
    model text NOT NULL,
    place_name text NOT NULL,
    latitude double precision,
    longitude double precision,
    daily_rate_minor bigint NOT NULL,
    currency text NOT NULL,
    status text NOT NULL,
    stars_sum bigint NOT NULL,
    rating_count bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
CREATE INDEX cars_status ON cars (status, id);
CREATE INDEX cars_place ON cars (place_name, id);
CREATE INDEX cars_rate ON cars (currency, daily_rate_minor);

-- Reservations and rentals of the cars, from the events of `rental`.
CREATE TABLE engagements (
    reservation_id uuid PRIMARY KEY,
    car_id uuid NOT NULL,
    start_at timestamptz NOT NULL,
    end_at timestamptz NOT NULL,
    state text NOT NULL,
    is_open boolean NOT NULL,
    sequence bigint NOT NULL,
    rated boolean NOT NULL
);
CREATE INDEX engagements_open ON engagements (car_id, start_at) WHERE is_open;
