//! Car rentals in a table.

use chassis::Timestamp;
use chassis::db::prelude::*;
use contracts::money::v1::Money;
use contracts::mypage::v1 as proto;
use contracts::period::v1::Period;

use crate::pages::FlowId;

diesel::table! {
    use chassis::db::sql_types::*;
    car_rentals (id) {
        id -> SqlUuid,
        version -> BigInt,
        customer -> Nullable<Text>,
        car -> Nullable<Text>,
        starts_at -> Nullable<SqlTime>,
        ends_at -> Nullable<SqlTime>,
        price_minor -> Nullable<BigInt>,
        currency -> Nullable<Text>,
        rental_sequence -> BigInt,
        rental_state -> Integer,
        stars -> Integer,
        payment -> Nullable<Text>,
        payment_sequence -> BigInt,
        payment_state -> Integer,
        reserved_at -> Nullable<SqlTime>,
        rented_at -> Nullable<SqlTime>,
        returned_at -> Nullable<SqlTime>,
        cancelled_at -> Nullable<SqlTime>,
    }
}

chassis::rows! {
    /// A car rental, as far as it was heard of.
    pub struct CarRental in car_rentals (id) {
        id: FlowId,
        version: i64,
        customer: Option<String>,
        car: Option<String>,
        starts_at: Option<Timestamp>,
        ends_at: Option<Timestamp>,
        price_minor: Option<i64>,
        currency: Option<String>,
        rental_sequence: i64,
        rental_state: i32,
        stars: i32,
        payment: Option<String>,
        payment_sequence: i64,
        payment_state: i32,
        reserved_at: Option<Timestamp>,
        rented_at: Option<Timestamp>,
        returned_at: Option<Timestamp>,
        cancelled_at: Option<Timestamp>,
    }
}

crate::pages::page!(CarRental in car_rentals by reserved_at, paid);

impl CarRental {
    /// The page of a flow of which nothing was heard.
    fn new(id: FlowId) -> CarRental {
        CarRental {
            id,
            version: 0,
            customer: None,
            car: None,
            starts_at: None,
            ends_at: None,
            price_minor: None,
            currency: None,
            rental_sequence: 0,
            rental_state: 0,
            stars: 0,
            payment: None,
            payment_sequence: 0,
            payment_state: 0,
            reserved_at: None,
            rented_at: None,
            returned_at: None,
            cancelled_at: None,
        }
    }
}

impl From<CarRental> for proto::CarRental {
    fn from(row: CarRental) -> Self {
        let time = |time: Option<Timestamp>| time.map(Timestamp::to_proto);
        let (start_time, end_time) = (time(row.starts_at), time(row.ends_at));
        let price = row.currency.zip(row.price_minor);
        proto::CarRental {
            reservation_id: row.id.to_string(),
            customer_id: row.customer.unwrap_or_default(),
            car_id: row.car.unwrap_or_default(),
            period: Some(Period { start_time, end_time }),
            price: price.map(|(currency_code, amount_minor)| Money { currency_code, amount_minor }),
            rental_state: row.rental_state,
            payment_id: row.payment.unwrap_or_default(),
            payment_state: row.payment_state,
            stars: row.stars,
            reserve_time: time(row.reserved_at),
            rent_time: time(row.rented_at),
            return_time: time(row.returned_at),
            cancel_time: time(row.cancelled_at),
        }
    }
}
