-- Refunds in parts, what a seller keeps, a second card, and what staff did.
ALTER TABLE payments ADD COLUMN refund integer NOT NULL DEFAULT 0;
ALTER TABLE payments ADD COLUMN refunded_minor bigint NOT NULL DEFAULT 0;
ALTER TABLE payments ADD COLUMN refunding_minor bigint;
ALTER TABLE payments ADD COLUMN then_state text NOT NULL DEFAULT '';
ALTER TABLE payments ADD COLUMN next_method text;
ALTER TABLE payments ADD COLUMN kept_minor bigint NOT NULL DEFAULT 0;
ALTER TABLE payments ADD COLUMN intervened_by text;
ALTER TABLE payments ADD COLUMN intervention_reason text;
ALTER TABLE payments ADD COLUMN intervened_at bigint;
UPDATE payments SET refunded_minor = amount_minor, refund = 1 WHERE refunded;
UPDATE payments SET refunding_minor = amount_minor, refund = 1 WHERE state = 'refunding';
