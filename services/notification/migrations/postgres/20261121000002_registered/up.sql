-- Holds something of value: it is not shown in a log, and it is told when it is delivered.
ALTER TABLE messages ADD COLUMN registered boolean NOT NULL DEFAULT false;
