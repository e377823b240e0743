-- Bikes near a position in a state: one index that has both, because SQLite prefers equality to a range.
CREATE INDEX bikes_near ON bikes (state, latitude, longitude);
DROP INDEX bikes_available;
-- Takings are looked up by their ride alone.
CREATE INDEX takings_of_ride ON takings (ride);
