CREATE INDEX messages_flow ON messages (flow);
DROP INDEX messages_of_flow;
