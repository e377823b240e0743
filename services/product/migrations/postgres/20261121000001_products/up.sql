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

-- The stock that each order took or requested. A command reads only the rows of its orders, so the size of the table
-- does not matter.
CREATE TABLE takings (
    product_id uuid NOT NULL,
    order_id uuid NOT NULL,
    quantity integer NOT NULL,
    state text NOT NULL,
    PRIMARY KEY (product_id, order_id)
);
