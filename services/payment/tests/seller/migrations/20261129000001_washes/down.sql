DROP TABLE washes;
