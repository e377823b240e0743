-- Erasures of people until they have ended. `swept` is set after the first of two passes through the tables.
CREATE TABLE erasures (
    subject text PRIMARY KEY NOT NULL,
    pseudonym text NOT NULL,
    at bigint NOT NULL,
    swept boolean NOT NULL
);
