//! Payments in a table, and the events that they publish.

use chassis::db::{Name, prelude::*};
use chassis::page::Cursor;
use chassis::values::{Currency, Intervention, Money};
use chassis::{Error, Page, Publication, Store, Timestamp, Tx, newest};
use contracts::payment::v1 as proto;

use crate::domain::{Command, Event, Owed, Payment, PaymentId, PurchaseId, State, Then};

chassis::table! {
    /// A payment. One of which only a cancellation is known has no customer and no amount.
    payments (id) of Payment as Row with version, wake_at, last_event {
        id: PaymentId as SqlUuid,
        purchase: PurchaseId as SqlUuid,
        charge: u32 as Integer,
        refund: u32 as Integer,
        created_at: Timestamp as SqlTime,
        updated_at: Timestamp as SqlTime,
    }
    columns |payment| {
        customer: Option<String> as Nullable<Text> = payment.owed.as_ref().map(|owed| owed.customer.clone()),
        amount_minor: Option<i64> as Nullable<BigInt> = payment.owed.as_ref().map(|owed| owed.amount.minor),
        currency: Option<Currency> as Nullable<Text> = payment.owed.as_ref().map(|owed| owed.amount.currency),
        reference: Option<String> as Nullable<Text> = payment.owed.as_ref().map(|owed| owed.reference.clone()),
        seller: String as Text = payment.seller.clone(),
        used: bool as Bool = payment.is_used(),
        state: Name<proto::PaymentState> as Text = Name(shown(&payment.state)),
        // For replicas of older versions, which run beside newer ones during an upgrade.
        refunded: bool as Bool = payment.state == State::Cancelled { refunded: true },
        refunded_minor: i64 as BigInt = payment.refunded,
        refunding_minor: Option<i64> as Nullable<BigInt> = refunding(&payment.state).map(|(amount, _)| amount),
        // What the payment is after the refund, if it is not cancelled.
        then_state: Name<proto::PaymentState> as Text = Name(match refunding(&payment.state) {
            Some((_, Then::Approved)) => proto::PaymentState::Approved,
            Some((_, Then::Settled)) => proto::PaymentState::Settled,
            Some((_, Then::Void { .. })) | None => proto::PaymentState::Unspecified,
        }),
        refusal: String as Text = payment.refusal().to_owned(),
        attempt: u32 as Integer = payment.attempt(),
        method: String as Text = charging(&payment.state).map(|(method, ..)| method.to_owned()).unwrap_or_default(),
        next_method: Option<String> as Nullable<Text> = charging(&payment.state).and_then(|(_, next, _)| next.cloned()),
        voided: bool as Bool = charging(&payment.state).is_some_and(|(_, _, kept)| kept.is_some()),
        // What the seller keeps of a purchase that was voided.
        kept_minor: i64 as BigInt = kept(&payment.state),
        intervened_by: Option<String> as Nullable<Text> = payment.intervention.as_ref().map(|it| it.staff.clone()),
        intervention_reason: Option<String> as Nullable<Text> =
            payment.intervention.as_ref().map(|it| it.reason.clone()),
        intervened_at: Option<Timestamp> as Nullable<SqlTime> = payment.intervention.as_ref().map(|it| it.at),
    }
    fields |row, corrupt| {
        seller: row.seller.clone(),
        refunded: row.refunded_minor,
        intervention: Intervention::from_columns(row.intervened_by, row.intervention_reason, row.intervened_at),
        owed: match (row.customer, row.amount_minor, row.currency, row.reference) {
            (Some(customer), Some(minor), Some(currency), Some(reference)) => {
                let amount = Money { minor, currency };
                Some(Owed { seller: row.seller, customer, amount, reference, used: row.used })
            }
            (None, None, None, None) => None,
            _ => return Err(corrupt("amount")),
        },
        state: {
            let attempt = row.attempt as u32;
            match (Name::parse(&row.state), row.wake_at) {
                (Some(proto::PaymentState::Requested), None) => State::Requested,
                (Some(proto::PaymentState::Charging), Some(ask_at)) => {
                    let voided = row.voided.then_some(row.kept_minor);
                    State::Charging { method: row.method, attempt, ask_at, voided, next: row.next_method }
                }
                (Some(proto::PaymentState::Approved), None) => State::Approved,
                (Some(proto::PaymentState::Refused), None) => State::Refused(row.refusal),
                (Some(proto::PaymentState::Cancelling), None) => State::Cancelling,
                (Some(proto::PaymentState::Refunding), Some(ask_at)) => {
                    let amount = row.refunding_minor.or(row.amount_minor).ok_or_else(|| corrupt("refund"))?;
                    let then = match Name::parse(&row.then_state) {
                        Some(proto::PaymentState::Approved) => Then::Approved,
                        Some(proto::PaymentState::Settled) => Then::Settled,
                        _ => Then::Void { kept: row.kept_minor },
                    };
                    State::Refunding { amount, then, attempt, ask_at }
                }
                (Some(proto::PaymentState::Cancelled), None) => State::Cancelled { refunded: row.refunded },
                (Some(proto::PaymentState::Settled), None) => State::Settled,
                _ => return Err(corrupt("state")),
            }
        },
    }
}

impl Store for Payment {
    type Answer = proto::Payment;

    chassis::flat!(Row in payments);

    chassis::due!(payments, id);

    fn answer(&self, _: &Command) -> proto::Payment {
        self.into()
    }

    fn publish(&self, event: &Event) -> Option<Publication> {
        let payment = self.owed.as_ref().map(|_| proto::Payment::from(self));
        let about = Publication::about(self.id, self.purchase.uuid());
        match event {
            Event::Requested(..) => about.publish(&proto::PaymentRequested { payment }),
            Event::Approved(_) => about.publish(&proto::PaymentApproved { payment }),
            Event::Refused(..) => about.publish(&proto::PaymentRefused { payment }),
            Event::CancellationRequested(_) => about.publish(&proto::PaymentCancellationRequested { payment }),
            Event::CancellationRefused(_) => about.publish(&proto::PaymentCancellationRefused { payment }),
            Event::Cancelled(_) => about.publish(&proto::PaymentCancelled { payment }),
            Event::Settled(_) => about.publish(&proto::PaymentSettled { payment }),
            Event::PartRefunded(_) => about.publish(&proto::PaymentRefunded { payment }),
            // The first silence of the processor is published: from then on it may take long.
            Event::Postponed(_) if self.attempt() == 1 => about.publish(&proto::PaymentDelayed { payment }),
            // Other calls of the processor are not.
            Event::Barred(..)
            | Event::ChargeStarted(..)
            | Event::VoidNoted(_)
            | Event::MethodReplaced(_)
            | Event::Intervened(_)
            | Event::Postponed(_)
            | Event::RefundStarted(..) => None,
        }
    }
}

/// A page of payments, newest first: those of a customer, or all; of a purchase, or of all.
pub async fn list(
    tx: Tx<'_>,
    customer: Option<&str>,
    purchase: Option<PurchaseId>,
    page: &Page<Cursor>,
) -> Result<(Vec<proto::Payment>, String), Error> {
    newest!(
        tx, page, Row in payments by created_at where payments::customer.is_not_null();
        customer: payments::customer.eq(customer), purchase: payments::purchase.eq(purchase);
        |row| (&row.read()?).into()
    )
}

/// The state in the contract.
fn shown(state: &State) -> proto::PaymentState {
    match state {
        State::Requested => proto::PaymentState::Requested,
        State::Charging { .. } => proto::PaymentState::Charging,
        State::Approved => proto::PaymentState::Approved,
        State::Refused(_) => proto::PaymentState::Refused,
        State::Cancelling => proto::PaymentState::Cancelling,
        State::Refunding { .. } => proto::PaymentState::Refunding,
        State::Cancelled { .. } => proto::PaymentState::Cancelled,
        State::Settled => proto::PaymentState::Settled,
    }
}

fn charging(state: &State) -> Option<(&str, Option<&String>, Option<i64>)> {
    match state {
        State::Charging { method, next, voided, .. } => Some((method, next.as_ref(), *voided)),
        _ => None,
    }
}

fn refunding(state: &State) -> Option<(i64, Then)> {
    if let State::Refunding { amount, then, .. } = state { Some((*amount, *then)) } else { None }
}

fn kept(state: &State) -> i64 {
    match state {
        State::Charging { voided: Some(kept), .. } | State::Refunding { then: Then::Void { kept }, .. } => *kept,
        _ => 0,
    }
}

impl From<&Payment> for proto::Payment {
    fn from(payment: &Payment) -> Self {
        let owed = payment.owed.as_ref();
        proto::Payment {
            payment_id: payment.id.to_string(),
            purchase_id: payment.purchase.to_string(),
            customer_id: owed.map(|owed| owed.customer.clone()).unwrap_or_default(),
            amount: owed.map(|owed| owed.amount.into()),
            state: shown(&payment.state).into(),
            refusal: payment.refusal().to_owned(),
            refunded: payment.state == State::Cancelled { refunded: true },
            refunded_amount: owed
                .filter(|_| payment.refunded > 0)
                .map(|owed| Money { minor: payment.refunded, ..owed.amount }.into()),
            intervention: payment.intervention.clone().map(Into::into),
            create_time: Some(payment.created_at.to_proto()),
            update_time: Some(payment.updated_at.to_proto()),
            seller_reference: owed.map(|owed| owed.reference.clone()).unwrap_or_default(),
            used: payment.is_used(),
            seller: owed.map(|owed| owed.seller.clone()).unwrap_or_default(),
        }
    }
}
