-- Customers' requests for a ride.
CREATE TABLE hails (
    id uuid PRIMARY KEY,
    version bigint NOT NULL,
    customer text NOT NULL,
    pickup text NOT NULL,
    pickup_latitude double precision NOT NULL,
    pickup_longitude double precision NOT NULL,
    destination text NOT NULL,
    destination_latitude double precision,
    destination_longitude double precision,
    payment_method text NOT NULL,
    state text NOT NULL,
    cause text NOT NULL,
    drive uuid,
    driver text,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
CREATE INDEX hails_customer ON hails (customer, id);
