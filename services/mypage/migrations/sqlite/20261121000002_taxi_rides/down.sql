DROP TABLE taxi_rides;
