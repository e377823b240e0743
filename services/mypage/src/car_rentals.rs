//! Car rentals with their payment, made from the events of `rental` and `payment`.

use chassis::db::prelude::*;
use chassis::{Envelope, Malformed, Timestamp, decode};
use contracts::mypage::v1 as proto;
use contracts::period::v1::Period;
use contracts::rental::v1::{
    CarRented, CarReserved, CarReturned, LateFee, LateFeeCharged, LateFeePaid, RentalOverdue, RentalRated, Reservation,
    ReservationCancelled, ReservationState,
};

use crate::summary::{Rules, Update, intervention, is_owed, money, summary, time};

summary! {
    /// A car rental, from the events so far.
    car_rentals as CarRental, "car rental" of a "reservation", newest by reserved_at, paid {
        car: Option<String> as Nullable<Text>,
        starts_at: Option<Timestamp> as Nullable<SqlTime>,
        ends_at: Option<Timestamp> as Nullable<SqlTime>,
        price_minor: Option<i64> as Nullable<BigInt>,
        currency: Option<String> as Nullable<Text>,
        rental_sequence: i64 as BigInt,
        rental_state: i32 as Integer,
        stars: i32 as Integer,
        reserved_at: Option<Timestamp> as Nullable<SqlTime>,
        rented_at: Option<Timestamp> as Nullable<SqlTime>,
        returned_at: Option<Timestamp> as Nullable<SqlTime>,
        cancelled_at: Option<Timestamp> as Nullable<SqlTime>,
        model: String as Text,
        plate: String as Text,
        expires_at: Option<Timestamp> as Nullable<SqlTime>,
        cause: i32 as Integer,
        kept_minor: Option<i64> as Nullable<BigInt>,
        overdue: bool as Bool,
        late_fee_minor: Option<i64> as Nullable<BigInt>,
        late_fee: Option<String> as Nullable<Text>,
        late_fee_owed: bool as Bool,
        late_fee_paid: bool as Bool,
        intervened_by: Option<String> as Nullable<Text>,
        intervention_reason: Option<String> as Nullable<Text>,
        intervened_at: Option<Timestamp> as Nullable<SqlTime>,
    }
}

fn is_open(rental: &CarRental) -> bool {
    use ReservationState::{Rented, Reserved};
    let is_owed = is_owed(rental.payment_state) || rental.late_fee_owed;
    matches!(ReservationState::try_from(rental.rental_state), Ok(Reserved | Rented)) || is_owed
}

fn rules() -> Rules<CarRental> {
    Rules::new()
        .on(|event: CarReserved, e| rental(event.reservation, e, |_, _| {}))
        .on(|event: CarRented, e| rental(event.reservation, e, |rental, at| rental.rented_at = Some(at)))
        .on(|event: CarReturned, e| rental(event.reservation, e, |rental, at| rental.returned_at = Some(at)))
        .on(|event: ReservationCancelled, e| rental(event.reservation, e, |rental, at| rental.cancelled_at = Some(at)))
        .on(|event: RentalRated, e| rental(event.reservation, e, |_, _| {}))
        .on(|event: RentalOverdue, e| rental(event.reservation, e, |_, _| {}))
        .on(|event: LateFeePaid, e| rental(event.reservation, e, |_, _| {}))
        .on(|event: LateFeeCharged, _| late_fee(event.late_fee))
        .payments_of("rental")
}

fn late_fee(fee: Option<LateFee>) -> Result<Update<CarRental>, Malformed> {
    let fee = decode::present("late_fee", fee)?;
    let id = decode::parsed("reservation_id", &fee.reservation_id)?;
    let amount = decode::money("amount", fee.amount)?;
    Ok(Update::of(id, move |rental: &mut CarRental| {
        (rental.late_fee, rental.late_fee_minor) = (Some(fee.late_fee_id), Some(amount.minor));
        // It may be paid already.
        rental.late_fee_owed = !rental.late_fee_paid;
    }))
}

fn rental(
    reservation: Option<Reservation>,
    event: &Envelope,
    set_time: fn(&mut CarRental, Timestamp),
) -> Result<Update<CarRental>, Malformed> {
    let reservation = decode::present("reservation", reservation)?;
    let id = decode::parsed("reservation_id", &reservation.reservation_id)?;
    let period = decode::period("period", reservation.period)?;
    let price = decode::present("price", reservation.price)?;
    let reserved_at = decode::time("create_time", reservation.create_time)?;
    let expires_at = reservation.expire_time.map(|time| decode::time("expire_time", Some(time))).transpose()?;
    let intervention = reservation.intervention.map(decode::intervention).transpose()?;
    let (sequence, at) = (event.sequence, event.at);
    Ok(Update::of(id, move |rental: &mut CarRental| {
        rental.customer = Some(reservation.customer_id);
        rental.car = Some(reservation.car_id);
        (rental.starts_at, rental.ends_at) = (Some(period.start), Some(period.end));
        (rental.price_minor, rental.currency) = (Some(price.amount_minor), Some(price.currency_code));
        rental.reserved_at = Some(reserved_at);
        if sequence > rental.rental_sequence {
            rental.rental_sequence = sequence;
            (rental.rental_state, rental.stars) = (reservation.state, reservation.stars);
            (rental.expires_at, rental.cause) = (expires_at, reservation.cancellation_cause);
            rental.kept_minor = reservation.cancellation_fee.map(|kept| kept.amount_minor);
            rental.overdue = reservation.overdue;
            if let Some(intervention) = intervention {
                rental.intervened_by = Some(intervention.staff);
                (rental.intervention_reason, rental.intervened_at) = (Some(intervention.reason), Some(intervention.at));
            }
        }
        (rental.model, rental.plate) = (reservation.car_model, reservation.car_plate);
        rental.late_fee_paid |= reservation.late_fee.is_some() && !reservation.late_fee_owed;
        rental.late_fee_owed &= !rental.late_fee_paid;
        set_time(rental, at);
    }))
}

impl From<CarRental> for proto::CarRental {
    fn from(row: CarRental) -> Self {
        proto::CarRental {
            reservation_id: row.id.to_string(),
            customer_id: row.customer.unwrap_or_default(),
            car_id: row.car.unwrap_or_default(),
            period: Some(Period { start_time: time(row.starts_at), end_time: time(row.ends_at) }),
            cancellation_fee: money(row.currency.clone(), row.kept_minor),
            late_fee: money(row.currency.clone(), row.late_fee_minor),
            late_fee_id: row.late_fee.unwrap_or_default(),
            late_fee_owed: row.late_fee_owed,
            car_model: row.model,
            car_plate: row.plate,
            expire_time: time(row.expires_at),
            cancellation_cause: row.cause,
            overdue: row.overdue,
            intervention: intervention(row.intervened_by, row.intervention_reason, row.intervened_at),
            price: money(row.currency, row.price_minor),
            rental_state: row.rental_state,
            payment_id: row.payment.unwrap_or_default(),
            payment_state: row.payment_state,
            stars: row.stars,
            reserve_time: time(row.reserved_at),
            rent_time: time(row.rented_at),
            return_time: time(row.returned_at),
            cancel_time: time(row.cancelled_at),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::summary::testing::{FLOW, check_every_order, envelope, paid, summary};
    use contracts::money::v1::Money;
    use contracts::payment::v1::{
        PaymentApproved, PaymentCancellationRefused, PaymentCancellationRequested, PaymentCancelled, PaymentRefused,
        PaymentRequested, PaymentSettled, PaymentState,
    };

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
            envelope(&PaymentRequested { payment: paid("rental", P::Requested) }, 1),
            envelope(&PaymentRefused { payment: paid("rental", P::Refused) }, 3),
            envelope(&PaymentApproved { payment: paid("rental", P::Approved) }, 5),
            envelope(&CarRented { reservation: reservation(R::Rented, 0) }, 12),
            envelope(&CarReturned { reservation: reservation(R::Returned, 0) }, 15),
            envelope(&PaymentSettled { payment: paid("rental", P::Settled) }, 6),
            envelope(&RentalRated { reservation: reservation(R::Returned, 4) }, 16),
        ]
    }

    /// Reserved, paid, and cancelled by its payment, after a refused attempt.
    fn refunded() -> Vec<Envelope> {
        use {PaymentState as P, ReservationState as R};
        vec![
            envelope(&CarReserved { reservation: reservation(R::Reserved, 0) }, 1),
            envelope(&PaymentRequested { payment: paid("rental", P::Requested) }, 1),
            envelope(&PaymentApproved { payment: paid("rental", P::Approved) }, 3),
            envelope(&CarRented { reservation: reservation(R::Rented, 0) }, 2),
            envelope(&PaymentCancellationRefused { payment: paid("rental", P::Approved) }, 5),
            envelope(&PaymentCancellationRequested { payment: paid("rental", P::Cancelling) }, 6),
            envelope(&ReservationCancelled { reservation: reservation(R::Cancelled, 0) }, 4),
            envelope(&PaymentCancelled { payment: paid("rental", P::Cancelled) }, 8),
        ]
    }

    #[test]
    fn a_summary_is_the_same_in_whatever_order_the_events_come() {
        check_every_order::<CarRental>(returned());
        check_every_order::<CarRental>(refunded());
    }

    #[test]
    fn a_summary_shows_the_newest_of_both_and_the_times_of_all() {
        let at = |seconds: i64| Some(Timestamp::from_micros(seconds * 1_000_000));
        let summary: CarRental = summary(&returned());
        assert_eq!(summary.rental_state, i32::from(ReservationState::Returned));
        assert_eq!(summary.payment_state, i32::from(PaymentState::Settled));
        assert_eq!(
            (summary.customer.as_deref(), summary.payment.as_deref(), summary.stars),
            (Some("ann"), Some("pay"), 4)
        );
        assert_eq!((summary.reserved_at, summary.rented_at, summary.returned_at), (at(7), at(12), at(15)));
        assert_eq!(summary.cancelled_at, None);
    }

    #[test]
    fn an_event_that_breaks_its_contract_is_malformed() {
        let nothing = envelope(&PaymentRequested { payment: None }, 1);
        assert!(rules().decode(&nothing).is_err());
    }

    #[test]
    fn a_payment_of_another_line_changes_nothing() {
        let other = envelope(&PaymentRequested { payment: paid("driving", PaymentState::Requested) }, 1);
        assert!(rules().decode(&other).expect("it is right").is_none());
    }

    #[test]
    fn a_payment_that_is_heard_of_first_shows_no_customer_yet() {
        let summary: CarRental = summary(&refunded()[1..3]);
        assert_eq!((summary.customer, summary.payment_state), (None, i32::from(PaymentState::Approved)));
    }
}
