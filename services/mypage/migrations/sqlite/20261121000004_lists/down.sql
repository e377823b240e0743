DROP INDEX stays_all;
DROP INDEX taxi_rides_all;
DROP INDEX car_rentals_all;
