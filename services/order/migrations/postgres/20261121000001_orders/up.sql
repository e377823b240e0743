CREATE TABLE orders (
    id uuid PRIMARY KEY,
    version bigint NOT NULL,
    wake_at timestamptz,
    product_id uuid NOT NULL,
    product_name text NOT NULL,
    quantity integer NOT NULL,
    customer text NOT NULL,
    price_minor bigint NOT NULL,
    currency text NOT NULL,
    address text NOT NULL,
    state text NOT NULL,
    -- It is or was paid. Only then customers see it.
    is_order boolean NOT NULL,
    cause text NOT NULL,
    expires_at timestamptz,
    payment_id uuid,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    -- The last published event. It is the cause of commands that a timer executes.
    last_event uuid
);
CREATE INDEX orders_wake_at ON orders (wake_at) WHERE wake_at IS NOT NULL;
CREATE INDEX orders_customer ON orders (customer, created_at, id) WHERE is_order;
CREATE INDEX orders_all ON orders (created_at, id) WHERE is_order;
CREATE INDEX orders_in_state ON orders (state, created_at, id) WHERE is_order;

-- The products, from the events of `product`.
CREATE TABLE offers (
    product_id uuid PRIMARY KEY,
    version bigint NOT NULL,
    name text NOT NULL,
    price_minor bigint NOT NULL,
    currency text NOT NULL,
    -- The sequence of the event that set this row.
    sequence bigint NOT NULL
);
