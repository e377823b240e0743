DROP TABLE offers;
DROP TABLE orders;
