//! What customers are told about the cars that they rent.

use chassis::Malformed;
use contracts::rental::v1::{
    CancellationCause, CarRented, CarReserved, CarReturned, RentalCancellationRefused, Reservation,
    ReservationCancelled,
};

use crate::policy::{Told, Words};
use crate::text;

fn about(reservation: Option<Reservation>, tell: impl FnOnce(&Reservation) -> Result<String, Malformed>) -> Told {
    let reservation = reservation.ok_or_else(|| Malformed("no reservation".into()))?;
    let text = tell(&reservation)?;
    Ok(Some(Words { customer: reservation.customer_id, text }))
}

/// The car is kept.
pub fn reserved(event: CarReserved) -> Told {
    about(event.reservation, |reservation| {
        let (car, period) = (&reservation.car_id, text::period(reservation.period.as_ref())?);
        let price = text::amount(reservation.price.as_ref())?;
        Ok(format!("We keep car {car} for you {period}. It costs {price}; please pay soon to make it yours."))
    })
}

/// The car is theirs.
pub fn rented(event: CarRented) -> Told {
    about(event.reservation, |reservation| {
        let (car, period) = (&reservation.car_id, text::period(reservation.period.as_ref())?);
        let price = text::amount(reservation.price.as_ref())?;
        Ok(format!("Car {car} is yours {period}. We received {price}. Have a good trip!"))
    })
}

/// The car is back.
pub fn returned(event: CarReturned) -> Told {
    about(event.reservation, |reservation| {
        let car = &reservation.car_id;
        Ok(format!("Thank you for bringing car {car} back. How many stars do you give it?"))
    })
}

/// The reservation or rental is off.
pub fn cancelled(event: ReservationCancelled) -> Told {
    about(event.reservation, |reservation| {
        let (car, period) = (&reservation.car_id, text::period(reservation.period.as_ref())?);
        let why = match reservation.cancellation_cause() {
            CancellationCause::Customer => "was cancelled by you",
            CancellationCause::Payment => "was cancelled because you cancelled its payment",
            CancellationCause::Unpaid => "was cancelled because it was not paid in time",
            CancellationCause::Unspecified => "was cancelled",
        };
        Ok(format!("Your reservation of car {car} {period} {why}."))
    })
}

/// The rental can't be taken back.
pub fn cancellation_refused(event: RentalCancellationRefused) -> Told {
    about(event.reservation, |reservation| {
        let (car, price) = (&reservation.car_id, text::amount(reservation.price.as_ref())?);
        Ok(format!("We can't give {price} for car {car} back to you, for the car was returned already."))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
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

    #[track_caller]
    fn check(told: Told, says: &str) {
        assert_eq!(told.expect("it is right"), Some(Words { customer: "ann".into(), text: says.into() }));
    }

    #[test]
    fn a_message_names_the_car_the_period_and_the_amount() {
        let reservation = || reservation(CancellationCause::Unspecified);
        let says = format!("We keep car K5 for you {DAY}. It costs KRW 120,000; please pay soon to make it yours.");
        check(reserved(CarReserved { reservation: reservation() }), &says);
        let says = format!("Car K5 is yours {DAY}. We received KRW 120,000. Have a good trip!");
        check(rented(CarRented { reservation: reservation() }), &says);
        let says = "Thank you for bringing car K5 back. How many stars do you give it?";
        check(returned(CarReturned { reservation: reservation() }), says);
        let says = "We can't give KRW 120,000 for car K5 back to you, for the car was returned already.";
        check(cancellation_refused(RentalCancellationRefused { reservation: reservation() }), says);
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
            check(cancelled(ReservationCancelled { reservation: reservation(cause) }), &says);
        }
    }

    #[test]
    fn an_event_without_a_reservation_is_malformed() {
        assert!(rented(CarRented { reservation: None }).is_err());
    }
}
