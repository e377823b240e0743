-- Erasures that admins requested. Who was erased is not kept.
CREATE TABLE requested_erasures (
    id blob PRIMARY KEY NOT NULL,
    version bigint NOT NULL,
    admin text NOT NULL,
    reason text NOT NULL,
    created_at bigint NOT NULL
);
