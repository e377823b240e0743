//! What customers are told when something happens elsewhere.
//!
//! | whenever                              | tell the customer                              |
//! |---------------------------------------|------------------------------------------------|
//! | `rental.v1.CarReserved`               | the car is kept, and what it costs             |
//! | `rental.v1.CarRented`                 | it is paid: the car is theirs                  |
//! | `rental.v1.CarReturned`               | thank you                                      |
//! | `rental.v1.ReservationCancelled`      | it is off, and why                             |
//! | `rental.v1.RentalCancellationRefused` | the money stays: the car was returned already  |
//! | `dispatch.v1.TaxiHailed`              | a taxi is looked for                           |
//! | `dispatch.v1.TaxiAllocated`           | a driver is on the way                         |
//! | `dispatch.v1.HailCancelled`           | no driver was free, if that was why            |
//! | `dispatch.v1.HailCancellationRefused` | the drive has started                          |
//! | `driving.v1.DriveStarted`             | have a good ride                               |
//! | `driving.v1.DriveFinished`            | the fare                                       |
//! | `payment.v1.PaymentApproved`          | what was used already is paid                  |
//! | `stay.v1.StayReserved`                | the nights are kept, what they cost, until when |
//! | `stay.v1.StayConfirmed`               | it is paid                                     |
//! | `stay.v1.StayCancelled`               | it is off, and why                             |
//! | `stay.v1.StayCancellationRefused`     | the money stays: the stay is too near or over  |
//! | `stay.v1.StayCompleted`               | thank you                                      |
//! | `voucher.v1.VoucherIssued`            | the code of the voucher, as registered mail    |
//! | `ride.v1.RideStarted`                 | the bike is theirs                             |
//! | `ride.v1.RideVoided`                  | the ride costs nothing                         |
//! | `billing.v1.BillClosed`               | what the ride cost                             |
//! | `billing.v1.BillInArrears`            | the deposit does not suffice                   |
//! | `wallet.v1.DepositToppedUp`           | how much the deposit is                        |
//! | `order.v1.OrderPlaced`                | it is ordered and paid                         |
//! | `order.v1.OrderConfirmed`             | it is in stock, the delivery is prepared       |
//! | `order.v1.OrderCancelled`             | it is off, and why                             |
//! | `order.v1.OrderCancellationRefused`   | the money stays: it is on its way              |
//! | `delivery.v1.DeliveryStarted`         | it is on its way                               |
//! | `delivery.v1.DeliveryCompleted`       | thank you                                      |
//! | `payment.v1.PaymentRefused`           | why, and that they may try again               |
//! | `payment.v1.PaymentCancelled`         | the money went back, if any was taken          |
//!
//! The words of each line of business are in a module of its name. The topics never change: apps know them.

use chassis::{Envelope, Malformed, Policy};
use contracts::voucher::v1::VoucherIssued;
use prost::Name;

use crate::domain::{Command, FlowId, Letter, Message, MessageId};
use crate::{bikes, cars, orders, payments, stays, taxis};

/// Who is told what; nobody, if there is nothing to tell.
pub type Told = Result<Option<Words>, Malformed>;

/// What is said, and to whom.
#[derive(Clone, Debug, PartialEq)]
pub struct Words {
    /// The subject of the customer.
    pub customer: String,
    /// The text.
    pub text: String,
}

/// The table above.
pub fn policy() -> Policy<Message> {
    let policy = Policy::new();
    let policy = tell(policy, "CAR_RESERVED", cars::reserved);
    let policy = tell(policy, "CAR_RENTED", cars::rented);
    let policy = tell(policy, "CAR_RETURNED", cars::returned);
    let policy = tell(policy, "RESERVATION_CANCELLED", cars::cancelled);
    let policy = tell(policy, "CANCELLATION_REFUSED", cars::cancellation_refused);
    let policy = tell(policy, "TAXI_HAILED", taxis::hailed);
    let policy = tell(policy, "TAXI_ALLOCATED", taxis::allocated);
    let policy = tell(policy, "NO_TAXI_FREE", taxis::cancelled);
    let policy = tell(policy, "TAXI_CANCELLATION_REFUSED", taxis::cancellation_refused);
    let policy = tell(policy, "DRIVE_STARTED", taxis::started);
    let policy = tell(policy, "DRIVE_FINISHED", taxis::finished);
    let policy = tell(policy, "STAY_RESERVED", stays::reserved);
    let policy = tell(policy, "STAY_CONFIRMED", stays::confirmed);
    let policy = tell(policy, "STAY_CANCELLED", stays::cancelled);
    let policy = tell(policy, "STAY_CANCELLATION_REFUSED", stays::cancellation_refused);
    let policy = tell(policy, "STAY_COMPLETED", stays::completed);
    let policy = policy.on(|told: VoucherIssued, event| write(event, "VOUCHER_ISSUED", stays::voucher(told)?, true));
    let policy = tell(policy, "BIKE_RENTED", bikes::started);
    let policy = tell(policy, "RIDE_VOIDED", bikes::voided);
    let policy = tell(policy, "BILL_SETTLED", bikes::settled);
    let policy = tell(policy, "BILL_IN_ARREARS", bikes::in_arrears);
    let policy = tell(policy, "DEPOSIT_TOPPED_UP", bikes::topped_up);
    let policy = tell(policy, "ORDER_PLACED", orders::placed);
    let policy = tell(policy, "ORDER_CONFIRMED", orders::confirmed);
    let policy = tell(policy, "ORDER_CANCELLED", orders::cancelled);
    let policy = tell(policy, "ORDER_CANCELLATION_REFUSED", orders::cancellation_refused);
    let policy = tell(policy, "DELIVERY_STARTED", orders::started);
    let policy = tell(policy, "DELIVERY_COMPLETED", orders::completed);
    let policy = tell(policy, "PAYMENT_RECEIVED", payments::received);
    let policy = tell(policy, "PAYMENT_REFUSED", payments::refused);
    tell(policy, "PAYMENT_REFUNDED", payments::refunded)
}

/// Whenever there is an `M`, these words are written, under the topic.
fn tell<M>(policy: Policy<Message>, topic: &'static str, words: fn(M) -> Told) -> Policy<Message>
where
    M: prost::Message + Name + Default + 'static,
{
    policy.on(move |told: M, event| write(event, topic, words(told)?, false))
}

fn write(
    event: &Envelope,
    topic: &str,
    words: Option<Words>,
    registered: bool,
) -> Result<Vec<(MessageId, Command)>, Malformed> {
    let Some(Words { customer, text }) = words else { return Ok(vec![]) };
    if customer.is_empty() {
        return Err(Malformed("no customer_id".into()));
    }
    let (id, flow) = (MessageId::new(event.event_id), FlowId::new(event.correlation_id));
    Ok(vec![(id, Command::Write(id, Letter { customer, flow, topic: topic.to_owned(), text, registered }))])
}

#[cfg(test)]
mod tests {
    use super::*;
    use chassis::Timestamp;
    use contracts::rental::v1::{CarReturned, Reservation};
    use prost::Message as _;

    fn returned(customer: &str) -> Envelope {
        let id: MessageId = "00000000-0000-4000-8000-000000000001".parse().expect("the test gives a UUID");
        let flow: FlowId = "00000000-0000-4000-8000-000000000002".parse().expect("the test gives a UUID");
        let reservation =
            Some(Reservation { customer_id: customer.into(), car_id: "K5".into(), ..Reservation::default() });
        Envelope {
            event_id: id.uuid(),
            kind: CarReturned::full_name(),
            source: String::new(),
            subject: String::new(),
            at: Timestamp::from_micros(0),
            correlation_id: flow.uuid(),
            causation_id: None,
            sequence: 1,
            traceparent: None,
            body: CarReturned { reservation }.encode_to_vec(),
        }
    }

    #[test]
    fn a_message_has_the_id_of_its_event_and_goes_to_its_customer() {
        let event = returned("ann");
        let (id, flow) = (MessageId::new(event.event_id), FlowId::new(event.correlation_id));
        let text = "Thank you for bringing car K5 back. How many stars do you give it?".into();
        let letter = Letter { customer: "ann".into(), flow, topic: "CAR_RETURNED".into(), text, registered: false };
        assert_eq!(policy().react(&event).expect("it is right"), [(id, Command::Write(id, letter))]);
    }

    #[test]
    fn an_event_without_a_customer_is_malformed() {
        assert!(policy().react(&returned("")).is_err());
    }
}
