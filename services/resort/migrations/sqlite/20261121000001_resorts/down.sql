DROP TABLE holds; DROP TABLE offers; DROP TABLE resorts;
