-- The fields of the stay are null if only the end of the stay was received so far. Dates are ISO 8601.
CREATE TABLE vouchers (
    id blob PRIMARY KEY NOT NULL,
    version bigint NOT NULL,
    stay_id blob NOT NULL,
    code text,
    customer text,
    resort_id blob,
    resort_name text,
    start_date text,
    end_date text,
    begins_at bigint,
    ends_at bigint,
    state text NOT NULL,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL
);
CREATE UNIQUE INDEX vouchers_code ON vouchers (code);
CREATE INDEX vouchers_customer ON vouchers (customer, created_at, id);
CREATE INDEX vouchers_created_at ON vouchers (created_at, id);
CREATE INDEX vouchers_stay ON vouchers (stay_id);
