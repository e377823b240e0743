-- The payments of purchases. `customer` and the amount are null if only a cancellation was received so far.
CREATE TABLE payments (
    id blob PRIMARY KEY NOT NULL,
    version bigint NOT NULL,
    wake_at bigint,
    purchase blob NOT NULL,
    customer text,
    amount_minor bigint,
    currency text,
    reference text,
    state text NOT NULL,
    refunded boolean NOT NULL,
    refusal text NOT NULL,
    charge integer NOT NULL,
    attempt integer NOT NULL,
    method text NOT NULL,
    voided boolean NOT NULL,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL
);
CREATE INDEX payments_wake_at ON payments (wake_at) WHERE wake_at IS NOT NULL;
CREATE INDEX payments_customer ON payments (customer, id);
CREATE INDEX payments_purchase ON payments (purchase);
