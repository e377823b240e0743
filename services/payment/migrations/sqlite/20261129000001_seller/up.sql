-- The context that sold what is paid for. Empty in payments of before this column, and of replicas that do not know it.
ALTER TABLE payments ADD COLUMN seller text NOT NULL DEFAULT '';
