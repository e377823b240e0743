DROP INDEX messages_all;
