-- The outbox: events that are not yet published. A row is deleted when the bus has confirmed it.
CREATE TABLE outbox (
    seq integer PRIMARY KEY AUTOINCREMENT NOT NULL,
    event_id blob NOT NULL,
    kind text NOT NULL,
    source text NOT NULL,
    subject text NOT NULL,
    at bigint NOT NULL,
    correlation_id blob NOT NULL,
    causation_id blob,
    sequence bigint NOT NULL,
    traceparent text,
    body blob NOT NULL
);

-- The inbox: what was processed, by the idempotency key of a request (with its response) or the id of an event. Written
-- in the transaction of the effect.
CREATE TABLE done (
    key blob PRIMARY KEY NOT NULL,
    fingerprint blob NOT NULL,
    answer blob NOT NULL,
    at bigint NOT NULL
) WITHOUT ROWID;
CREATE INDEX done_at ON done (at);

-- Dead letters: events that could not be handled.
CREATE TABLE dead (
    event_id blob PRIMARY KEY NOT NULL,
    kind text NOT NULL,
    source text NOT NULL,
    subject text NOT NULL,
    at bigint NOT NULL,
    correlation_id blob NOT NULL,
    causation_id blob,
    sequence bigint NOT NULL,
    traceparent text,
    body blob NOT NULL,
    reason text NOT NULL,
    dead_at bigint NOT NULL
);
CREATE INDEX dead_dead_at ON dead (dead_at);
