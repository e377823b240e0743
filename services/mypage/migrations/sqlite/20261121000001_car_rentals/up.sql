-- Car rentals as their customers see them. The fields of a context are null until its first event is received.
-- States are the numbers of the enums in the contracts, which never change.
CREATE TABLE car_rentals (
    id blob PRIMARY KEY NOT NULL,
    version bigint NOT NULL,
    customer text,
    car text,
    starts_at bigint,
    ends_at bigint,
    price_minor bigint,
    currency text,
    rental_sequence bigint NOT NULL,
    rental_state integer NOT NULL,
    stars integer NOT NULL,
    payment text,
    payment_sequence bigint NOT NULL,
    payment_state integer NOT NULL,
    reserved_at bigint,
    rented_at bigint,
    returned_at bigint,
    cancelled_at bigint
);
CREATE INDEX car_rentals_customer ON car_rentals (customer, reserved_at, id);
