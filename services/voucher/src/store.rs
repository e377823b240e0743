//! Vouchers in a table, and what others hear of them.

use chassis::Secret;
use chassis::db::prelude::*;
use chassis::page::Cursor;
use chassis::values::{Dates, Period};
use chassis::{Error, Loaded, Page, Publication, Store, Timestamp, Tx, newest, sql};
use contracts::voucher::v1 as proto;

use crate::code::Code;
use crate::domain::{Command, Event, Grant, ResortId, State, StayId, Voucher, VoucherId};

diesel::table! {
    use chassis::db::sql_types::*;
    vouchers (id) {
        id -> SqlUuid,
        version -> BigInt,
        stay_id -> SqlUuid,
        code -> Nullable<Text>,
        customer -> Nullable<Text>,
        resort_id -> Nullable<SqlUuid>,
        resort_name -> Nullable<Text>,
        start_date -> Nullable<Text>,
        end_date -> Nullable<Text>,
        begins_at -> Nullable<SqlTime>,
        ends_at -> Nullable<SqlTime>,
        state -> Text,
        created_at -> SqlTime,
        updated_at -> SqlTime,
    }
}

chassis::rows! {
    /// A voucher, flat.
    struct Row in vouchers (id) {
        id: VoucherId,
        version: i64,
        stay_id: StayId,
        code: Option<Secret>,
        customer: Option<String>,
        resort_id: Option<ResortId>,
        resort_name: Option<String>,
        start_date: Option<String>,
        end_date: Option<String>,
        begins_at: Option<Timestamp>,
        ends_at: Option<Timestamp>,
        state: String,
        created_at: Timestamp,
        updated_at: Timestamp,
    }
}

impl Store for Voucher {
    type Answer = proto::Voucher;

    chassis::flat!(Row in vouchers);

    fn answer(&self, _: &Command) -> proto::Voucher {
        self.into()
    }

    fn publish(&self, event: &Event) -> Option<Publication> {
        let (voucher, id, flow) = (Some(proto::Voucher::from(self)), self.id, Some(self.stay.uuid()));
        match event {
            Event::Issued(..) => Some(Publication::of(&proto::VoucherIssued { voucher }, id, flow)),
            Event::Sent(_) => Some(Publication::of(&proto::VoucherSent { voucher }, id, flow)),
            Event::Redeemed(_) => Some(Publication::of(&proto::VoucherRedeemed { voucher }, id, flow)),
            Event::Deactivated(_) => Some(Publication::of(&proto::VoucherDeactivated { voucher }, id, flow)),
            // What never was good is nobody's news.
            Event::Barred(..) => None,
        }
    }
}

/// The voucher with this code.
pub async fn by_code(tx: Tx<'_>, code: Code) -> Result<Option<VoucherId>, Error> {
    let query = vouchers::table.filter(vouchers::code.eq(code.plain())).select(vouchers::id);
    let found: Vec<VoucherId> = sql!(tx, |c| query.load(c))?;
    Ok(found.into_iter().next())
}

/// A page of vouchers, newest first: those of a customer, or all; of a stay, or of all; in a state, or in any.
pub async fn list(
    tx: Tx<'_>,
    customer: Option<&str>,
    stay: Option<StayId>,
    state: Option<State>,
    page: &Page<Cursor>,
) -> Result<(Vec<Voucher>, String), Error> {
    let (rows, next) = newest!(
        tx, page, Row in vouchers by created_at where vouchers::customer.is_not_null();
        customer: vouchers::customer.eq(customer), stay: vouchers::stay_id.eq(stay),
        state: vouchers::state.eq(state_name(state))
    );
    let vouchers = rows.into_iter().map(|row| Loaded::try_from(row).map(|loaded| loaded.state));
    Ok((vouchers.collect::<Result<_, Error>>()?, next))
}

const STATES: [(State, &str); 4] = [
    (State::Issued, "issued"),
    (State::Sent, "sent"),
    (State::Redeemed, "redeemed"),
    (State::Deactivated, "deactivated"),
];

fn state_name(state: State) -> &'static str {
    STATES.iter().find(|(known, _)| *known == state).map_or("", |(_, name)| name)
}

impl Row {
    fn new(voucher: &Voucher, version: i64) -> Row {
        let grant = voucher.grant.as_ref();
        Row {
            id: voucher.id,
            version,
            stay_id: voucher.stay,
            code: grant.map(|grant| Secret(grant.code.plain().to_owned())),
            customer: grant.map(|grant| grant.customer.clone()),
            resort_id: grant.map(|grant| grant.resort),
            resort_name: grant.map(|grant| grant.resort_name.clone()),
            start_date: grant.map(|grant| grant.dates.start.to_string()),
            end_date: grant.map(|grant| grant.dates.end.to_string()),
            begins_at: grant.map(|grant| grant.period.start),
            ends_at: grant.map(|grant| grant.period.end),
            state: state_name(voucher.state).to_owned(),
            created_at: voucher.created,
            updated_at: voucher.updated,
        }
    }

    /// What it grants, if all of it is there and right.
    fn grant(self) -> Option<Grant> {
        Some(Grant {
            code: self.code?.0.parse().ok()?,
            customer: self.customer?,
            resort: self.resort_id?,
            resort_name: self.resort_name?,
            dates: Dates::from_iso(&self.start_date?, &self.end_date?)?,
            period: Period { start: self.begins_at?, end: self.ends_at? },
        })
    }
}

impl TryFrom<Row> for Loaded<Voucher> {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self, Error> {
        let (id, version, stay, created, updated) = (row.id, row.version, row.stay_id, row.created_at, row.updated_at);
        let corrupt = |what: &str| Error::Internal(format!("voucher {id}: corrupt {what}"));
        let state = STATES.iter().find(|(_, name)| *name == row.state).ok_or_else(|| corrupt("state"))?.0;
        let was_issued = row.customer.is_some();
        let grant = was_issued.then(|| row.grant().ok_or_else(|| corrupt("grant"))).transpose()?;
        Ok(Loaded { id, version, state: Voucher { id, stay, grant, state, created, updated } })
    }
}

impl From<&Voucher> for proto::Voucher {
    fn from(voucher: &Voucher) -> Self {
        let state = match voucher.state {
            State::Issued => proto::VoucherState::Issued,
            State::Sent => proto::VoucherState::Sent,
            State::Redeemed => proto::VoucherState::Redeemed,
            State::Deactivated => proto::VoucherState::Deactivated,
        };
        let bare = proto::Voucher {
            voucher_id: voucher.id.to_string(),
            stay_id: voucher.stay.to_string(),
            state: state.into(),
            create_time: Some(voucher.created.to_proto()),
            update_time: Some(voucher.updated.to_proto()),
            ..proto::Voucher::default()
        };
        let Some(grant) = voucher.grant.clone() else { return bare };
        proto::Voucher {
            customer_id: grant.customer,
            code: grant.code.reveal(),
            resort_id: grant.resort.to_string(),
            resort_name: grant.resort_name,
            dates: Some(grant.dates.into()),
            begin_time: Some(grant.period.start.to_proto()),
            end_time: Some(grant.period.end.to_proto()),
            ..bare
        }
    }
}
