DROP TABLE bills; DROP TABLE rides; DROP TABLE riders;
