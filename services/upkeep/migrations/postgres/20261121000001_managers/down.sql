DROP TABLE reports;
DROP TABLE managers;
