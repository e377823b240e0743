-- A stamp for each car that was brought back.
CREATE TABLE stamps (
    reservation blob PRIMARY KEY NOT NULL,
    customer text NOT NULL
);
