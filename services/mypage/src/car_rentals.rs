//! Car rentals with their payment, made from the events of `rental` and `payment`.

mod table;

use std::sync::LazyLock;

use chassis::{Envelope, Malformed, Timestamp, decode};
use contracts::money::v1::Money;
use contracts::rental::v1::{CarRented, CarReserved, CarReturned, RentalRated, Reservation, ReservationCancelled};

pub use self::table::CarRental;
use crate::pages::{News, Rules};

/// The events that the page is made from.
pub static RULES: LazyLock<Rules<CarRental>> = LazyLock::new(|| {
    Rules::new()
        .on(|event: CarReserved, e| rental(event.reservation, e, |_, _| {}))
        .on(|event: CarRented, e| rental(event.reservation, e, |page, at| page.rented_at = Some(at)))
        .on(|event: CarReturned, e| rental(event.reservation, e, |page, at| page.returned_at = Some(at)))
        .on(|event: ReservationCancelled, e| rental(event.reservation, e, |page, at| page.cancelled_at = Some(at)))
        .on(|event: RentalRated, e| rental(event.reservation, e, |_, _| {}))
        .payments_of("car")
});

/// What every event of `rental` says.
struct Rental {
    customer: String,
    car: String,
    starts_at: Timestamp,
    ends_at: Timestamp,
    price: Money,
    state: i32,
    stars: i32,
    reserved_at: Timestamp,
}

fn rental(
    reservation: Option<Reservation>,
    event: &Envelope,
    note_time: fn(&mut CarRental, Timestamp),
) -> Result<News<CarRental>, Malformed> {
    let reservation = decode::present("reservation", reservation)?;
    let flow = decode::parsed("reservation_id", &reservation.reservation_id)?;
    let period = decode::present("period", reservation.period)?;
    let rental = Rental {
        starts_at: decode::time("start_time", period.start_time)?,
        ends_at: decode::time("end_time", period.end_time)?,
        reserved_at: decode::time("create_time", reservation.create_time)?,
        customer: reservation.customer_id,
        car: reservation.car_id,
        price: decode::present("price", reservation.price)?,
        state: reservation.state,
        stars: reservation.stars,
    };
    let (sequence, at) = (event.sequence, event.at);
    Ok(News::of(flow, move |page: &mut CarRental| {
        page.fold(&rental, sequence);
        note_time(page, at);
    }))
}

impl CarRental {
    fn fold(&mut self, rental: &Rental, sequence: i64) {
        self.customer = Some(rental.customer.clone());
        self.car = Some(rental.car.clone());
        self.starts_at = Some(rental.starts_at);
        self.ends_at = Some(rental.ends_at);
        self.price_minor = Some(rental.price.amount_minor);
        self.currency = Some(rental.price.currency_code.clone());
        self.reserved_at = Some(rental.reserved_at);
        if sequence > self.rental_sequence {
            self.rental_sequence = sequence;
            self.rental_state = rental.state;
            self.stars = rental.stars;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::testing::{FLOW, check_every_order, envelope, page, paid};
    use contracts::payment::v1::{
        PaymentApproved, PaymentCancellationRefused, PaymentCancellationRequested, PaymentCancelled, PaymentRefused,
        PaymentRequested, PaymentSettled, PaymentState,
    };
    use contracts::period::v1::Period;
    use contracts::rental::v1::ReservationState;

    fn reservation(state: ReservationState, stars: i32) -> Option<Reservation> {
        let time = |seconds: i64| Some(prost_types::Timestamp { seconds, nanos: 0 });
        Some(Reservation {
            reservation_id: FLOW.into(),
            customer_id: "ann".into(),
            car_id: "K5".into(),
            period: Some(Period { start_time: time(3_600), end_time: time(90_000) }),
            price: Some(Money { currency_code: "KRW".into(), amount_minor: 120_000 }),
            create_time: time(7),
            state: state.into(),
            stars,
            ..Reservation::default()
        })
    }

    /// Reserved on a car that others had reserved before, refused, paid, returned, rated.
    fn returned() -> Vec<Envelope> {
        use {PaymentState as P, ReservationState as R};
        vec![
            envelope(&CarReserved { reservation: reservation(R::Reserved, 0) }, 11),
            envelope(&PaymentRequested { payment: paid("car", P::Requested) }, 1),
            envelope(&PaymentRefused { payment: paid("car", P::Refused) }, 3),
            envelope(&PaymentApproved { payment: paid("car", P::Approved) }, 5),
            envelope(&CarRented { reservation: reservation(R::Rented, 0) }, 12),
            envelope(&CarReturned { reservation: reservation(R::Returned, 0) }, 15),
            envelope(&PaymentSettled { payment: paid("car", P::Settled) }, 6),
            envelope(&RentalRated { reservation: reservation(R::Returned, 4) }, 16),
        ]
    }

    /// Reserved, paid, and taken back by way of the payment; in between it seemed that it could not be.
    fn refunded() -> Vec<Envelope> {
        use {PaymentState as P, ReservationState as R};
        vec![
            envelope(&CarReserved { reservation: reservation(R::Reserved, 0) }, 1),
            envelope(&PaymentRequested { payment: paid("car", P::Requested) }, 1),
            envelope(&PaymentApproved { payment: paid("car", P::Approved) }, 3),
            envelope(&CarRented { reservation: reservation(R::Rented, 0) }, 2),
            envelope(&PaymentCancellationRefused { payment: paid("car", P::Approved) }, 5),
            envelope(&PaymentCancellationRequested { payment: paid("car", P::Cancelling) }, 6),
            envelope(&ReservationCancelled { reservation: reservation(R::Cancelled, 0) }, 4),
            envelope(&PaymentCancelled { payment: paid("car", P::Cancelled) }, 8),
        ]
    }

    #[test]
    fn a_page_is_the_same_in_whatever_order_the_events_come() {
        check_every_order::<CarRental>(returned());
        check_every_order::<CarRental>(refunded());
    }

    #[test]
    fn a_page_shows_the_newest_of_both_and_the_times_of_all() {
        let at = |seconds: i64| Some(Timestamp::from_micros(seconds * 1_000_000));
        let page: CarRental = page(&returned());
        assert_eq!(page.rental_state, i32::from(ReservationState::Returned));
        assert_eq!(page.payment_state, i32::from(PaymentState::Settled));
        assert_eq!((page.customer.as_deref(), page.payment.as_deref(), page.stars), (Some("ann"), Some("pay"), 4));
        assert_eq!((page.reserved_at, page.rented_at, page.returned_at), (at(7), at(12), at(15)));
        assert_eq!(page.cancelled_at, None);
    }

    #[test]
    fn a_payment_that_is_heard_of_first_shows_no_customer_yet() {
        let page: CarRental = page(&refunded()[1..3]);
        assert_eq!((page.customer, page.payment_state), (None, i32::from(PaymentState::Approved)));
    }
}
