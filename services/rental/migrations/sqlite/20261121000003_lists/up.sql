-- Reservations are listed newest first: a customer's own, and all.
CREATE INDEX reservations_customer_newest ON reservations (customer, created_at, id);
CREATE INDEX reservations_all ON reservations (created_at, id);
