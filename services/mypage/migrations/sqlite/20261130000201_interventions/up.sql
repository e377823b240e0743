-- Why a hail was cancelled, and what staff did.
ALTER TABLE taxi_rides ADD COLUMN cause integer NOT NULL DEFAULT 0;
ALTER TABLE taxi_rides ADD COLUMN intervened_by text;
ALTER TABLE taxi_rides ADD COLUMN intervention_reason text;
ALTER TABLE taxi_rides ADD COLUMN intervened_at bigint;
-- What a rental cost beyond its price, and what staff did.
ALTER TABLE car_rentals ADD COLUMN model text NOT NULL DEFAULT '';
ALTER TABLE car_rentals ADD COLUMN plate text NOT NULL DEFAULT '';
ALTER TABLE car_rentals ADD COLUMN expires_at bigint;
ALTER TABLE car_rentals ADD COLUMN cause integer NOT NULL DEFAULT 0;
ALTER TABLE car_rentals ADD COLUMN kept_minor bigint;
ALTER TABLE car_rentals ADD COLUMN overdue boolean NOT NULL DEFAULT false;
ALTER TABLE car_rentals ADD COLUMN late_fee_minor bigint;
ALTER TABLE car_rentals ADD COLUMN late_fee text;
ALTER TABLE car_rentals ADD COLUMN late_fee_owed boolean NOT NULL DEFAULT false;
ALTER TABLE car_rentals ADD COLUMN late_fee_paid boolean NOT NULL DEFAULT false;
ALTER TABLE car_rentals ADD COLUMN intervened_by text;
ALTER TABLE car_rentals ADD COLUMN intervention_reason text;
ALTER TABLE car_rentals ADD COLUMN intervened_at bigint;
