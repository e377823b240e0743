-- The fields of the stay are null if only the end of the stay was received so far. Dates are ISO 8601.
CREATE TABLE vouchers (
    id uuid PRIMARY KEY,
    version bigint NOT NULL,
    stay_id uuid NOT NULL,
    code text,
    customer text,
    resort_id uuid,
    resort_name text,
    start_date text,
    end_date text,
    begins_at timestamptz,
    ends_at timestamptz,
    state text NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
CREATE UNIQUE INDEX vouchers_code ON vouchers (code);
CREATE INDEX vouchers_customer ON vouchers (customer, created_at, id);
CREATE INDEX vouchers_created_at ON vouchers (created_at, id);
CREATE INDEX vouchers_stay ON vouchers (stay_id);
