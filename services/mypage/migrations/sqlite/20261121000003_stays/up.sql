-- Stays as their customers see them. The fields of a context are null until its first event is received.
CREATE TABLE stays (
    id blob PRIMARY KEY NOT NULL,
    version bigint NOT NULL,
    customer text,
    resort text,
    resort_name text,
    start_date text,
    end_date text,
    begins_at bigint,
    ends_at bigint,
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
    reserved_at bigint,
    confirmed_at bigint,
    completed_at bigint,
    cancelled_at bigint
);
CREATE INDEX stays_customer ON stays (customer, reserved_at, id);
