//! The policy of calendars: their reactions to other contexts' events.
//!
//! | whenever                                  | then                                                     |
//! |-------------------------------------------|----------------------------------------------------------|
//! | `fleet.v1.CarRegistered`                  | open the car's calendar                                  |
//! | `payment.v1.PaymentApproved`              | rent; if it was cancelled meanwhile, refuse the rent     |
//! | `payment.v1.PaymentCancellationRequested` | cancel the rental; if the car is back, refuse            |
//! | `payment.v1.PaymentCancelled`             | cancel the reservation that it was for, if it is unpaid  |
//!
//! Payments of other sellers are ignored: a payment names its seller.

use chassis::{Malformed, Policy, decode};
use contracts::fleet::v1::{Car, CarRegistered};
use contracts::payment::v1::{Payment, PaymentApproved, PaymentCancellationRequested, PaymentCancelled};

use crate::CONTEXT;
use crate::domain::{Calendar, CarId, Command, PaymentId, ReservationId};

type Reaction = Result<Vec<(CarId, Command)>, Malformed>;

/// The table above.
pub fn policy() -> Policy<Calendar> {
    Policy::new()
        .on(|event: CarRegistered, _| register(event.car))
        .on(|event: PaymentApproved, _| about(event.payment, Command::Rent))
        .on(|event: PaymentCancellationRequested, _| about(event.payment, |id, _| Command::TakeBack(id)))
        .on(|event: PaymentCancelled, _| about(event.payment, |id, _| Command::Drop(id)))
}

/// The seller's reference in a payment, as in the contract of `CarReserved`: the car.
pub fn reference(car: CarId) -> String {
    format!("car/{car}")
}

fn register(car: Option<Car>) -> Reaction {
    let car = decode::present("car", car)?;
    let daily_rate = decode::money("daily_rate", car.daily_rate)?;
    let id = decode::parsed("car_id", &car.car_id)?;
    Ok(vec![(id, Command::Register(id, daily_rate))])
}

fn about(payment: Option<Payment>, command: impl FnOnce(ReservationId, PaymentId) -> Command) -> Reaction {
    let payment = decode::present("payment", payment)?;
    if payment.sold_by() != CONTEXT.name {
        return Ok(vec![]);
    }
    let car = payment.seller_reference.trim_start_matches("car/");
    let reservation = decode::parsed("purchase_id", &payment.purchase_id)?;
    let command = command(reservation, decode::parsed("payment_id", &payment.payment_id)?);
    Ok(vec![(decode::parsed("seller_reference", car)?, command)])
}
