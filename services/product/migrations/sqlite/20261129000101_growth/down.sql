DROP INDEX takings_of_order;
