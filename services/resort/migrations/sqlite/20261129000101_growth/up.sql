-- Holds are looked up by their stay alone.
CREATE INDEX holds_of_stay ON holds (stay_id);
