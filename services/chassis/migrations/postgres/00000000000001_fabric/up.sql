-- The outbox: events that are not yet published. A row is deleted when the bus has confirmed it.
CREATE TABLE outbox (
    seq bigserial PRIMARY KEY,
    event_id uuid NOT NULL,
    kind text NOT NULL,
    source text NOT NULL,
    subject text NOT NULL,
    at timestamptz NOT NULL,
    correlation_id uuid NOT NULL,
    causation_id uuid,
    sequence bigint NOT NULL,
    traceparent text,
    body bytea NOT NULL
);

-- The inbox: what was processed, by the idempotency key of a request (with its response) or the id of an event. Written
-- in the transaction of the effect.
CREATE TABLE done (
    key uuid PRIMARY KEY,
    fingerprint uuid NOT NULL,
    answer bytea NOT NULL,
    at timestamptz NOT NULL
);
CREATE INDEX done_at ON done (at);

-- Dead letters: events that could not be handled.
CREATE TABLE dead (
    event_id uuid PRIMARY KEY,
    kind text NOT NULL,
    source text NOT NULL,
    subject text NOT NULL,
    at timestamptz NOT NULL,
    correlation_id uuid NOT NULL,
    causation_id uuid,
    sequence bigint NOT NULL,
    traceparent text,
    body bytea NOT NULL,
    reason text NOT NULL,
    dead_at timestamptz NOT NULL
);
CREATE INDEX dead_dead_at ON dead (dead_at);
