CREATE TABLE orders (
    id blob PRIMARY KEY NOT NULL,
    version bigint NOT NULL,
    wake_at bigint,
    product_id blob NOT NULL,
    product_name text NOT NULL,
    quantity integer NOT NULL,
    customer text NOT NULL,
    price_minor bigint NOT NULL,
    currency text NOT NULL,
    address text NOT NULL,
    state text NOT NULL,
    -- It is paid, or was: customers see it.
    is_order boolean NOT NULL,
    cause text NOT NULL,
    expires_at bigint,
    payment_id blob,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    -- The last event that others know it by: the cause of what the passing of time brings.
    last_event blob
);
CREATE INDEX orders_wake_at ON orders (wake_at) WHERE wake_at IS NOT NULL;
CREATE INDEX orders_customer ON orders (customer, created_at, id) WHERE is_order;
CREATE INDEX orders_all ON orders (created_at, id) WHERE is_order;
CREATE INDEX orders_in_state ON orders (state, created_at, id) WHERE is_order;

-- What is known of the products, from the events of those who own them.
CREATE TABLE offers (
    product_id blob PRIMARY KEY NOT NULL,
    version bigint NOT NULL,
    name text NOT NULL,
    price_minor bigint NOT NULL,
    currency text NOT NULL,
    -- Of the event that said so.
    sequence bigint NOT NULL
);
