CREATE TABLE washes (
    id blob PRIMARY KEY NOT NULL,
    version bigint NOT NULL,
    customer text NOT NULL,
    state text NOT NULL
);
