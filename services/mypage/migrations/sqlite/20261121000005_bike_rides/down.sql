DROP TABLE wallets; DROP TABLE bike_rides;
