ALTER TABLE messages DROP COLUMN registered;
