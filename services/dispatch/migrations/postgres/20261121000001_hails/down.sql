DROP TABLE hails;
