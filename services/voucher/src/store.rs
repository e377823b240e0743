//! Vouchers in a table, and the events that they publish.

use chassis::Secret;
use chassis::db::{Name, prelude::*};
use chassis::page::Cursor;
use chassis::values::{Dates, Period};
use chassis::{Error, Page, Publication, Store, Timestamp, Tx, newest_rows, page_of_newest, sql};
use contracts::voucher::v1::{self as proto, VoucherState};
use jiff::civil::Date;

use crate::code::Code;
use crate::domain::{Command, Event, Grant, ResortId, State, StayId, Voucher, VoucherId};

chassis::table! {
    /// A voucher. One that was never issued has no customer.
    vouchers (id) of Voucher as Row with version {
        id: VoucherId as SqlUuid,
        stay_id: StayId as SqlUuid,
        state: State as Text,
        created_at: Timestamp as SqlTime,
        updated_at: Timestamp as SqlTime,
    }
    columns |voucher| {
        code: Option<Secret> as Nullable<Text> = voucher.granted(|grant| Secret(grant.code.plain().to_owned())),
        customer: Option<String> as Nullable<Text> = voucher.granted(|grant| grant.customer.clone()),
        resort_id: Option<ResortId> as Nullable<SqlUuid> = voucher.granted(|grant| grant.resort),
        resort_name: Option<String> as Nullable<Text> = voucher.granted(|grant| grant.resort_name.clone()),
        start_date: Option<Date> as Nullable<Text> = voucher.granted(|grant| grant.dates.start),
        end_date: Option<Date> as Nullable<Text> = voucher.granted(|grant| grant.dates.end),
        begins_at: Option<Timestamp> as Nullable<SqlTime> = voucher.granted(|grant| grant.period.start),
        ends_at: Option<Timestamp> as Nullable<SqlTime> = voucher.granted(|grant| grant.period.end),
    }
    fields |row, corrupt| {
        grant: {
            let grant = |customer| {
                Some(Grant {
                    customer,
                    code: row.code?.0.parse().ok()?,
                    resort: row.resort_id?,
                    resort_name: row.resort_name?,
                    dates: Dates::from_iso(&row.start_date?, &row.end_date?)?,
                    period: Period { start: row.begins_at?, end: row.ends_at? },
                })
            };
            row.customer.map(|customer| grant(customer).ok_or_else(|| corrupt("grant"))).transpose()?
        },
    }
}

chassis::names!(State is VoucherState: Issued, Sent, Redeemed, Deactivated);

impl Voucher {
    fn granted<T>(&self, value: impl FnOnce(&Grant) -> T) -> Option<T> {
        self.grant.as_ref().map(value)
    }
}

impl Store for Voucher {
    type Answer = proto::Voucher;

    chassis::flat!(Row in vouchers);

    fn answer(&self, _: &Command) -> proto::Voucher {
        self.into()
    }

    fn publish(&self, event: &Event) -> Option<Publication> {
        let (voucher, about) = (Some(proto::Voucher::from(self)), Publication::about(self.id, self.stay_id.uuid()));
        match event {
            Event::Issued(..) => about.publish(&proto::VoucherIssued { voucher }),
            Event::Sent(_) => about.publish(&proto::VoucherSent { voucher }),
            Event::Redeemed(_) => about.publish(&proto::VoucherRedeemed { voucher }),
            Event::Deactivated(_) => about.publish(&proto::VoucherDeactivated { voucher }),
            // What was never issued is not published.
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
    state: VoucherState,
    page: &Page<Cursor>,
) -> Result<(Vec<Voucher>, String), Error> {
    let state = Name(state).specified();
    // A stay has one voucher, so its state is compared here: a statement with both might use the index of the state.
    let state_of_any = state.clone().filter(|_| stay.is_none());
    let mut rows = newest_rows!(
        tx, page, Row in vouchers by created_at where vouchers::customer.is_not_null();
        customer: vouchers::customer.eq(customer), stay: vouchers::stay_id.eq(stay),
        state_of_any: vouchers::state.eq(state_of_any)
    )?;
    rows.retain(|(_, row)| state.as_ref().is_none_or(|state| row.state == *state));
    page_of_newest!(page, rows, |row: Row| row.read()?)
}

impl From<&Voucher> for proto::Voucher {
    fn from(voucher: &Voucher) -> Self {
        let bare = proto::Voucher {
            voucher_id: voucher.id.to_string(),
            stay_id: voucher.stay_id.to_string(),
            state: VoucherState::from(voucher.state).into(),
            create_time: Some(voucher.created_at.to_proto()),
            update_time: Some(voucher.updated_at.to_proto()),
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
