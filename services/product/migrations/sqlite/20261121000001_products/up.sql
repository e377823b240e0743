CREATE TABLE products (
    id blob PRIMARY KEY NOT NULL,
    version bigint NOT NULL,
    name text NOT NULL,
    price_minor bigint NOT NULL,
    currency text NOT NULL,
    stock bigint NOT NULL,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL
);

-- What orders took, or wanted. Only those that a command is about are read, so how many there are does not matter.
CREATE TABLE takings (
    product_id blob NOT NULL,
    order_id blob NOT NULL,
    quantity integer NOT NULL,
    state text NOT NULL,
    PRIMARY KEY (product_id, order_id)
);
