DROP TABLE takings; DROP TABLE bikes;
