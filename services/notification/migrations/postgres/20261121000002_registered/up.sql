-- Sensitive: the content is not logged, and its delivery is published as an event.
ALTER TABLE messages ADD COLUMN registered boolean NOT NULL DEFAULT false;
