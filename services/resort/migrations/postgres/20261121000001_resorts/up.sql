CREATE TABLE resorts (
    id uuid PRIMARY KEY,
    version bigint NOT NULL,
    wake_at timestamptz,
    name text NOT NULL,
    kind text NOT NULL,
    nightly_rate_minor bigint NOT NULL,
    currency text NOT NULL,
    time_zone text NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
CREATE INDEX resorts_wake_at ON resorts (wake_at) WHERE wake_at IS NOT NULL;

-- Dates are ISO 8601, so they sort as text. Ranges of one resort neither overlap nor touch.
CREATE TABLE offers (
    resort_id uuid NOT NULL,
    start_date text NOT NULL,
    end_date text NOT NULL,
    PRIMARY KEY (resort_id, start_date)
);

CREATE TABLE holds (
    resort_id uuid NOT NULL,
    stay_id uuid NOT NULL,
    customer text NOT NULL,
    start_date text NOT NULL,
    end_date text NOT NULL,
    price_minor bigint NOT NULL,
    currency text NOT NULL,
    state text NOT NULL,
    is_open boolean NOT NULL,
    expires_at timestamptz,
    last_event uuid,
    PRIMARY KEY (resort_id, stay_id)
);
CREATE INDEX holds_open ON holds (resort_id) WHERE is_open;
