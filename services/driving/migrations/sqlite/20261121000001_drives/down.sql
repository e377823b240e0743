DROP TABLE declined;
DROP TABLE drives;
