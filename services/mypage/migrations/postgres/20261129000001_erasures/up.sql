-- Erasures that admins requested. Who was erased is not kept.
CREATE TABLE requested_erasures (
    id uuid PRIMARY KEY NOT NULL,
    version bigint NOT NULL,
    admin text NOT NULL,
    reason text NOT NULL,
    created_at timestamptz NOT NULL
);
