-- An insurance cover for a reservation.
CREATE TABLE covers (
    id blob PRIMARY KEY NOT NULL,
    version bigint NOT NULL,
    customer text NOT NULL,
    state text NOT NULL
);
