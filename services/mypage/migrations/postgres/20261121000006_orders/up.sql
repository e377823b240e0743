-- Orders as their customers see them. The fields of a context are null until its first event is received.
CREATE TABLE orders (
    id uuid PRIMARY KEY,
    version bigint NOT NULL,
    customer text,
    product text,
    product_name text,
    quantity integer NOT NULL,
    price_minor bigint,
    currency text,
    address text,
    order_sequence bigint NOT NULL,
    order_state integer NOT NULL,
    cause integer NOT NULL,
    payment text,
    payment_sequence bigint NOT NULL,
    payment_state integer NOT NULL,
    delivery text,
    delivery_sequence bigint NOT NULL,
    delivery_state integer NOT NULL,
    ordered_at timestamptz,
    started_at timestamptz,
    completed_at timestamptz,
    cancelled_at timestamptz
);
CREATE INDEX orders_customer ON orders (customer, ordered_at, id);
CREATE INDEX orders_all ON orders (ordered_at, id);
