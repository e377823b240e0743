-- Stays as their customers see them. The fields of a context are null until its first event is received.
CREATE TABLE stays (
    id uuid PRIMARY KEY,
    version bigint NOT NULL,
    customer text,
    resort text,
    resort_name text,
    start_date text,
    end_date text,
    begins_at timestamptz,
    ends_at timestamptz,
    price_minor bigint,
    currency text,
    stay_sequence bigint NOT NULL,
    stay_state integer NOT NULL,
    cause integer NOT NULL,
    payment text,
    payment_sequence bigint NOT NULL,
    payment_state integer NOT NULL,
    voucher text,
    voucher_code text,
    voucher_sequence bigint NOT NULL,
    voucher_state integer NOT NULL,
    reserved_at timestamptz,
    confirmed_at timestamptz,
    completed_at timestamptz,
    cancelled_at timestamptz
);
CREATE INDEX stays_customer ON stays (customer, reserved_at, id);
