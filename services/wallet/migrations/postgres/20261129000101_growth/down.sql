DROP INDEX bills_by_id;
