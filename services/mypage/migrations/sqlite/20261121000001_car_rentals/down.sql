DROP TABLE car_rentals;
