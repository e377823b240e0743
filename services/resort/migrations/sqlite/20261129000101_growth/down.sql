DROP INDEX holds_of_stay;
