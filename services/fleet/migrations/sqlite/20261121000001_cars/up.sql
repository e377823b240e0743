CREATE TABLE cars (
    id blob PRIMARY KEY NOT NULL,
    version bigint NOT NULL,
    model text NOT NULL,
    place_name text NOT NULL,
    latitude double,
    longitude double,
    daily_rate_minor bigint NOT NULL,
    currency text NOT NULL,
    status text NOT NULL,
    stars_sum bigint NOT NULL,
    rating_count bigint NOT NULL,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL
);
CREATE INDEX cars_status ON cars (status, id);
CREATE INDEX cars_place ON cars (place_name, id);
CREATE INDEX cars_rate ON cars (currency, daily_rate_minor);

-- Reservations and rentals of the cars, from the events of `rental`.
CREATE TABLE engagements (
    reservation_id blob PRIMARY KEY NOT NULL,
    car_id blob NOT NULL,
    start_at bigint NOT NULL,
    end_at bigint NOT NULL,
    state text NOT NULL,
    is_open boolean NOT NULL,
    sequence bigint NOT NULL,
    rated boolean NOT NULL
);
CREATE INDEX engagements_open ON engagements (car_id, start_at) WHERE is_open;
