CREATE TABLE tallies (
    id blob PRIMARY KEY NOT NULL,
    version bigint NOT NULL,
    wake_at bigint,
    last_event blob,
    count bigint NOT NULL
) WITHOUT ROWID;
CREATE TABLE seen (name text PRIMARY KEY NOT NULL, times bigint NOT NULL) WITHOUT ROWID;
