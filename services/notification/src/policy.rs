//! What customers are told when something happens elsewhere.
//!
//! | whenever                              | tell the customer                              |
//! |---------------------------------------|------------------------------------------------|
//! | `rental.v1.CarReserved`               | the car is kept, and what it costs             |
//! | `rental.v1.CarRented`                 | it is paid: the car is theirs                  |
//! | `rental.v1.CarReturned`               | thank you                                      |
//! | `rental.v1.ReservationCancelled`      | it is off, and why                             |
//! | `rental.v1.RentalCancellationRefused` | the money stays: the car was returned already  |
//! | `payment.v1.PaymentRefused`           | why, and that they may try again               |
//! | `payment.v1.PaymentCancelled`         | the money went back, if any was taken          |

use chassis::{Envelope, Malformed, Policy};
use contracts::payment::v1::{Payment, PaymentCancelled, PaymentRefused};
use contracts::rental::v1::{
    CancellationCause, CarRented, CarReserved, CarReturned, RentalCancellationRefused, Reservation,
    ReservationCancelled,
};

use crate::domain::{Command, FlowId, Letter, Message, MessageId};
use crate::text;

/// What a message can be about: `topic` in the contract. They never change.
pub mod topic {
    /// The car is kept.
    pub const CAR_RESERVED: &str = "CAR_RESERVED";
    /// The car is theirs.
    pub const CAR_RENTED: &str = "CAR_RENTED";
    /// The car is back.
    pub const CAR_RETURNED: &str = "CAR_RETURNED";
    /// The reservation or rental is off.
    pub const RESERVATION_CANCELLED: &str = "RESERVATION_CANCELLED";
    /// The rental can't be taken back.
    pub const CANCELLATION_REFUSED: &str = "CANCELLATION_REFUSED";
    /// The processor declined.
    pub const PAYMENT_REFUSED: &str = "PAYMENT_REFUSED";
    /// The money went back.
    pub const PAYMENT_REFUNDED: &str = "PAYMENT_REFUNDED";
}

type Reaction = Result<Vec<(MessageId, Command)>, Malformed>;

/// The table above.
pub fn policy() -> Policy<Message> {
    Policy::new()
        .on(|event: CarReserved, e| about_reservation(e, topic::CAR_RESERVED, event.reservation, reserved))
        .on(|event: CarRented, e| about_reservation(e, topic::CAR_RENTED, event.reservation, rented))
        .on(|event: CarReturned, e| about_reservation(e, topic::CAR_RETURNED, event.reservation, returned))
        .on(|event: ReservationCancelled, e| {
            about_reservation(e, topic::RESERVATION_CANCELLED, event.reservation, cancelled)
        })
        .on(|event: RentalCancellationRefused, e| {
            about_reservation(e, topic::CANCELLATION_REFUSED, event.reservation, cancellation_refused)
        })
        .on(|event: PaymentRefused, e| about_payment(e, topic::PAYMENT_REFUSED, event.payment, refused))
        .on(payment_cancelled)
}

fn payment_cancelled(cancelled: PaymentCancelled, event: &Envelope) -> Reaction {
    match &cancelled.payment {
        // Nothing was taken, so there is nothing to tell.
        Some(payment) if !payment.refunded => Ok(vec![]),
        _ => about_payment(event, topic::PAYMENT_REFUNDED, cancelled.payment, refunded),
    }
}

fn about_reservation(
    event: &Envelope,
    topic: &str,
    reservation: Option<Reservation>,
    tell: impl FnOnce(&Reservation) -> Result<String, Malformed>,
) -> Reaction {
    let reservation = reservation.ok_or_else(|| Malformed("no reservation".into()))?;
    let text = tell(&reservation)?;
    write(event, topic, reservation.customer_id, text)
}

fn about_payment(
    event: &Envelope,
    topic: &str,
    payment: Option<Payment>,
    tell: impl FnOnce(&Payment) -> Result<String, Malformed>,
) -> Reaction {
    let payment = payment.ok_or_else(|| Malformed("no payment".into()))?;
    let text = tell(&payment)?;
    write(event, topic, payment.customer_id, text)
}

fn write(event: &Envelope, topic: &str, customer: String, text: String) -> Reaction {
    if customer.is_empty() {
        return Err(Malformed("no customer_id".into()));
    }
    let (id, flow) = (MessageId::new(event.event_id), FlowId::new(event.correlation_id));
    Ok(vec![(id, Command::Write(id, Letter { customer, flow, topic: topic.to_owned(), text }))])
}

fn reserved(reservation: &Reservation) -> Result<String, Malformed> {
    let (car, period) = (&reservation.car_id, text::period(reservation.period.as_ref())?);
    let price = text::amount(reservation.price.as_ref())?;
    Ok(format!("We keep car {car} for you {period}. It costs {price}; please pay soon to make it yours."))
}

fn rented(reservation: &Reservation) -> Result<String, Malformed> {
    let (car, period) = (&reservation.car_id, text::period(reservation.period.as_ref())?);
    let price = text::amount(reservation.price.as_ref())?;
    Ok(format!("Car {car} is yours {period}. We received {price}. Have a good trip!"))
}

fn returned(reservation: &Reservation) -> Result<String, Malformed> {
    let car = &reservation.car_id;
    Ok(format!("Thank you for bringing car {car} back. How many stars do you give it?"))
}

fn cancelled(reservation: &Reservation) -> Result<String, Malformed> {
    let (car, period) = (&reservation.car_id, text::period(reservation.period.as_ref())?);
    let why = match reservation.cancellation_cause() {
        CancellationCause::Customer => "was cancelled by you",
        CancellationCause::Payment => "was cancelled because you cancelled its payment",
        CancellationCause::Unpaid => "was cancelled because it was not paid in time",
        CancellationCause::Unspecified => "was cancelled",
    };
    Ok(format!("Your reservation of car {car} {period} {why}."))
}

fn cancellation_refused(reservation: &Reservation) -> Result<String, Malformed> {
    let (car, price) = (&reservation.car_id, text::amount(reservation.price.as_ref())?);
    Ok(format!("We can't give {price} for car {car} back to you, for the car was returned already."))
}

fn refused(payment: &Payment) -> Result<String, Malformed> {
    let (amount, why) = (text::amount(payment.amount.as_ref())?, &payment.refusal);
    Ok(format!("Your payment of {amount} was refused: {why}. You can try again, or take another payment method."))
}

fn refunded(payment: &Payment) -> Result<String, Malformed> {
    let amount = text::amount(payment.amount.as_ref())?;
    Ok(format!("Your payment was cancelled, and {amount} went back to you."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use chassis::Timestamp;
    use contracts::{money, period};

    fn event() -> Envelope {
        let id: MessageId = "00000000-0000-4000-8000-000000000001".parse().expect("the test gives a UUID");
        let flow: FlowId = "00000000-0000-4000-8000-000000000002".parse().expect("the test gives a UUID");
        Envelope {
            event_id: id.uuid(),
            kind: String::new(),
            source: String::new(),
            subject: String::new(),
            at: Timestamp::from_micros(0),
            correlation_id: flow.uuid(),
            causation_id: None,
            sequence: 1,
            traceparent: None,
            body: Vec::new(),
        }
    }

    fn price() -> Option<money::v1::Money> {
        Some(money::v1::Money { currency_code: "KRW".into(), amount_minor: 120_000 })
    }

    fn reservation() -> Reservation {
        let time = |seconds: i64| Some(prost_types::Timestamp { seconds, nanos: 0 });
        Reservation {
            customer_id: "ann".into(),
            car_id: "K5".into(),
            period: Some(period::v1::Period { start_time: time(0), end_time: time(86_400) }),
            price: price(),
            ..Reservation::default()
        }
    }

    fn payment(refunded: bool) -> Payment {
        let refusal = "the card was declined".into();
        Payment { customer_id: "ann".into(), amount: price(), refusal, refunded, ..Payment::default() }
    }

    #[track_caller]
    fn check(text: Result<String, Malformed>, says: &str) {
        assert_eq!(text.expect("it is right"), says);
    }

    #[test]
    fn a_message_has_the_id_of_its_event_and_goes_to_its_customer() {
        let event = event();
        let reaction = about_reservation(&event, topic::CAR_RESERVED, Some(reservation()), |_| Ok("hello".into()));
        let (id, flow) = (MessageId::new(event.event_id), FlowId::new(event.correlation_id));
        let letter = Letter { customer: "ann".into(), flow, topic: "CAR_RESERVED".into(), text: "hello".into() };
        assert_eq!(reaction.expect("it is right"), [(id, Command::Write(id, letter))]);
    }

    #[test]
    fn a_message_names_the_car_the_period_and_the_amount() {
        let day = "from 1970-01-01 00:00 to 1970-01-02 00:00 UTC";
        let says = format!("We keep car K5 for you {day}. It costs KRW 120,000; please pay soon to make it yours.");
        check(reserved(&reservation()), &says);
        check(rented(&reservation()), &format!("Car K5 is yours {day}. We received KRW 120,000. Have a good trip!"));
        check(returned(&reservation()), "Thank you for bringing car K5 back. How many stars do you give it?");
        let says = "We can't give KRW 120,000 for car K5 back to you, for the car was returned already.";
        check(cancellation_refused(&reservation()), says);
    }

    #[test]
    fn a_cancellation_tells_its_cause() {
        for (cause, why) in [
            (CancellationCause::Customer, "was cancelled by you"),
            (CancellationCause::Payment, "was cancelled because you cancelled its payment"),
            (CancellationCause::Unpaid, "was cancelled because it was not paid in time"),
            (CancellationCause::Unspecified, "was cancelled"),
        ] {
            let reservation = Reservation { cancellation_cause: cause.into(), ..reservation() };
            let day = "from 1970-01-01 00:00 to 1970-01-02 00:00 UTC";
            check(cancelled(&reservation), &format!("Your reservation of car K5 {day} {why}."));
        }
    }

    #[test]
    fn a_refused_payment_tells_why() {
        let says = "Your payment of KRW 120,000 was refused: the card was declined. \
                    You can try again, or take another payment method.";
        check(refused(&payment(false)), says);
    }

    #[test]
    fn a_cancelled_payment_is_told_only_if_money_went_back() {
        let told = |refunded| {
            let cancelled = PaymentCancelled { payment: Some(payment(refunded)) };
            payment_cancelled(cancelled, &event()).expect("it is right").len()
        };
        assert_eq!((told(false), told(true)), (0, 1));
        check(refunded(&payment(true)), "Your payment was cancelled, and KRW 120,000 went back to you.");
    }

    #[test]
    fn an_event_that_breaks_its_contract_is_malformed() {
        assert!(about_reservation(&event(), topic::CAR_RENTED, None, rented).is_err());
        assert!(about_payment(&event(), topic::PAYMENT_REFUSED, Some(Payment::default()), refused).is_err());
        let nobody = Reservation { customer_id: String::new(), ..reservation() };
        assert!(about_reservation(&event(), topic::CAR_RETURNED, Some(nobody), returned).is_err());
    }
}
