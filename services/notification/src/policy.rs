//! The policy of messages: other contexts' events, and the messages that they lead to.
//!
//! | whenever                              | tell the customer                              |
//! |---------------------------------------|------------------------------------------------|
//! | `rental.v1.CarReserved`               | the car is kept, and what it costs             |
//! | `rental.v1.CarRented`                 | it is paid: the car is theirs                  |
//! | `rental.v1.CarReturned`               | thank you                                      |
//! | `rental.v1.ReservationCancelled`      | it is off, and why                             |
//! | `rental.v1.RentalOverdue`             | please bring the car back                      |
//! | `rental.v1.CarDelayed`                | the car that they have next is not back        |
//! | `rental.v1.LateFeeCharged`            | what the late return costs                     |
//! | `rental.v1.RentalCancellationRefused` | the money stays: the period has begun          |
//! | `dispatch.v1.TaxiHailed`              | a taxi is looked for                           |
//! | `dispatch.v1.TaxiAllocated`           | a driver is on the way                         |
//! | `dispatch.v1.TaxiReleased`            | the driver won't come, another one is looked for |
//! | `dispatch.v1.HailCancelled`           | why, unless the customer cancelled             |
//! | `dispatch.v1.HailCancellationRefused` | the drive has started                          |
//! | `driving.v1.DriveStarted`             | have a good ride                               |
//! | `driving.v1.DriveFinished`            | the fare                                       |
//! | `payment.v1.PaymentApproved`          | what was used already is paid                  |
//! | `stay.v1.StayReserved`                | the nights are kept, what they cost, until when |
//! | `stay.v1.StayConfirmed`               | it is paid                                     |
//! | `stay.v1.StayCancelled`               | it is off, and why                             |
//! | `stay.v1.StayCancellationRefused`     | the money stays: the stay is too near or over  |
//! | `stay.v1.StayCompleted`               | thank you                                      |
//! | `voucher.v1.VoucherIssued`            | the code of the voucher, for their eyes alone  |
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
//! | `payment.v1.PaymentRefunded`          | a part of the money went back                  |
//!
//! Each line of business has its templates in a module of its name. The topics never change: apps know them.

use chassis::Policy;

use crate::domain::Message;
use crate::template::Templates;
use crate::{bikes, cars, orders, payments, stays, taxis};

/// The table above.
pub fn policy() -> Policy<Message> {
    let lines =
        [cars::register, taxis::register, stays::register, bikes::register, orders::register, payments::register];
    lines.into_iter().fold(Templates::default(), |templates, register| register(templates)).into_policy()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Command, Content, FlowId, MessageId};
    use crate::template::testing::envelope;
    use contracts::rental::v1::{CarReturned, Reservation};
    use contracts::voucher::v1::{Voucher, VoucherIssued};

    fn returned(customer: &str) -> CarReturned {
        let (customer_id, car_id) = (customer.into(), "K5".into());
        CarReturned { reservation: Some(Reservation { customer_id, car_id, ..Reservation::default() }) }
    }

    #[test]
    fn a_message_has_the_id_of_its_event_and_goes_to_its_customer() {
        let event = envelope(&returned("ann"));
        let (id, flow) = (MessageId::new(event.event_id), FlowId::new(event.correlation_id));
        let text = "Thank you for bringing car K5 back. How many stars do you give it?".into();
        let content = Content { customer: "ann".into(), flow, topic: "CAR_RETURNED".into(), text, sensitive: false };
        assert_eq!(policy().react(&event).expect("it is right"), [(id, Command::Write(id, content))]);
    }

    #[test]
    fn only_the_code_of_a_voucher_is_sensitive() {
        let dates = Some(contracts::period::v1::Dates::default());
        let voucher = Some(Voucher { customer_id: "ann".into(), dates, ..Voucher::default() });
        let commands = policy().react(&envelope(&VoucherIssued { voucher })).expect("it is right");
        assert!(matches!(&*commands, [(_, Command::Write(_, content))] if content.sensitive), "{commands:?}");
    }

    #[test]
    fn an_event_without_a_customer_is_malformed() {
        assert!(policy().react(&envelope(&returned(""))).is_err());
    }
}
