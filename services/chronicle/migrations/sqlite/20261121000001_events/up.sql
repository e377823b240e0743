-- Every event, numbered in the order in which it was received.
CREATE TABLE events (
    position integer PRIMARY KEY AUTOINCREMENT NOT NULL,
    event_id blob NOT NULL UNIQUE,
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
CREATE INDEX events_correlation ON events (correlation_id, position);
CREATE INDEX events_kind ON events (kind, position);
