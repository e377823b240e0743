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

-- The stock that each order took or requested. A command reads only the rows of its orders, so the size of the table
-- does not matter.
CREATE TABLE takings (
    product_id blob NOT NULL,
    order_id blob NOT NULL,
    quantity integer NOT NULL,
    state text NOT NULL,
    PRIMARY KEY (product_id, order_id)
);
