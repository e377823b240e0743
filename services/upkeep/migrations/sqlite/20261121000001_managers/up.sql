-- The managers of bikes. `points` is the balance from the event of `wallet` with this sequence.
CREATE TABLE managers (
    id blob PRIMARY KEY NOT NULL,
    version bigint NOT NULL,
    subject text NOT NULL,
    reports bigint NOT NULL,
    points_earned bigint NOT NULL,
    points bigint NOT NULL,
    told_sequence bigint NOT NULL
);
-- The reports that were applied to bikes.
CREATE TABLE reports (
    id blob PRIMARY KEY NOT NULL,
    subject text NOT NULL,
    manager blob NOT NULL,
    bike blob NOT NULL,
    battery_percent integer NOT NULL,
    usable boolean NOT NULL,
    points bigint NOT NULL,
    created_at bigint NOT NULL
);
-- Reports are listed newest first: a manager's own, and all.
CREATE INDEX reports_manager ON reports (manager, created_at, id);
CREATE INDEX reports_all ON reports (created_at, id);
