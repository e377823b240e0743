-- The messages to customers, and whether they were delivered.
CREATE TABLE messages (
    id blob PRIMARY KEY NOT NULL,
    version bigint NOT NULL,
    wake_at bigint,
    customer text NOT NULL,
    flow blob NOT NULL,
    topic text NOT NULL,
    text text NOT NULL,
    state text NOT NULL,
    attempt integer NOT NULL,
    created_at bigint NOT NULL,
    delivered_at bigint
);
CREATE INDEX messages_wake_at ON messages (wake_at) WHERE wake_at IS NOT NULL;
CREATE INDEX messages_customer ON messages (customer, created_at, id);
CREATE INDEX messages_flow ON messages (flow);
