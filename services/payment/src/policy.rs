//! What payments do when something happens elsewhere.
//!
//! | whenever                              | then                                           |
//! |---------------------------------------|------------------------------------------------|
//! | `rental.v1.CarReserved`               | request the payment of its price               |
//! | `rental.v1.ReservationCancelled`      | void the payment: refund what was paid         |
//! | `rental.v1.RentRefused`               | the same: it was paid too late                 |
//! | `rental.v1.RentalCancellationRefused` | keep the money                                 |
//! | `rental.v1.CarReturned`               | settle: it can't be cancelled any more         |
//! | `stay.v1.StayReserved`                | request the payment of its price               |
//! | `stay.v1.StayCancelled`               | void the payment: refund what was paid         |
//! | `stay.v1.StayCancellationRefused`     | keep the money                                 |
//! | `stay.v1.StayCompleted`               | settle: it can't be cancelled any more         |
//! | `wallet.v1.DepositToppedUp`           | settle: it may be spent already                |
//! | `order.v1.OrderDrafted`               | request the payment of its price               |
//! | `order.v1.OrderLapsed`                | void the payment: refund what was paid         |
//! | `order.v1.OrderCancelled`             | the same                                       |
//! | `order.v1.OrderCancellationRefused`   | keep the money                                 |
//! | `order.v1.OrderDelivered`             | settle: it can't be cancelled any more         |

use chassis::{Malformed, Policy, decode};
use contracts::order::v1::{
    Order, OrderCancellationRefused, OrderCancelled, OrderDelivered, OrderDrafted, OrderLapsed,
};
use contracts::rental::v1::{
    CarReserved, CarReturned, RentRefused, RentalCancellationRefused, Reservation, ReservationCancelled,
};
use contracts::stay::v1::{Stay, StayCancellationRefused, StayCancelled, StayCompleted, StayReserved};
use contracts::wallet::v1::DepositToppedUp;

use crate::domain::{Command, Owed, Payment, PaymentId, PurchaseId, payment_of};

type Reaction = Result<Vec<(PaymentId, Command)>, Malformed>;

/// The table above.
pub fn policy() -> Policy<Payment> {
    Policy::new()
        .on(|event: CarReserved, _| about(event.reservation, |purchase, r| Ok(Command::Request(purchase, owed(r)?))))
        .on(|event: ReservationCancelled, _| about(event.reservation, |purchase, _| Ok(Command::Void(purchase))))
        .on(|event: RentRefused, _| about(event.reservation, |purchase, _| Ok(Command::Void(purchase))))
        .on(|event: RentalCancellationRefused, _| about(event.reservation, |_, _| Ok(Command::Keep)))
        .on(|event: CarReturned, _| about(event.reservation, |_, _| Ok(Command::Settle)))
        .on(|event: StayReserved, _| about_stay(event.stay, |purchase, s| Ok(Command::Request(purchase, owed_for(s)?))))
        .on(|event: StayCancelled, _| about_stay(event.stay, |purchase, _| Ok(Command::Void(purchase))))
        .on(|event: StayCancellationRefused, _| about_stay(event.stay, |_, _| Ok(Command::Keep)))
        .on(|event: StayCompleted, _| about_stay(event.stay, |_, _| Ok(Command::Settle)))
        .on(|event: DepositToppedUp, _| {
            let purchase = decode::parsed("reason_id", &decode::present("entry", event.entry)?.reason_id)?;
            Ok(vec![(payment_of(purchase), Command::Settle)])
        })
        .on(|event: OrderDrafted, _| about_order(event.order, |id, o| Ok(Command::Request(id, owed_for_order(o)?))))
        .on(|event: OrderLapsed, _| about_order(event.order, |purchase, _| Ok(Command::Void(purchase))))
        .on(|event: OrderCancelled, _| about_order(event.order, |purchase, _| Ok(Command::Void(purchase))))
        .on(|event: OrderCancellationRefused, _| about_order(event.order, |_, _| Ok(Command::Keep)))
        .on(|event: OrderDelivered, _| about_order(event.order, |_, _| Ok(Command::Settle)))
}

fn about(
    reservation: Option<Reservation>,
    react: impl FnOnce(PurchaseId, Reservation) -> Result<Command, Malformed>,
) -> Reaction {
    let reservation = decode::present("reservation", reservation)?;
    let purchase: PurchaseId = decode::parsed("reservation_id", &reservation.reservation_id)?;
    Ok(vec![(payment_of(purchase), react(purchase, reservation)?)])
}

fn owed(reservation: Reservation) -> Result<Owed, Malformed> {
    let (amount, reference) = (decode::money("price", reservation.price)?, format!("car/{}", reservation.car_id));
    Ok(Owed { customer: reservation.customer_id, amount, reference, used: false })
}

fn about_stay(stay: Option<Stay>, react: impl FnOnce(PurchaseId, Stay) -> Result<Command, Malformed>) -> Reaction {
    let stay = decode::present("stay", stay)?;
    let purchase: PurchaseId = decode::parsed("stay_id", &stay.stay_id)?;
    Ok(vec![(payment_of(purchase), react(purchase, stay)?)])
}

fn owed_for(stay: Stay) -> Result<Owed, Malformed> {
    let (amount, reference) = (decode::money("price", stay.price)?, format!("stay/{}", stay.stay_id));
    Ok(Owed { customer: stay.customer_id, amount, reference, used: false })
}

fn about_order(order: Option<Order>, react: impl FnOnce(PurchaseId, Order) -> Result<Command, Malformed>) -> Reaction {
    let order = decode::present("order", order)?;
    let purchase: PurchaseId = decode::parsed("order_id", &order.order_id)?;
    Ok(vec![(payment_of(purchase), react(purchase, order)?)])
}

fn owed_for_order(order: Order) -> Result<Owed, Malformed> {
    let (amount, reference) = (decode::money("price", order.price)?, format!("order/{}", order.order_id));
    Ok(Owed { customer: order.customer_id, amount, reference, used: false })
}
