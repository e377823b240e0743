//! The policy of drives: their reactions to other contexts' events.
//!
//! | whenever                                | then                                                          |
//! |-----------------------------------------|---------------------------------------------------------------|
//! | `dispatch.v1.TaxiHailed`                | offer the drive                                               |
//! | `dispatch.v1.HailCancellationRequested` | cancel the drive; if it has started, refuse                   |
//! | `payment.v1.PaymentApproved`            | the fare is paid                                              |
//! | `payment.v1.PaymentRefused`             | the fare waits for another card                               |
//!
//! Payments of other sellers are ignored: a payment names its seller.

use chassis::{Malformed, Policy, decode};
use contracts::dispatch::v1::{Hail, HailCancellationRequested, TaxiHailed};
use contracts::payment::v1::{Payment, PaymentApproved, PaymentRefused};

use crate::CONTEXT;
use crate::domain::{Command, Drive, DriveId, HailId, Limits, Trip, drive_of};

type Reaction = Result<Vec<(DriveId, Command)>, Malformed>;

/// The table above. A drive is offered for as long as the limits say.
pub fn policy(limits: Limits) -> Policy<Drive> {
    Policy::new()
        .on(move |event: TaxiHailed, _| offer(event.hail, limits.offered))
        .on(|event: HailCancellationRequested, _| {
            let hail: HailId = decode::parsed("hail_id", &decode::present("hail", event.hail)?.hail_id)?;
            Ok(vec![(drive_of(hail), Command::CallOff(hail))])
        })
        .on(|event: PaymentApproved, _| {
            about(event.payment, |payment| Ok(Command::Paid(decode::parsed("payment_id", &payment.payment_id)?)))
        })
        .on(|event: PaymentRefused, _| about(event.payment, |_| Ok(Command::Refused)))
}

/// The seller's reference in a payment: the drive.
pub fn reference(drive: DriveId) -> String {
    format!("taxi/{drive}")
}

fn offer(hail: Option<Hail>, open_for: std::time::Duration) -> Reaction {
    let Hail { hail_id, customer_id, pickup, destination, payment_method, start_code, .. } =
        decode::present("hail", hail)?;
    let (pickup, destination) = (decode::place("pickup", pickup)?, decode::place("destination", destination)?);
    if pickup.position.is_none() {
        return Err(Malformed("pickup without position".into()));
    }
    let hail: HailId = decode::parsed("hail_id", &hail_id)?;
    let trip = Trip { customer: customer_id, pickup, destination, payment_method, start_code };
    Ok(vec![(drive_of(hail), Command::Offer { hail, trip, open_for })])
}

fn about(payment: Option<Payment>, command: impl FnOnce(Payment) -> Result<Command, Malformed>) -> Reaction {
    let payment = decode::present("payment", payment)?;
    if payment.sold_by() != CONTEXT.name {
        return Ok(vec![]);
    }
    let hail: HailId = decode::parsed("purchase_id", &payment.purchase_id)?;
    Ok(vec![(drive_of(hail), command(payment)?)])
}
