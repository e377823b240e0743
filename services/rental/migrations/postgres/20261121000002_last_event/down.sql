ALTER TABLE reservations DROP COLUMN last_event;
