ALTER TABLE payments DROP COLUMN last_event;
