-- Owners and names of cars; late returns, kept shares, and what staff did.
ALTER TABLE calendars ADD COLUMN owner text NOT NULL DEFAULT '';
ALTER TABLE calendars ADD COLUMN model text NOT NULL DEFAULT '';
ALTER TABLE calendars ADD COLUMN plate text NOT NULL DEFAULT '';
ALTER TABLE reservations ADD COLUMN owner text NOT NULL DEFAULT '';
ALTER TABLE reservations ADD COLUMN model text NOT NULL DEFAULT '';
ALTER TABLE reservations ADD COLUMN plate text NOT NULL DEFAULT '';
ALTER TABLE reservations ADD COLUMN time_zone text NOT NULL DEFAULT '';
ALTER TABLE reservations ADD COLUMN overdue boolean NOT NULL DEFAULT false;
ALTER TABLE reservations ADD COLUMN kept_minor bigint;
ALTER TABLE reservations ADD COLUMN late_fee_minor bigint;
ALTER TABLE reservations ADD COLUMN late_fee_owed boolean NOT NULL DEFAULT false;
ALTER TABLE reservations ADD COLUMN intervened_by text;
ALTER TABLE reservations ADD COLUMN intervention_reason text;
ALTER TABLE reservations ADD COLUMN intervened_at timestamptz;
-- What a customer has: reservations that are not paid, and late fees that they owe.
CREATE INDEX reservations_unpaid ON reservations (customer) WHERE expires_at IS NOT NULL;
CREATE INDEX reservations_owed ON reservations (customer) WHERE late_fee_owed;
CREATE INDEX reservations_overdue ON reservations (created_at, id) WHERE overdue;
CREATE INDEX reservations_owner ON reservations (owner, created_at, id);
CREATE INDEX reservations_of_owner_overdue ON reservations (owner, created_at, id) WHERE overdue;
CREATE INDEX reservations_of_owner_in_state ON reservations (owner, state, created_at, id);
