CREATE TABLE bills (
    id uuid PRIMARY KEY,
    version bigint NOT NULL,
    ride uuid NOT NULL,
    customer text NOT NULL,
    state text NOT NULL,
    minutes integer NOT NULL,
    fee_minor bigint,
    currency text,
    started_at timestamptz NOT NULL,
    ended_at timestamptz,
    arrears_at timestamptz,
    closed_at timestamptz,
    updated_at timestamptz NOT NULL
);
CREATE INDEX bills_listed ON bills (started_at, id);
CREATE INDEX bills_in_state ON bills (state, started_at, id);
CREATE INDEX bills_of_customer ON bills (customer, started_at, id);
