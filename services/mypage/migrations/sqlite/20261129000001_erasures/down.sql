DROP TABLE requested_erasures;
