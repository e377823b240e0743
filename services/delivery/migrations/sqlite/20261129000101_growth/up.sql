-- A courier lists their own deliveries in a state.
CREATE INDEX deliveries_of_courier_in_state ON deliveries (courier, state, created_at, id) WHERE courier IS NOT NULL;
