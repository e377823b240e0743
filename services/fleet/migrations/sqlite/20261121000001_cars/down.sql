DROP TABLE engagements; DROP TABLE cars;
