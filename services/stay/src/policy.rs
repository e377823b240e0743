//! The policy of stays: their reactions to other contexts' events.
//!
//! | whenever                                  | then                                                       |
//! |-------------------------------------------|------------------------------------------------------------|
//! | `payment.v1.PaymentApproved`              | confirm; a cancelled one stays so, and the money goes back |
//! | `payment.v1.PaymentCancellationRequested` | cancel; if it is too near or over, refuse                  |
//! | `payment.v1.PaymentCancelled`             | cancel the stay that it was for, if it is unpaid           |
//! | `resort.v1.HoldLost`                      | cancel: others have its nights                             |
//!
//! Payments of other sellers are ignored: a payment names its seller.

use chassis::{Malformed, Policy, decode};
use contracts::payment::v1::{Payment, PaymentApproved, PaymentCancellationRequested, PaymentCancelled};
use contracts::resort::v1::HoldLost;

use crate::CONTEXT;
use crate::domain::{Command, PaymentId, Stay, StayId};

type Reaction = Result<Vec<(StayId, Command)>, Malformed>;

/// The table above.
pub fn policy() -> Policy<Stay> {
    Policy::new()
        .on(|event: PaymentApproved, _| about(event.payment, Command::Confirm))
        .on(|event: PaymentCancellationRequested, _| about(event.payment, |_| Command::TakeBack))
        .on(|event: PaymentCancelled, _| about(event.payment, |_| Command::Drop))
        .on(|event: HoldLost, _| {
            let hold = decode::present("hold", event.hold)?;
            Ok(vec![(decode::parsed("stay_id", &hold.stay_id)?, Command::Lose)])
        })
}

fn about(payment: Option<Payment>, command: impl FnOnce(PaymentId) -> Command) -> Reaction {
    let payment = decode::present("payment", payment)?;
    if payment.sold_by() != CONTEXT.name {
        return Ok(vec![]);
    }
    let stay = decode::parsed("purchase_id", &payment.purchase_id)?;
    Ok(vec![(stay, command(decode::parsed("payment_id", &payment.payment_id)?))])
}
