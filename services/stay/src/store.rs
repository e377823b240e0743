//! Stays in a table, and what others hear of them.

use chassis::db::prelude::*;
use chassis::page::Cursor;
use chassis::values::{Currency, Dates, Money, Period};
use chassis::{Aggregate, Error, EventId, Loaded, Page, Publication, Store, Timestamp, Tx, newest};
use contracts::stay::v1 as proto;

use crate::domain::{Booking, Cause, Command, Event, PaymentId, ResortId, State, Stay, StayId};

diesel::table! {
    use chassis::db::sql_types::*;
    stays (id) {
        id -> SqlUuid,
        version -> BigInt,
        wake_at -> Nullable<SqlTime>,
        resort_id -> SqlUuid,
        resort_name -> Text,
        customer -> Text,
        start_date -> Text,
        end_date -> Text,
        price_minor -> BigInt,
        currency -> Text,
        time_zone -> Text,
        begins_at -> SqlTime,
        ends_at -> SqlTime,
        cancel_before -> SqlTime,
        state -> Text,
        cause -> Text,
        expires_at -> Nullable<SqlTime>,
        payment_id -> Nullable<SqlUuid>,
        created_at -> SqlTime,
        updated_at -> SqlTime,
        last_event -> Nullable<SqlUuid>,
    }
}

chassis::rows! {
    /// A stay, flat.
    struct Row in stays (id) {
        id: StayId,
        version: i64,
        wake_at: Option<Timestamp>,
        resort_id: ResortId,
        resort_name: String,
        customer: String,
        start_date: String,
        end_date: String,
        price_minor: i64,
        currency: String,
        time_zone: String,
        begins_at: Timestamp,
        ends_at: Timestamp,
        cancel_before: Timestamp,
        state: String,
        cause: String,
        expires_at: Option<Timestamp>,
        payment_id: Option<PaymentId>,
        created_at: Timestamp,
        updated_at: Timestamp,
        last_event: Option<EventId>,
    }
}

impl Store for Stay {
    type Answer = proto::Stay;

    chassis::flat!(Row in stays);

    chassis::due!(stays, id);

    fn answer(&self, _: &Command) -> proto::Stay {
        self.into()
    }

    fn publish(&self, event: &Event) -> Option<Publication> {
        let (stay, id, flow) = (Some(proto::Stay::from(self)), self.id, Some(self.id.uuid()));
        let publication = match event {
            Event::Reserved(_) => Publication::of(&proto::StayReserved { stay }, id, flow),
            Event::Confirmed(..) => Publication::of(&proto::StayConfirmed { stay }, id, flow),
            Event::Completed(_) => Publication::of(&proto::StayCompleted { stay }, id, flow),
            Event::Cancelled(..) => Publication::of(&proto::StayCancelled { stay }, id, flow),
            Event::CancellationRefused => Publication::of(&proto::StayCancellationRefused { stay }, id, flow),
        };
        Some(publication.after(self.last_event))
    }

    fn note(&mut self, _: &Event, known_as: EventId) {
        self.last_event = Some(known_as);
    }
}

/// A page of stays, newest first: those of a customer, or all; in a state, or in any.
pub async fn list(
    tx: Tx<'_>,
    customer: Option<&str>,
    state: Option<&'static str>,
    page: &Page<Cursor>,
) -> Result<(Vec<proto::Stay>, String), Error> {
    let (rows, next) = newest!(
        tx, page, Row in stays by created_at;
        customer: stays::customer.eq(customer), state: stays::state.eq(state)
    );
    let stays = rows.into_iter().map(|row| Loaded::try_from(row).map(|loaded| (&loaded.state).into()));
    Ok((stays.collect::<Result<_, Error>>()?, next))
}

/// The column's name of a state of the contract.
pub fn state_name(state: proto::StayState) -> Option<&'static str> {
    match state {
        proto::StayState::Unspecified => None,
        proto::StayState::Reserved => Some("reserved"),
        proto::StayState::Confirmed => Some("confirmed"),
        proto::StayState::Completed => Some("completed"),
        proto::StayState::Cancelled => Some("cancelled"),
    }
}

impl Row {
    fn new(stay: &Stay, version: i64) -> Row {
        let (state, expires_at, cause) = match stay.state {
            State::Reserved { expires } => ("reserved", Some(expires), ""),
            State::Confirmed => ("confirmed", None, ""),
            State::Completed => ("completed", None, ""),
            State::Cancelled(Cause::Customer) => ("cancelled", None, "customer"),
            State::Cancelled(Cause::Payment) => ("cancelled", None, "payment"),
            State::Cancelled(Cause::Unpaid) => ("cancelled", None, "unpaid"),
            State::Cancelled(Cause::Resort) => ("cancelled", None, "resort"),
        };
        let booking = stay.booking.clone();
        Row {
            id: stay.id,
            version,
            wake_at: stay.due_at().map(|(at, _)| at),
            resort_id: booking.resort,
            resort_name: booking.resort_name,
            customer: booking.customer,
            start_date: booking.dates.start.to_string(),
            end_date: booking.dates.end.to_string(),
            price_minor: booking.price.minor,
            currency: booking.price.currency.to_string(),
            time_zone: booking.time_zone,
            begins_at: booking.period.start,
            ends_at: booking.period.end,
            cancel_before: stay.cancel_before,
            state: state.to_owned(),
            cause: cause.to_owned(),
            expires_at,
            payment_id: stay.payment,
            created_at: stay.created,
            updated_at: stay.updated,
            last_event: stay.last_event,
        }
    }
}

impl TryFrom<Row> for Loaded<Stay> {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self, Error> {
        let corrupt = |what: &str| Error::Internal(format!("stay {}: corrupt {what}", row.id));
        let state = match (row.state.as_str(), row.expires_at, row.cause.as_str()) {
            ("reserved", Some(expires), "") => State::Reserved { expires },
            ("confirmed", None, "") => State::Confirmed,
            ("completed", None, "") => State::Completed,
            ("cancelled", None, "customer") => State::Cancelled(Cause::Customer),
            ("cancelled", None, "payment") => State::Cancelled(Cause::Payment),
            ("cancelled", None, "unpaid") => State::Cancelled(Cause::Unpaid),
            ("cancelled", None, "resort") => State::Cancelled(Cause::Resort),
            _ => return Err(corrupt("state")),
        };
        let currency = Currency::parse(&row.currency).ok_or_else(|| corrupt("currency"))?;
        let dates = Dates::from_iso(&row.start_date, &row.end_date).ok_or_else(|| corrupt("dates"))?;
        let booking = Booking {
            customer: row.customer,
            resort: row.resort_id,
            resort_name: row.resort_name,
            dates,
            period: Period { start: row.begins_at, end: row.ends_at },
            time_zone: row.time_zone,
            price: Money { minor: row.price_minor, currency },
        };
        let state = Stay {
            id: row.id,
            booking,
            cancel_before: row.cancel_before,
            state,
            payment: row.payment_id,
            created: row.created_at,
            updated: row.updated_at,
            last_event: row.last_event,
        };
        Ok(Loaded { id: row.id, version: row.version, state })
    }
}

impl From<&Stay> for proto::Stay {
    fn from(stay: &Stay) -> Self {
        use proto::{CancellationCause, StayState};
        let (state, cause) = match stay.state {
            State::Reserved { .. } => (StayState::Reserved, CancellationCause::Unspecified),
            State::Confirmed => (StayState::Confirmed, CancellationCause::Unspecified),
            State::Completed => (StayState::Completed, CancellationCause::Unspecified),
            State::Cancelled(Cause::Customer) => (StayState::Cancelled, CancellationCause::Customer),
            State::Cancelled(Cause::Payment) => (StayState::Cancelled, CancellationCause::Payment),
            State::Cancelled(Cause::Unpaid) => (StayState::Cancelled, CancellationCause::Unpaid),
            State::Cancelled(Cause::Resort) => (StayState::Cancelled, CancellationCause::Resort),
        };
        let expires = if let State::Reserved { expires } = stay.state { Some(expires) } else { None };
        let booking = stay.booking.clone();
        proto::Stay {
            stay_id: stay.id.to_string(),
            resort_id: booking.resort.to_string(),
            resort_name: booking.resort_name,
            customer_id: booking.customer,
            dates: Some(booking.dates.into()),
            price: Some(booking.price.into()),
            time_zone: booking.time_zone,
            begin_time: Some(booking.period.start.to_proto()),
            end_time: Some(booking.period.end.to_proto()),
            cancel_before_time: Some(stay.cancel_before.to_proto()),
            state: state.into(),
            cancellation_cause: cause.into(),
            payment_id: stay.payment.map(|payment| payment.to_string()).unwrap_or_default(),
            expire_time: expires.map(Timestamp::to_proto),
            create_time: Some(stay.created.to_proto()),
            update_time: Some(stay.updated.to_proto()),
        }
    }
}
