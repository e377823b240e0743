-- The messages to customers, and whether they were delivered.
CREATE TABLE messages (
    id uuid PRIMARY KEY,
    version bigint NOT NULL,
    wake_at timestamptz,
    customer text NOT NULL,
    flow uuid NOT NULL,
    topic text NOT NULL,
    text text NOT NULL,
    state text NOT NULL,
    attempt integer NOT NULL,
    created_at timestamptz NOT NULL,
    delivered_at timestamptz
);
CREATE INDEX messages_wake_at ON messages (wake_at) WHERE wake_at IS NOT NULL;
CREATE INDEX messages_customer ON messages (customer, created_at, id);
CREATE INDEX messages_flow ON messages (flow);
