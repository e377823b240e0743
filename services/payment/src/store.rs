//! Payments in a table, and what others hear of them.

use chassis::db::prelude::*;
use chassis::page::Cursor;
use chassis::values::{Currency, Money};
use chassis::{Error, EventId, Loaded, Page, Publication, Store, Timestamp, Tx, newest};
use contracts::payment::v1 as proto;

use crate::domain::{Command, Event, Owed, Payment, PaymentId, PurchaseId, State};

diesel::table! {
    use chassis::db::sql_types::*;
    payments (id) {
        id -> SqlUuid,
        version -> BigInt,
        wake_at -> Nullable<SqlTime>,
        purchase -> SqlUuid,
        customer -> Nullable<Text>,
        amount_minor -> Nullable<BigInt>,
        currency -> Nullable<Text>,
        reference -> Nullable<Text>,
        used -> Bool,
        state -> Text,
        refunded -> Bool,
        refusal -> Text,
        charge -> Integer,
        attempt -> Integer,
        method -> Text,
        voided -> Bool,
        created_at -> SqlTime,
        updated_at -> SqlTime,
        last_event -> Nullable<SqlUuid>,
    }
}

chassis::rows! {
    /// A payment, flat.
    struct Row in payments (id) {
        id: PaymentId,
        version: i64,
        wake_at: Option<Timestamp>,
        purchase: PurchaseId,
        customer: Option<String>,
        amount_minor: Option<i64>,
        currency: Option<String>,
        reference: Option<String>,
        used: bool,
        state: String,
        refunded: bool,
        refusal: String,
        charge: i32,
        attempt: i32,
        method: String,
        voided: bool,
        created_at: Timestamp,
        updated_at: Timestamp,
        last_event: Option<EventId>,
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
        let (id, flow) = (self.id, Some(self.purchase.uuid()));
        let publication = match event {
            Event::Requested(..) => Some(Publication::of(&proto::PaymentRequested { payment }, id, flow)),
            Event::Approved(_) => Some(Publication::of(&proto::PaymentApproved { payment }, id, flow)),
            Event::Refused(..) => Some(Publication::of(&proto::PaymentRefused { payment }, id, flow)),
            Event::CancellationRequested(_) => {
                Some(Publication::of(&proto::PaymentCancellationRequested { payment }, id, flow))
            }
            Event::CancellationRefused(_) => {
                Some(Publication::of(&proto::PaymentCancellationRefused { payment }, id, flow))
            }
            Event::Cancelled(_) => Some(Publication::of(&proto::PaymentCancelled { payment }, id, flow)),
            Event::Settled(_) => Some(Publication::of(&proto::PaymentSettled { payment }, id, flow)),
            // How the processor is asked is nobody else's business.
            Event::Barred(..)
            | Event::ChargeStarted(..)
            | Event::VoidNoted
            | Event::Postponed(_)
            | Event::RefundStarted(_) => None,
        };
        publication.map(|publication| publication.after(self.last_event))
    }

    fn note(&mut self, _: &Event, known_as: EventId) {
        self.last_event = Some(known_as);
    }
}

/// A page of payments, newest first: those of a customer, or all; of a purchase, or of all.
pub async fn list(
    tx: Tx<'_>,
    customer: Option<&str>,
    purchase: Option<PurchaseId>,
    page: &Page<Cursor>,
) -> Result<(Vec<proto::Payment>, String), Error> {
    let (rows, next) = newest!(
        tx, page, Row in payments by created_at where payments::customer.is_not_null();
        customer: payments::customer.eq(customer), purchase: payments::purchase.eq(purchase)
    );
    let payments = rows.into_iter().map(|row| Loaded::try_from(row).map(|loaded| (&loaded.state).into()));
    Ok((payments.collect::<Result<_, Error>>()?, next))
}

impl Row {
    fn new(payment: &Payment, version: i64) -> Row {
        let (state, attempt) = match &payment.state {
            State::Requested => ("requested", 0),
            State::Charging { attempt, .. } => ("charging", *attempt),
            State::Approved => ("approved", 0),
            State::Refused(_) => ("refused", 0),
            State::Cancelling => ("cancelling", 0),
            State::Refunding { attempt, .. } => ("refunding", *attempt),
            State::Cancelled { .. } => ("cancelled", 0),
            State::Settled => ("settled", 0),
        };
        let (method, voided) = match &payment.state {
            State::Charging { method, voided, .. } => (method.clone(), *voided),
            _ => (String::new(), false),
        };
        let refusal = if let State::Refused(why) = &payment.state { why.clone() } else { String::new() };
        Row {
            id: payment.id,
            version,
            wake_at: chassis::Aggregate::due_at(payment).map(|(at, _)| at),
            purchase: payment.purchase,
            customer: payment.owed.as_ref().map(|owed| owed.customer.clone()),
            amount_minor: payment.owed.as_ref().map(|owed| owed.amount.minor),
            currency: payment.owed.as_ref().map(|owed| owed.amount.currency.to_string()),
            reference: payment.owed.as_ref().map(|owed| owed.reference.clone()),
            used: payment.owed.as_ref().is_some_and(|owed| owed.used),
            state: state.to_owned(),
            refunded: payment.state == State::Cancelled { refunded: true },
            refusal,
            charge: payment.charge as i32,
            attempt: attempt as i32,
            method,
            voided,
            created_at: payment.created,
            updated_at: payment.updated,
            last_event: payment.last_event,
        }
    }
}

impl TryFrom<Row> for Loaded<Payment> {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self, Error> {
        let corrupt = |what: &str| Error::Internal(format!("payment {}: corrupt {what}", row.id));
        let owed = match (row.customer, row.amount_minor, row.currency, row.reference) {
            (Some(customer), Some(minor), Some(currency), Some(reference)) => {
                let currency = Currency::parse(&currency).ok_or_else(|| corrupt("currency"))?;
                Some(Owed { customer, amount: Money { minor, currency }, reference, used: row.used })
            }
            (None, None, None, None) => None,
            _ => return Err(corrupt("amount")),
        };
        let (attempt, voided, method) = (row.attempt as u32, row.voided, row.method);
        let state = match (row.state.as_str(), row.wake_at) {
            ("requested", None) => State::Requested,
            ("charging", Some(ask_at)) => State::Charging { method, attempt, ask_at, voided },
            ("approved", None) => State::Approved,
            ("refused", None) => State::Refused(row.refusal),
            ("cancelling", None) => State::Cancelling,
            ("refunding", Some(ask_at)) => State::Refunding { attempt, ask_at },
            ("cancelled", None) => State::Cancelled { refunded: row.refunded },
            ("settled", None) => State::Settled,
            _ => return Err(corrupt("state")),
        };
        let (id, purchase, charge) = (row.id, row.purchase, row.charge as u32);
        let (created, updated, last_event) = (row.created_at, row.updated_at, row.last_event);
        let state = Payment { id, purchase, owed, state, charge, created, updated, last_event };
        Ok(Loaded { id, version: row.version, state })
    }
}

impl From<&Payment> for proto::Payment {
    fn from(payment: &Payment) -> Self {
        let state = match &payment.state {
            State::Requested => proto::PaymentState::Requested,
            State::Charging { .. } => proto::PaymentState::Charging,
            State::Approved => proto::PaymentState::Approved,
            State::Refused(_) => proto::PaymentState::Refused,
            State::Cancelling => proto::PaymentState::Cancelling,
            State::Refunding { .. } => proto::PaymentState::Refunding,
            State::Cancelled { .. } => proto::PaymentState::Cancelled,
            State::Settled => proto::PaymentState::Settled,
        };
        proto::Payment {
            payment_id: payment.id.to_string(),
            purchase_id: payment.purchase.to_string(),
            customer_id: payment.owed.as_ref().map(|owed| owed.customer.clone()).unwrap_or_default(),
            amount: payment.owed.as_ref().map(|owed| owed.amount.into()),
            state: state.into(),
            refusal: if let State::Refused(why) = &payment.state { why.clone() } else { String::new() },
            refunded: payment.state == State::Cancelled { refunded: true },
            create_time: Some(payment.created.to_proto()),
            update_time: Some(payment.updated.to_proto()),
            seller_reference: payment.owed.as_ref().map(|owed| owed.reference.clone()).unwrap_or_default(),
            used: payment.owed.as_ref().is_some_and(|owed| owed.used),
        }
    }
}
