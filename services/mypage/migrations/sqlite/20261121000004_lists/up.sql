-- Admins list all entries, newest first.
CREATE INDEX car_rentals_all ON car_rentals (reserved_at, id);
CREATE INDEX taxi_rides_all ON taxi_rides (hailed_at, id);
CREATE INDEX stays_all ON stays (reserved_at, id);
