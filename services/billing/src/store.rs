//! Bills in a table, and the events that they publish.

use chassis::db::{Name, prelude::*};
use chassis::page::Cursor;
use chassis::values::{Currency, Money};
use chassis::{Error, Page, Publication, Store, Timestamp, Tx, newest};
use contracts::billing::v1::{self as proto, BillState};

use crate::domain::{Bill, BillId, Command, Event, Fee, RideId, State};

chassis::table! {
    /// A bill.
    bills (id) of Bill as Row with version {
        id: BillId as SqlUuid,
        ride: RideId as SqlUuid,
        customer: String as Text,
        state: State as Text,
        started_at: Timestamp as SqlTime,
        arrears_at: Option<Timestamp> as Nullable<SqlTime>,
        closed_at: Option<Timestamp> as Nullable<SqlTime>,
        updated_at: Timestamp as SqlTime,
    }
    columns |bill| {
        minutes: u32 as Integer = bill.fee.map_or(0, |fee| fee.minutes),
        fee_minor: Option<i64> as Nullable<BigInt> = bill.fee.map(|fee| fee.amount.minor),
        currency: Option<Currency> as Nullable<Text> = bill.fee.map(|fee| fee.amount.currency),
        ended_at: Option<Timestamp> as Nullable<SqlTime> = bill.fee.map(|fee| fee.end),
    }
    fields |row, corrupt| {
        fee: match (row.ended_at, row.fee_minor, row.currency) {
            (Some(end), Some(minor), Some(currency)) => {
                let minutes = u32::try_from(row.minutes).map_err(|_| corrupt("minutes"))?;
                Some(Fee { end, minutes, amount: Money { minor, currency } })
            }
            (None, None, None) => None,
            _ => return Err(corrupt("fee")),
        },
    }
}

chassis::names!(State is BillState: Open, Due, Arrears, Closed, Void);

impl Store for Bill {
    type Answer = proto::Bill;

    chassis::flat!(Row in bills);

    fn answer(&self, _: &Command) -> proto::Bill {
        self.into()
    }

    fn publish(&self, event: &Event) -> Option<Publication> {
        let (bill, about) = (Some(proto::Bill::from(self)), Publication::about(self.id, self.ride.uuid()));
        match event {
            Event::Opened(..) => about.publish(&proto::BillOpened { bill }),
            Event::Charged(..) => about.publish(&proto::BillDue { bill }),
            Event::FellShort(_) => about.publish(&proto::BillInArrears { bill }),
            Event::Closed(_) => about.publish(&proto::BillClosed { bill }),
            Event::Voided(_) => about.publish(&proto::BillVoided { bill }),
        }
    }
}

/// A page of bills, newest first: those of a customer, or all; in a state, or in any.
pub async fn list(
    tx: Tx<'_>,
    customer: Option<&str>,
    state: BillState,
    page: &Page<Cursor>,
) -> Result<(Vec<proto::Bill>, String), Error> {
    let state = Name(state).specified();
    newest!(
        tx, page, Row in bills by started_at; customer: bills::customer.eq(customer), state: bills::state.eq(state);
        |row| (&row.read()?).into()
    )
}

impl From<&Bill> for proto::Bill {
    fn from(bill: &Bill) -> Self {
        proto::Bill {
            bill_id: bill.id.to_string(),
            ride_id: bill.ride.to_string(),
            customer_id: bill.customer.clone(),
            state: BillState::from(bill.state).into(),
            minutes: bill.fee.map_or(0, |fee| i32::try_from(fee.minutes).unwrap_or(i32::MAX)),
            fee: bill.fee.map(|fee| fee.amount.into()),
            start_time: Some(bill.started_at.to_proto()),
            end_time: bill.fee.map(|fee| fee.end.to_proto()),
            arrears_time: bill.arrears_at.map(Timestamp::to_proto),
            close_time: bill.closed_at.map(Timestamp::to_proto),
            update_time: Some(bill.updated_at.to_proto()),
        }
    }
}
