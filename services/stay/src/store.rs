//! Stays in a table, and the events that they publish.

use chassis::db::{Column, Name, prelude::*};
use chassis::page::Cursor;
use chassis::quota::Used;
use chassis::values::{Currency, Dates, Intervention, Money, Period};
use chassis::{Error, Page, Publication, Store, Timestamp, Tx, newest, sql};
use contracts::stay::v1::{self as proto, CancellationCause, StayState};
use jiff::civil::Date;

use crate::domain::{Booking, Cause, Command, Event, PaymentId, ResortId, State, Stay, StayId, UNPAID_STAYS};

chassis::table! {
    /// A stay.
    stays (id) of Stay as Row with version, wake_at, last_event {
        id: StayId as SqlUuid,
        cancel_before: Timestamp as SqlTime,
        payment_id: Option<PaymentId> as Nullable<SqlUuid>,
        created_at: Timestamp as SqlTime,
        updated_at: Timestamp as SqlTime,
    }
    columns |stay| {
        resort_id: ResortId as SqlUuid = stay.booking.resort,
        resort_name: String as Text = stay.booking.resort_name.clone(),
        customer: String as Text = stay.booking.customer.clone(),
        start_date: Date as Text = stay.booking.dates.start,
        end_date: Date as Text = stay.booking.dates.end,
        price_minor: i64 as BigInt = stay.booking.price.minor,
        currency: Currency as Text = stay.booking.price.currency,
        time_zone: String as Text = stay.booking.time_zone.clone(),
        begins_at: Timestamp as SqlTime = stay.booking.period.start,
        ends_at: Timestamp as SqlTime = stay.booking.period.end,
        state: Name<StayState> as Text = Name(shown(stay.state)),
        cause: Name<CancellationCause> as Text = Name(cause(stay.state)),
        expires_at: Option<Timestamp> as Nullable<SqlTime> = stay.expires_at(),
        intervened_by: Option<String> as Nullable<Text> = stay.intervention.as_ref().map(|it| it.staff.clone()),
        intervention_reason: Option<String> as Nullable<Text> =
            stay.intervention.as_ref().map(|it| it.reason.clone()),
        intervened_at: Option<Timestamp> as Nullable<SqlTime> = stay.intervention.as_ref().map(|it| it.at),
    }
    fields |row, corrupt| {
        booking: Booking {
            customer: row.customer,
            resort: row.resort_id,
            resort_name: row.resort_name,
            dates: Dates::from_iso(&row.start_date, &row.end_date).ok_or_else(|| corrupt("dates"))?,
            period: Period { start: row.begins_at, end: row.ends_at },
            time_zone: row.time_zone,
            price: Money { minor: row.price_minor, currency: row.currency },
        },
        intervention: Intervention::from_columns(row.intervened_by, row.intervention_reason, row.intervened_at),
        state: match (Name::parse(&row.state), row.expires_at, row.cause.as_str()) {
            (Some(StayState::Reserved), Some(expires), "") => State::Reserved { expires },
            (Some(StayState::Confirmed), None, "") => State::Confirmed,
            (Some(StayState::Completed), None, "") => State::Completed,
            (Some(StayState::Cancelled), None, _) => {
                State::Cancelled(Cause::from_stored(row.cause).ok_or_else(|| corrupt("cause"))?)
            }
            _ => return Err(corrupt("state")),
        },
    }
}

chassis::names!(Cause is CancellationCause: Customer, Payment, Unpaid, Resort, Staff);

impl Store for Stay {
    type Answer = proto::Stay;

    chassis::flat!(Row in stays);

    async fn usage(tx: Tx<'_>, customers: &[String]) -> Result<Vec<Used>, Error> {
        let unpaid = stays::customer.eq_any(customers).and(stays::expires_at.is_not_null());
        let query = stays::table.filter(unpaid).select(stays::customer);
        let customers: Vec<String> = sql!(tx, |c| query.load(c))?;
        Ok(customers.into_iter().map(|customer| (UNPAID_STAYS, customer)).collect())
    }

    chassis::due!(stays, id);

    fn answer(&self, _: &Command) -> proto::Stay {
        self.into()
    }

    fn publish(&self, event: &Event) -> Option<Publication> {
        let (stay, about) = (Some(proto::Stay::from(self)), Publication::about(self.id, self.id.uuid()));
        match event {
            Event::Reserved(_) => about.publish(&proto::StayReserved { stay }),
            Event::Confirmed(..) => about.publish(&proto::StayConfirmed { stay }),
            Event::Completed(_) => about.publish(&proto::StayCompleted { stay }),
            Event::Cancelled(..) => about.publish(&proto::StayCancelled { stay }),
            Event::CancellationRefused => about.publish(&proto::StayCancellationRefused { stay }),
            Event::Intervened(_) => None,
        }
    }
}

/// A page of stays, newest first: those of a customer, or all; in a state, or in any.
pub async fn list(
    tx: Tx<'_>,
    customer: Option<&str>,
    state: StayState,
    page: &Page<Cursor>,
) -> Result<(Vec<proto::Stay>, String), Error> {
    let state = Name(state).specified();
    newest!(
        tx, page, Row in stays by created_at; customer: stays::customer.eq(customer), state: stays::state.eq(state);
        |row| (&row.read()?).into()
    )
}

/// The state in the contract.
fn shown(state: State) -> StayState {
    match state {
        State::Reserved { .. } => StayState::Reserved,
        State::Confirmed => StayState::Confirmed,
        State::Completed => StayState::Completed,
        State::Cancelled(_) => StayState::Cancelled,
    }
}

fn cause(state: State) -> CancellationCause {
    if let State::Cancelled(cause) = state { cause.into() } else { CancellationCause::Unspecified }
}

impl From<&Stay> for proto::Stay {
    fn from(stay: &Stay) -> Self {
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
            state: shown(stay.state).into(),
            cancellation_cause: cause(stay.state).into(),
            payment_id: stay.payment_id.map(|payment| payment.to_string()).unwrap_or_default(),
            expire_time: stay.expires_at().map(Timestamp::to_proto),
            create_time: Some(stay.created_at.to_proto()),
            update_time: Some(stay.updated_at.to_proto()),
            intervention: stay.intervention.clone().map(Into::into),
        }
    }
}
