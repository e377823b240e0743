-- A stamp for each car that was brought back.
CREATE TABLE stamps (
    reservation uuid PRIMARY KEY,
    customer text NOT NULL
);
