CREATE TABLE deliveries (
    id blob PRIMARY KEY NOT NULL,
    version bigint NOT NULL,
    order_id blob NOT NULL,
    customer text NOT NULL,
    product_name text NOT NULL,
    quantity integer NOT NULL,
    address text NOT NULL,
    state text NOT NULL,
    courier text,
    created_at bigint NOT NULL,
    started_at bigint,
    completed_at bigint,
    updated_at bigint NOT NULL
);
-- Couriers list unassigned deliveries and their own; admins list all.
CREATE INDEX deliveries_in_state ON deliveries (state, created_at, id);
CREATE INDEX deliveries_courier ON deliveries (courier, created_at, id) WHERE courier IS NOT NULL;
CREATE INDEX deliveries_all ON deliveries (created_at, id);
