-- Customers' requests for a ride.
CREATE TABLE hails (
    id blob PRIMARY KEY NOT NULL,
    version bigint NOT NULL,
    customer text NOT NULL,
    pickup text NOT NULL,
    pickup_latitude double NOT NULL,
    pickup_longitude double NOT NULL,
    destination text NOT NULL,
    destination_latitude double,
    destination_longitude double,
    payment_method text NOT NULL,
    state text NOT NULL,
    cause text NOT NULL,
    drive blob,
    driver text,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL
);
CREATE INDEX hails_customer ON hails (customer, id);
