-- Takings are looked up by their order alone.
CREATE INDEX takings_of_order ON takings (order_id);
