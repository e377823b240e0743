//! The policy of payments: their reactions to other contexts' events.
//!
//! `payment` names no seller. An event asks for a reaction by the option `nadeuri.options.v1.purchase` of its message,
//! which also says which field holds the purchase. A context whose contract has no such event publishes one of
//! `payment`'s:
//!
//! | whenever                                                | then                                   |
//! |---------------------------------------------------------|----------------------------------------|
//! | `payment.v1.PurchaseMade`, or the option is `REQUEST`   | request the payment of its price       |
//! | `payment.v1.PurchaseVoided`, or the option is `VOID`    | void the payment: refund what was paid, but what the seller keeps |
//! | `payment.v1.PurchaseKept`, or the option is `KEEP`      | keep the money                         |
//! | `payment.v1.PurchaseUsed`, or the option is `SETTLE`    | settle: it can't be cancelled any more |
//!
//! The seller is the context that published the event. A payment obeys its own seller alone.

use chassis::{Envelope, Malformed, Policy, decode};
use contracts::PurchaseRule;
use contracts::options::v1::PurchaseAction;

use crate::domain::{Command, Owed, Payment, PaymentId, PurchaseId, payment_of};

/// The table above.
pub fn policy() -> Policy<Payment> {
    let rules = contracts::EVENTS.iter().filter_map(|event| Some((event.name, event.purchase?)));
    rules.fold(Policy::new(), |policy, (kind, rule)| policy.on_kind(kind, move |event| react(rule, event)))
}

fn react(rule: PurchaseRule, event: &Envelope) -> Result<Vec<(PaymentId, Command)>, Malformed> {
    let purchase = (rule.read)(&event.body).map_err(Malformed)?;
    let id: PurchaseId = decode::parsed("purchase_id", &purchase.purchase_id)?;
    let command = match rule.action {
        PurchaseAction::Unspecified => return Ok(vec![]),
        PurchaseAction::Request => {
            let amount = decode::money("amount", purchase.amount)?;
            let (customer, reference, used) = (purchase.customer_id, purchase.seller_reference, purchase.used);
            Command::Request(id, Owed { seller: event.source.clone(), customer, amount, reference, used })
        }
        PurchaseAction::Void => {
            let kept = purchase.amount.map(|kept| decode::money("kept", Some(kept))).transpose()?;
            Command::Void { purchase: id, seller: event.source.clone(), kept: kept.map_or(0, |kept| kept.minor) }
        }
        PurchaseAction::Keep => Command::Keep(event.source.clone()),
        PurchaseAction::Settle => Command::Settle(event.source.clone()),
    };
    Ok(vec![(payment_of(id), command)])
}
