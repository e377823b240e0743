-- The last published event. It is the cause of commands that a timer executes.
ALTER TABLE payments ADD COLUMN last_event uuid;
