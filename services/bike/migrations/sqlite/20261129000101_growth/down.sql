DROP INDEX takings_of_ride;
CREATE INDEX bikes_available ON bikes (latitude, longitude) WHERE state = 'available';
DROP INDEX bikes_near;
