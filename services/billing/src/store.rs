//! Bills in a table, and what others hear of them.

use chassis::db::prelude::*;
use chassis::page::Cursor;
use chassis::values::{Currency, Money};
use chassis::{Error, Loaded, Page, Publication, Store, Timestamp, Tx, newest};
use contracts::billing::v1 as proto;

use crate::domain::{Bill, BillId, Command, Event, Fee, RideId, State};

diesel::table! {
    use chassis::db::sql_types::*;
    bills (id) {
        id -> SqlUuid,
        version -> BigInt,
        ride -> SqlUuid,
        customer -> Text,
        state -> Text,
        minutes -> Integer,
        fee_minor -> Nullable<BigInt>,
        currency -> Nullable<Text>,
        started_at -> SqlTime,
        ended_at -> Nullable<SqlTime>,
        arrears_at -> Nullable<SqlTime>,
        closed_at -> Nullable<SqlTime>,
        updated_at -> SqlTime,
    }
}

chassis::rows! {
    /// A bill, flat.
    struct Row in bills (id) {
        id: BillId,
        version: i64,
        ride: RideId,
        customer: String,
        state: String,
        minutes: i32,
        fee_minor: Option<i64>,
        currency: Option<String>,
        started_at: Timestamp,
        ended_at: Option<Timestamp>,
        arrears_at: Option<Timestamp>,
        closed_at: Option<Timestamp>,
        updated_at: Timestamp,
    }
}

impl Store for Bill {
    type Answer = proto::Bill;

    chassis::flat!(Row in bills);

    fn answer(&self, _: &Command) -> proto::Bill {
        self.into()
    }

    fn publish(&self, event: &Event) -> Option<Publication> {
        let (bill, id, flow) = (Some(proto::Bill::from(self)), self.id, Some(self.ride.uuid()));
        Some(match event {
            Event::Opened(..) => Publication::of(&proto::BillOpened { bill }, id, flow),
            Event::Charged(..) => Publication::of(&proto::BillDue { bill }, id, flow),
            Event::FellShort(_) => Publication::of(&proto::BillInArrears { bill }, id, flow),
            Event::Closed(_) => Publication::of(&proto::BillClosed { bill }, id, flow),
            Event::Voided(_) => Publication::of(&proto::BillVoided { bill }, id, flow),
        })
    }
}

/// A page of bills, newest first: those of a customer, or all; in a state, or in any.
pub async fn list(
    tx: Tx<'_>,
    customer: Option<&str>,
    state: proto::BillState,
    page: &Page<Cursor>,
) -> Result<(Vec<proto::Bill>, String), Error> {
    let state = Some(state).filter(|state| *state != proto::BillState::Unspecified);
    let (rows, next) = newest!(
        tx, page, Row in bills by started_at;
        customer: bills::customer.eq(customer), state: bills::state.eq(name(state))
    );
    let bills = rows.into_iter().map(|row| Loaded::try_from(row).map(|loaded| (&loaded.state).into()));
    Ok((bills.collect::<Result<_, Error>>()?, next))
}

/// The column's name of a state.
fn name(state: proto::BillState) -> &'static str {
    match state {
        proto::BillState::Unspecified => "",
        proto::BillState::Open => "open",
        proto::BillState::Due => "due",
        proto::BillState::Arrears => "arrears",
        proto::BillState::Closed => "closed",
        proto::BillState::Void => "void",
    }
}

impl From<State> for proto::BillState {
    fn from(state: State) -> Self {
        match state {
            State::Open => proto::BillState::Open,
            State::Due => proto::BillState::Due,
            State::Arrears => proto::BillState::Arrears,
            State::Closed => proto::BillState::Closed,
            State::Void => proto::BillState::Void,
        }
    }
}

impl Row {
    fn new(bill: &Bill, version: i64) -> Row {
        let minutes = bill.fee.map_or(0, |fee| i32::try_from(fee.minutes).unwrap_or(i32::MAX));
        Row {
            id: bill.id,
            version,
            ride: bill.ride,
            customer: bill.customer.clone(),
            state: name(bill.state.into()).to_owned(),
            minutes,
            fee_minor: bill.fee.map(|fee| fee.amount.minor),
            currency: bill.fee.map(|fee| fee.amount.currency.to_string()),
            started_at: bill.start,
            ended_at: bill.fee.map(|fee| fee.end),
            arrears_at: bill.arrears,
            closed_at: bill.closed,
            updated_at: bill.updated,
        }
    }
}

impl TryFrom<Row> for Loaded<Bill> {
    type Error = Error;

    fn try_from(row: Row) -> Result<Loaded<Bill>, Error> {
        let corrupt = |what: &str| Error::Internal(format!("bill {}: corrupt {what}", row.id));
        let state = match row.state.as_str() {
            "open" => State::Open,
            "due" => State::Due,
            "arrears" => State::Arrears,
            "closed" => State::Closed,
            "void" => State::Void,
            _ => return Err(corrupt("state")),
        };
        let fee = match (row.ended_at, row.fee_minor, row.currency.as_deref()) {
            (Some(end), Some(minor), Some(code)) => {
                let currency = Currency::parse(code).ok_or_else(|| corrupt("currency"))?;
                let minutes = u32::try_from(row.minutes).map_err(|_| corrupt("minutes"))?;
                Some(Fee { end, minutes, amount: Money { minor, currency } })
            }
            (None, None, None) => None,
            _ => return Err(corrupt("fee")),
        };
        let bill = Bill {
            id: row.id,
            ride: row.ride,
            customer: row.customer,
            start: row.started_at,
            state,
            fee,
            arrears: row.arrears_at,
            closed: row.closed_at,
            updated: row.updated_at,
        };
        Ok(Loaded { id: row.id, version: row.version, state: bill })
    }
}

impl From<&Bill> for proto::Bill {
    fn from(bill: &Bill) -> Self {
        proto::Bill {
            bill_id: bill.id.to_string(),
            ride_id: bill.ride.to_string(),
            customer_id: bill.customer.clone(),
            state: proto::BillState::from(bill.state).into(),
            minutes: bill.fee.map_or(0, |fee| i32::try_from(fee.minutes).unwrap_or(i32::MAX)),
            fee: bill.fee.map(|fee| fee.amount.into()),
            start_time: Some(bill.start.to_proto()),
            end_time: bill.fee.map(|fee| fee.end.to_proto()),
            arrears_time: bill.arrears.map(Timestamp::to_proto),
            close_time: bill.closed.map(Timestamp::to_proto),
            update_time: Some(bill.updated.to_proto()),
        }
    }
}
