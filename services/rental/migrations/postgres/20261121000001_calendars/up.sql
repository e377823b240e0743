-- The calendar of a car, with the fields of the car that `rental` uses. The rate is null if only a removal was received
-- so far.
CREATE TABLE calendars (
    car_id uuid PRIMARY KEY,
    version bigint NOT NULL,
    wake_at timestamptz,
    daily_rate_minor bigint,
    currency text,
    retired boolean NOT NULL
);
CREATE INDEX calendars_wake_at ON calendars (wake_at) WHERE wake_at IS NOT NULL;

CREATE TABLE reservations (
    id uuid PRIMARY KEY,
    car_id uuid NOT NULL,
    customer text NOT NULL,
    start_at timestamptz NOT NULL,
    end_at timestamptz NOT NULL,
    days integer NOT NULL,
    price_minor bigint NOT NULL,
    currency text NOT NULL,
    state text NOT NULL,
    is_open boolean NOT NULL,
    cause text NOT NULL,
    expires_at timestamptz,
    stars integer NOT NULL,
    payment_id uuid,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
CREATE INDEX reservations_open ON reservations (car_id) WHERE is_open;
CREATE INDEX reservations_customer ON reservations (customer, id);
