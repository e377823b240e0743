CREATE TABLE bills (
    id blob PRIMARY KEY NOT NULL,
    version bigint NOT NULL,
    ride blob NOT NULL,
    customer text NOT NULL,
    state text NOT NULL,
    minutes integer NOT NULL,
    fee_minor bigint,
    currency text,
    started_at bigint NOT NULL,
    ended_at bigint,
    arrears_at bigint,
    closed_at bigint,
    updated_at bigint NOT NULL
);
CREATE INDEX bills_listed ON bills (started_at, id);
CREATE INDEX bills_in_state ON bills (state, started_at, id);
CREATE INDEX bills_of_customer ON bills (customer, started_at, id);
