-- Orders as their customers see them. The fields of a context are null until its first event is received.
CREATE TABLE orders (
    id blob PRIMARY KEY NOT NULL,
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
    ordered_at bigint,
    started_at bigint,
    completed_at bigint,
    cancelled_at bigint
);
CREATE INDEX orders_customer ON orders (customer, ordered_at, id);
CREATE INDEX orders_all ON orders (ordered_at, id);
