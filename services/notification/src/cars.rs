//! The messages about car rentals.

use contracts::rental::v1::{
    CancellationCause, CarDelayed, CarRented, CarReserved, CarReturned, LateFeeCharged, RentalCancellationRefused,
    RentalOverdue, Reservation, ReservationCancelled,
};

use crate::template::{Rendered, Templates, Text, render};
use crate::text::{amount, because, moment, period};

/// Registers the templates.
pub fn register(templates: Templates) -> Templates {
    templates
        .on("CAR_RESERVED", |event: CarReserved| about(event.reservation, reserved))
        .on("CAR_RENTED", |event: CarRented| about(event.reservation, rented))
        .on("CAR_RETURNED", |event: CarReturned| about(event.reservation, returned))
        .on("RESERVATION_CANCELLED", |event: ReservationCancelled| about(event.reservation, cancelled))
        .on("RENTAL_OVERDUE", |event: RentalOverdue| about(event.reservation, overdue))
        .on("CAR_DELAYED", |event: CarDelayed| about(event.reservation, delayed))
        .on("LATE_FEE_CHARGED", late_fee)
        .on("CANCELLATION_REFUSED", |event: RentalCancellationRefused| about(event.reservation, cancellation_refused))
}

fn about(reservation: Option<Reservation>, text: fn(&Reservation) -> Text) -> Rendered {
    render("reservation", reservation, |reservation| reservation.customer_id, text)
}

/// What people call the car.
fn car(reservation: &Reservation) -> String {
    let Reservation { car_id, car_model, car_plate, .. } = reservation;
    match (car_model.as_str(), car_plate.as_str()) {
        // Reservations from before cars had names in them.
        ("", _) => format!("car {car_id}"),
        (model, "") => format!("the {model}"),
        (model, plate) => format!("the {model} ({plate})"),
    }
}

fn dates(reservation: &Reservation) -> Text {
    period(&reservation.period, &reservation.time_zone)
}

fn reserved(reservation: &Reservation) -> Text {
    let (car, dates, price) = (car(reservation), dates(reservation)?, amount(&reservation.price)?);
    let until = match &reservation.expire_time {
        Some(_) => format!("by {}", moment(&reservation.expire_time, &reservation.time_zone)?),
        None => "soon".to_owned(),
    };
    Ok(format!("We keep {car} for you {dates}. It costs {price}; please pay {until} to make it yours."))
}

fn rented(reservation: &Reservation) -> Text {
    let (car, dates, price) = (car(reservation), dates(reservation)?, amount(&reservation.price)?);
    Ok(format!("You have {car} {dates}. We received {price}. Have a good trip!"))
}

fn returned(reservation: &Reservation) -> Text {
    let because = because(reservation.intervention.as_ref());
    Ok(format!("Thank you for bringing {} back. How many stars do you give it?{because}", car(reservation)))
}

fn overdue(reservation: &Reservation) -> Text {
    Ok(format!("Please bring {} back: its period is over. Each hour begun costs a fee.", car(reservation)))
}

fn delayed(reservation: &Reservation) -> Text {
    let (car, dates) = (car(reservation), dates(reservation)?);
    Ok(format!(
        "The customer before you has not brought {car} back yet, which you have {dates}. If it is not there when \
                your time begins, we cancel your reservation and give you your money back."
    ))
}

fn late_fee(event: LateFeeCharged) -> Rendered {
    render(
        "late_fee",
        event.late_fee,
        |fee| fee.customer_id,
        |fee| Ok(format!("You brought your car back late. The fee is {}; please pay it.", amount(&fee.amount)?)),
    )
}

fn cancelled(reservation: &Reservation) -> Text {
    let why = match reservation.cancellation_cause() {
        CancellationCause::Customer => "was cancelled by you",
        CancellationCause::Payment => "was cancelled because you cancelled its payment",
        CancellationCause::Unpaid => "was cancelled because it was not paid in time",
        CancellationCause::CarNotBack => "was cancelled because the customer before you has not brought the car back",
        CancellationCause::Staff | CancellationCause::Unspecified => "was cancelled",
    };
    let kept = match &reservation.cancellation_fee {
        Some(_) => format!(" We keep {} of its price.", amount(&reservation.cancellation_fee)?),
        None => String::new(),
    };
    let (car, dates, because) = (car(reservation), dates(reservation)?, because(reservation.intervention.as_ref()));
    Ok(format!("Your reservation of {car} {dates} {why}.{kept}{because}"))
}

fn cancellation_refused(reservation: &Reservation) -> Text {
    let (car, price) = (car(reservation), amount(&reservation.price)?);
    Ok(format!("We can't give {price} for {car} back to you, for your time with it has begun."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::testing::{check, check_malformed};
    use contracts::{money, period};

    const DAY: &str = "from 1970-01-01 09:00 to 1970-01-02 09:00 (Asia/Seoul)";

    fn reservation(cause: CancellationCause) -> Option<Reservation> {
        let time = |seconds: i64| Some(prost_types::Timestamp { seconds, nanos: 0 });
        Some(Reservation {
            customer_id: "ann".into(),
            car_id: "7".into(),
            car_model: "K5".into(),
            car_plate: "12가 3456".into(),
            time_zone: "Asia/Seoul".into(),
            expire_time: time(3_600),
            period: Some(period::v1::Period { start_time: time(0), end_time: time(86_400) }),
            price: Some(money::v1::Money { currency_code: "KRW".into(), amount_minor: 120_000 }),
            cancellation_cause: cause.into(),
            ..Reservation::default()
        })
    }

    #[test]
    fn a_message_names_the_car_the_period_and_the_amount() {
        let reservation = || reservation(CancellationCause::Unspecified);
        let says = format!(
            "We keep the K5 (12가 3456) for you {DAY}. It costs KRW 120,000; please pay by 1970-01-01 10:00 (Asia/Seoul) \
                            to make it yours."
        );
        check(register, &CarReserved { reservation: reservation() }, "CAR_RESERVED", &says);
        let says = format!("You have the K5 (12가 3456) {DAY}. We received KRW 120,000. Have a good trip!");
        check(register, &CarRented { reservation: reservation() }, "CAR_RENTED", &says);
        let says = "Thank you for bringing the K5 (12가 3456) back. How many stars do you give it?";
        check(register, &CarReturned { reservation: reservation() }, "CAR_RETURNED", says);
        let says = "We can't give KRW 120,000 for the K5 (12가 3456) back to you, for your time with it has begun.";
        check(register, &RentalCancellationRefused { reservation: reservation() }, "CANCELLATION_REFUSED", says);
    }

    #[test]
    fn a_cancellation_tells_its_cause() {
        for (cause, why) in [
            (CancellationCause::Customer, "was cancelled by you"),
            (CancellationCause::Payment, "was cancelled because you cancelled its payment"),
            (CancellationCause::Unpaid, "was cancelled because it was not paid in time"),
            (
                CancellationCause::CarNotBack,
                "was cancelled because the customer before you has not brought the car back",
            ),
            (CancellationCause::Staff, "was cancelled"),
            (CancellationCause::Unspecified, "was cancelled"),
        ] {
            let says = format!("Your reservation of the K5 (12가 3456) {DAY} {why}.");
            check(register, &ReservationCancelled { reservation: reservation(cause) }, "RESERVATION_CANCELLED", &says);
        }
    }

    #[test]
    fn an_event_without_a_reservation_is_malformed() {
        check_malformed(register, &CarRented { reservation: None }, "no reservation");
    }
}
