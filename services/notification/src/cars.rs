//! The messages about car rentals.

use contracts::rental::v1::{
    CancellationCause, CarRented, CarReserved, CarReturned, RentalCancellationRefused, Reservation,
    ReservationCancelled,
};

use crate::template::{Rendered, Templates, Text, render};
use crate::text::{amount, period};

/// Registers the templates.
pub fn register(templates: Templates) -> Templates {
    templates
        .on("CAR_RESERVED", |event: CarReserved| about(event.reservation, reserved))
        .on("CAR_RENTED", |event: CarRented| about(event.reservation, rented))
        .on("CAR_RETURNED", |event: CarReturned| about(event.reservation, returned))
        .on("RESERVATION_CANCELLED", |event: ReservationCancelled| about(event.reservation, cancelled))
        .on("CANCELLATION_REFUSED", |event: RentalCancellationRefused| about(event.reservation, cancellation_refused))
}

fn about(reservation: Option<Reservation>, text: fn(&Reservation) -> Text) -> Rendered {
    render("reservation", reservation, |reservation| reservation.customer_id, text)
}

fn reserved(reservation: &Reservation) -> Text {
    let (car, period, price) = (&reservation.car_id, period(&reservation.period)?, amount(&reservation.price)?);
    Ok(format!("We keep car {car} for you {period}. It costs {price}; please pay soon to make it yours."))
}

fn rented(reservation: &Reservation) -> Text {
    let (car, period, price) = (&reservation.car_id, period(&reservation.period)?, amount(&reservation.price)?);
    Ok(format!("Car {car} is yours {period}. We received {price}. Have a good trip!"))
}

fn returned(reservation: &Reservation) -> Text {
    Ok(format!("Thank you for bringing car {} back. How many stars do you give it?", reservation.car_id))
}

fn cancelled(reservation: &Reservation) -> Text {
    let why = match reservation.cancellation_cause() {
        CancellationCause::Customer => "was cancelled by you",
        CancellationCause::Payment => "was cancelled because you cancelled its payment",
        CancellationCause::Unpaid => "was cancelled because it was not paid in time",
        CancellationCause::Unspecified => "was cancelled",
    };
    Ok(format!("Your reservation of car {} {} {why}.", reservation.car_id, period(&reservation.period)?))
}

fn cancellation_refused(reservation: &Reservation) -> Text {
    let (car, price) = (&reservation.car_id, amount(&reservation.price)?);
    Ok(format!("We can't give {price} for car {car} back to you, for the car was returned already."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::testing::{check, check_malformed};
    use contracts::{money, period};

    const DAY: &str = "from 1970-01-01 00:00 to 1970-01-02 00:00 UTC";

    fn reservation(cause: CancellationCause) -> Option<Reservation> {
        let time = |seconds: i64| Some(prost_types::Timestamp { seconds, nanos: 0 });
        Some(Reservation {
            customer_id: "ann".into(),
            car_id: "K5".into(),
            period: Some(period::v1::Period { start_time: time(0), end_time: time(86_400) }),
            price: Some(money::v1::Money { currency_code: "KRW".into(), amount_minor: 120_000 }),
            cancellation_cause: cause.into(),
            ..Reservation::default()
        })
    }

    #[test]
    fn a_message_names_the_car_the_period_and_the_amount() {
        let reservation = || reservation(CancellationCause::Unspecified);
        let says = format!("We keep car K5 for you {DAY}. It costs KRW 120,000; please pay soon to make it yours.");
        check(register, &CarReserved { reservation: reservation() }, "CAR_RESERVED", &says);
        let says = format!("Car K5 is yours {DAY}. We received KRW 120,000. Have a good trip!");
        check(register, &CarRented { reservation: reservation() }, "CAR_RENTED", &says);
        let says = "Thank you for bringing car K5 back. How many stars do you give it?";
        check(register, &CarReturned { reservation: reservation() }, "CAR_RETURNED", says);
        let says = "We can't give KRW 120,000 for car K5 back to you, for the car was returned already.";
        check(register, &RentalCancellationRefused { reservation: reservation() }, "CANCELLATION_REFUSED", says);
    }

    #[test]
    fn a_cancellation_tells_its_cause() {
        for (cause, why) in [
            (CancellationCause::Customer, "was cancelled by you"),
            (CancellationCause::Payment, "was cancelled because you cancelled its payment"),
            (CancellationCause::Unpaid, "was cancelled because it was not paid in time"),
            (CancellationCause::Unspecified, "was cancelled"),
        ] {
            let says = format!("Your reservation of car K5 {DAY} {why}.");
            check(register, &ReservationCancelled { reservation: reservation(cause) }, "RESERVATION_CANCELLED", &says);
        }
    }

    #[test]
    fn an_event_without_a_reservation_is_malformed() {
        check_malformed(register, &CarRented { reservation: None }, "no reservation");
    }
}
