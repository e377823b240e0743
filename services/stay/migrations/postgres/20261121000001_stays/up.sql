-- Dates are ISO 8601.
CREATE TABLE stays (
    id uuid PRIMARY KEY,
    version bigint NOT NULL,
    wake_at timestamptz,
    resort_id uuid NOT NULL,
    resort_name text NOT NULL,
    customer text NOT NULL,
    start_date text NOT NULL,
    end_date text NOT NULL,
    price_minor bigint NOT NULL,
    currency text NOT NULL,
    time_zone text NOT NULL,
    begins_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL,
    cancel_before timestamptz NOT NULL,
    state text NOT NULL,
    cause text NOT NULL,
    expires_at timestamptz,
    payment_id uuid,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    -- The last published event. It is the cause of commands that a timer executes.
    last_event uuid
);
CREATE INDEX stays_wake_at ON stays (wake_at) WHERE wake_at IS NOT NULL;
CREATE INDEX stays_customer ON stays (customer, created_at, id);
CREATE INDEX stays_created_at ON stays (created_at, id);
