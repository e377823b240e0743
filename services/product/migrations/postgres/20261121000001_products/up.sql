CREATE TABLE products (
    id uuid PRIMARY KEY,
    version bigint NOT NULL,
    name text NOT NULL,
    price_minor bigint NOT NULL,
    currency text NOT NULL,
    stock bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);

-- What orders took, or wanted. Only those that a command is about are read, so how many there are does not matter.
CREATE TABLE takings (
    product_id uuid NOT NULL,
    order_id uuid NOT NULL,
    quantity integer NOT NULL,
    state text NOT NULL,
    PRIMARY KEY (product_id, order_id)
);
