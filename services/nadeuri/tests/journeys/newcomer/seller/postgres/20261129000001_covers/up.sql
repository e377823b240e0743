-- An insurance cover for a reservation.
CREATE TABLE covers (
    id uuid PRIMARY KEY,
    version bigint NOT NULL,
    customer text NOT NULL,
    state text NOT NULL
);
