-- A customer lists their own messages about a flow.
CREATE INDEX messages_of_flow ON messages (flow, customer, created_at, id);
DROP INDEX messages_flow;
