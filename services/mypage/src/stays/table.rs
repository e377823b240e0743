//! Stays in a table.

use chassis::Timestamp;
use chassis::db::prelude::*;
use chassis::db::types::Secret;
use contracts::money::v1::Money;
use contracts::mypage::v1 as proto;
use contracts::period::v1::Dates;

use crate::pages::FlowId;

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

crate::pages::page!(Stay in stays by reserved_at, paid);

impl Stay {
    /// The page of a flow of which nothing was heard.
    fn new(id: FlowId) -> Stay {
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
