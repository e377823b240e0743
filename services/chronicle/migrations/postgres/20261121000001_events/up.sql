-- Every event, numbered in the order in which it was received.
CREATE TABLE events (
    position bigserial PRIMARY KEY,
    event_id uuid NOT NULL UNIQUE,
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
CREATE INDEX events_correlation ON events (correlation_id, position);
CREATE INDEX events_kind ON events (kind, position);
