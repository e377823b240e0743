//! The policy of calendars: their reactions to other contexts' events.
//!
//! | whenever                                  | then                                                     |
//! |-------------------------------------------|----------------------------------------------------------|
//! | `fleet.v1.CarRegistered`                  | open the car's calendar                                  |
//! | `fleet.v1.CarTransferred`                 | note the owner of the car and of its open reservations   |
//! | `payment.v1.PaymentApproved`              | rent; if it was cancelled meanwhile, refuse the rent     |
//! |                                           | if it is for a late fee, note that it is paid            |
//! | `payment.v1.PaymentCancellationRequested` | cancel the rental; if its period has begun, refuse       |
//! | `payment.v1.PaymentCancelled`             | cancel the reservation that it was for, if it is unpaid  |
//!
//! Payments of other sellers are ignored: a payment names its seller.

use chassis::{Malformed, Policy, decode};
use contracts::fleet::v1::{Car, CarRegistered, CarTransferred};
use contracts::payment::v1::{Payment, PaymentApproved, PaymentCancellationRequested, PaymentCancelled};

use crate::CONTEXT;
use crate::domain::{Calendar, CarId, CarName, Command, PaymentId, ReservationId, Terms};

type Reaction = Result<Vec<(CarId, Command)>, Malformed>;

/// The table above.
pub fn policy(terms: Terms) -> Policy<Calendar> {
    Policy::new()
        .on(|event: CarRegistered, _| register(event.car))
        .on(|event: CarTransferred, _| {
            let car = decode::present("car", event.car)?;
            let id = decode::parsed("car_id", &car.car_id)?;
            Ok(vec![(id, Command::Transfer(id, car.owner_id))])
        })
        .on(|event: PaymentApproved, _| match late_fee(event.payment.as_ref())? {
            Some((car, reservation)) => Ok(vec![(car, Command::PayLateFee(reservation))]),
            None => about(event.payment, Command::Rent),
        })
        .on(move |event: PaymentCancellationRequested, _| about(event.payment, |id, _| Command::TakeBack(id, terms)))
        .on(|event: PaymentCancelled, _| about(event.payment, |id, _| Command::Drop(id)))
}

/// What the reference of a late fee begins with.
const LATE_FEE: &str = "late-fee/";

/// The seller's reference in the payment of a late fee: the car and the reservation.
pub fn late_fee_reference(car: CarId, reservation: ReservationId) -> String {
    format!("{LATE_FEE}{car}/{reservation}")
}

/// The car and the reservation whose late fee a payment is for, if it is for one.
fn late_fee(payment: Option<&Payment>) -> Result<Option<(CarId, ReservationId)>, Malformed> {
    let payment = payment.filter(|payment| payment.sold_by() == CONTEXT.name);
    let of_fee = payment.and_then(|payment| payment.seller_reference.strip_prefix(LATE_FEE));
    let Some(reference) = of_fee else { return Ok(None) };
    let (car, reservation) = reference.split_once('/').unwrap_or((reference, ""));
    Ok(Some((decode::parsed("seller_reference", car)?, decode::parsed("seller_reference", reservation)?)))
}

/// The seller's reference in a payment, as in the contract of `CarReserved`: the car.
pub fn reference(car: CarId) -> String {
    format!("car/{car}")
}

fn register(car: Option<Car>) -> Reaction {
    let car = decode::present("car", car)?;
    let daily_rate = decode::money("daily_rate", car.daily_rate)?;
    let id = decode::parsed("car_id", &car.car_id)?;
    let name = CarName { model: car.model, plate: car.plate };
    Ok(vec![(id, Command::Register { car: id, rate: daily_rate, name, owner: car.owner_id })])
}

fn about(payment: Option<Payment>, command: impl FnOnce(ReservationId, PaymentId) -> Command) -> Reaction {
    let payment = decode::present("payment", payment)?;
    if payment.sold_by() != CONTEXT.name || payment.seller_reference.starts_with(LATE_FEE) {
        return Ok(vec![]);
    }
    let car = payment.seller_reference.trim_start_matches("car/");
    let reservation = decode::parsed("purchase_id", &payment.purchase_id)?;
    let command = command(reservation, decode::parsed("payment_id", &payment.payment_id)?);
    Ok(vec![(decode::parsed("seller_reference", car)?, command)])
}
