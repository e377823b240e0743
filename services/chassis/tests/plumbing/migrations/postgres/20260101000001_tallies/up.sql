CREATE TABLE tallies (
    id uuid PRIMARY KEY,
    version bigint NOT NULL,
    wake_at timestamptz,
    last_event uuid,
    count bigint NOT NULL
);
CREATE TABLE seen (name text PRIMARY KEY, times bigint NOT NULL);
