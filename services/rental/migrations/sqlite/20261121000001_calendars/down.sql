DROP TABLE reservations; DROP TABLE calendars;
