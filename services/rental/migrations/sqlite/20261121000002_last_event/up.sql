-- The last event that others know it by: the cause of what the passing of time brings.
ALTER TABLE reservations ADD COLUMN last_event blob;
