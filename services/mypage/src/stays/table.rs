//! Stays in a table.

use chassis::db::prelude::*;
use chassis::db::types::Secret;
use chassis::page::Spot;
use chassis::{Error, Timestamp, Tx, sql};
use contracts::money::v1::Money;
use contracts::mypage::v1 as proto;
use contracts::period::v1::Dates;

use crate::pages::{FlowId, Page, Paid, Rules};

diesel::table! {
    use chassis::db::sql_types::*;
    stays (id) {
        id -> SqlUuid,
        version -> BigInt,
        customer -> Nullable<Text>,
        resort -> Nullable<Text>,
        resort_name -> Nullable<Text>,
        start_date -> Nullable<Text>,
        end_date -> Nullable<Text>,
        begins_at -> Nullable<SqlTime>,
        ends_at -> Nullable<SqlTime>,
        price_minor -> Nullable<BigInt>,
        currency -> Nullable<Text>,
        stay_sequence -> BigInt,
        stay_state -> Integer,
        cause -> Integer,
        payment -> Nullable<Text>,
        payment_sequence -> BigInt,
        payment_state -> Integer,
        voucher -> Nullable<Text>,
        voucher_code -> Nullable<Text>,
        voucher_sequence -> BigInt,
        voucher_state -> Integer,
        reserved_at -> Nullable<SqlTime>,
        confirmed_at -> Nullable<SqlTime>,
        completed_at -> Nullable<SqlTime>,
        cancelled_at -> Nullable<SqlTime>,
    }
}

chassis::rows! {
    /// A stay, as far as it was heard of.
    pub struct Stay in stays (id) {
        id: FlowId,
        version: i64,
        customer: Option<String>,
        resort: Option<String>,
        resort_name: Option<String>,
        start_date: Option<String>,
        end_date: Option<String>,
        begins_at: Option<Timestamp>,
        ends_at: Option<Timestamp>,
        price_minor: Option<i64>,
        currency: Option<String>,
        stay_sequence: i64,
        stay_state: i32,
        cause: i32,
        payment: Option<String>,
        payment_sequence: i64,
        payment_state: i32,
        voucher: Option<String>,
        voucher_code: Option<Secret>,
        voucher_sequence: i64,
        voucher_state: i32,
        reserved_at: Option<Timestamp>,
        confirmed_at: Option<Timestamp>,
        completed_at: Option<Timestamp>,
        cancelled_at: Option<Timestamp>,
    }
}

impl Page for Stay {
    fn rules() -> &'static Rules<Stay> {
        &super::RULES
    }

    fn blank(id: FlowId) -> Stay {
        Stay {
            id,
            version: 0,
            customer: None,
            resort: None,
            resort_name: None,
            start_date: None,
            end_date: None,
            begins_at: None,
            ends_at: None,
            price_minor: None,
            currency: None,
            stay_sequence: 0,
            stay_state: 0,
            cause: 0,
            payment: None,
            payment_sequence: 0,
            payment_state: 0,
            voucher: None,
            voucher_code: None,
            voucher_sequence: 0,
            voucher_state: 0,
            reserved_at: None,
            confirmed_at: None,
            completed_at: None,
            cancelled_at: None,
        }
    }

    fn flow(&self) -> FlowId {
        self.id
    }

    fn customer(&self) -> Option<&str> {
        self.customer.as_deref()
    }

    fn version(&mut self) -> &mut i64 {
        &mut self.version
    }

    fn payment(&mut self) -> Paid<'_> {
        let Stay { payment, payment_state, payment_sequence, .. } = self;
        Paid { id: payment, state: payment_state, sequence: payment_sequence }
    }

    async fn read(tx: Tx<'_>, flows: &[FlowId]) -> Result<Vec<Stay>, Error> {
        let query = stays::table.filter(stays::id.eq_any(flows));
        Ok(sql!(tx, |c| query.select(Stay::as_select()).load(c))?)
    }

    async fn clear(tx: Tx<'_>) -> Result<(), Error> {
        sql!(tx, |c| diesel::delete(stays::table).execute(c))?;
        Ok(())
    }
}

/// A page of stays, newest first: those of a customer, or all. Nobody sees one whose reservation was not heard of, for
/// it is not known whose it is.
pub async fn list(
    tx: Tx<'_>,
    customer: Option<&str>,
    page: &chassis::Page<Spot>,
) -> Result<(Vec<proto::Stay>, String), Error> {
    let reserved_at = stays::reserved_at.assume_not_null();
    let mut rows: Vec<(Timestamp, Stay)> = sql!(tx, |c| {
        let query = stays::table.filter(stays::customer.is_not_null());
        let mut query = query.select((reserved_at, Stay::as_select())).into_boxed();
        if let Some(customer) = customer {
            query = query.filter(stays::customer.eq(customer));
        }
        if let Some(Spot { at, id }) = page.after {
            let id = FlowId::new(id);
            query = query.filter(reserved_at.lt(at).or(reserved_at.eq(at).and(stays::id.lt(id))));
        }
        query.order((reserved_at.desc(), stays::id.desc())).limit(page.limit()).load(c)
    })?;
    let next = page.cut(&mut rows, |(at, row)| Spot { at: *at, id: row.id.uuid() });
    Ok((rows.into_iter().map(|(_, row)| row.into()).collect(), next))
}

impl From<Stay> for proto::Stay {
    fn from(row: Stay) -> Self {
        let time = |time: Option<Timestamp>| time.map(Timestamp::to_proto);
        let dates = row.start_date.zip(row.end_date);
        let price = row.currency.zip(row.price_minor);
        proto::Stay {
            stay_id: row.id.to_string(),
            customer_id: row.customer.unwrap_or_default(),
            resort_id: row.resort.unwrap_or_default(),
            resort_name: row.resort_name.unwrap_or_default(),
            dates: dates.map(|(start_date, end_date)| Dates { start_date, end_date }),
            price: price.map(|(currency_code, amount_minor)| Money { currency_code, amount_minor }),
            begin_time: time(row.begins_at),
            end_time: time(row.ends_at),
            stay_state: row.stay_state,
            cancellation_cause: row.cause,
            payment_id: row.payment.unwrap_or_default(),
            payment_state: row.payment_state,
            voucher_id: row.voucher.unwrap_or_default(),
            voucher_code: row.voucher_code.map(|Secret(code)| code).unwrap_or_default(),
            voucher_state: row.voucher_state,
            reserve_time: time(row.reserved_at),
            confirm_time: time(row.confirmed_at),
            complete_time: time(row.completed_at),
            cancel_time: time(row.cancelled_at),
        }
    }
}
