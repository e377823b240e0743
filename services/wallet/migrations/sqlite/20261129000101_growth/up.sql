-- Bills are looked up by their id alone.
CREATE INDEX bills_by_id ON bills (id);
