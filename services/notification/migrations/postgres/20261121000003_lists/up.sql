-- All messages are listed newest first, too.
CREATE INDEX messages_all ON messages (created_at, id);
