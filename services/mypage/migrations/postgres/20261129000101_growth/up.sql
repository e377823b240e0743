-- Only entries of known customers are listed.
CREATE INDEX car_rentals_listed ON car_rentals (reserved_at, id) WHERE customer IS NOT NULL;
DROP INDEX car_rentals_all;
CREATE INDEX taxi_rides_listed ON taxi_rides (hailed_at, id) WHERE customer IS NOT NULL;
DROP INDEX taxi_rides_all;
CREATE INDEX stays_listed ON stays (reserved_at, id) WHERE customer IS NOT NULL;
DROP INDEX stays_all;
CREATE INDEX bike_rides_listed ON bike_rides (started_at, id) WHERE customer IS NOT NULL;
DROP INDEX bike_rides_all;
CREATE INDEX orders_listed ON orders (ordered_at, id) WHERE customer IS NOT NULL;
DROP INDEX orders_all;
