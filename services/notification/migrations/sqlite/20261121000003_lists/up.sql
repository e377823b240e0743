-- Admins list all messages, newest first.
CREATE INDEX messages_all ON messages (created_at, id);
