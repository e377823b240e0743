DROP TABLE takings;
DROP TABLE products;
