-- When a subject last took from a quota: who takes at the same time conflicts. The key is made from the subject.
CREATE TABLE quotas (
    key uuid PRIMARY KEY,
    at timestamptz NOT NULL
);
CREATE INDEX quotas_at ON quotas (at);
