//! Bike rides in a table.

use chassis::Timestamp;
use chassis::db::prelude::*;
use contracts::money::v1::Money;
use contracts::mypage::v1 as proto;
use contracts::place::v1::Place;

use crate::pages::FlowId;

diesel::table! {
    use chassis::db::sql_types::*;
    bike_rides (id) {
        id -> SqlUuid,
        version -> BigInt,
        customer -> Nullable<Text>,
        bike -> Nullable<Text>,
        bike_name -> Nullable<Text>,
        from_place -> Nullable<Text>,
        from_latitude -> Nullable<Double>,
        from_longitude -> Nullable<Double>,
        to_place -> Nullable<Text>,
        to_latitude -> Nullable<Double>,
        to_longitude -> Nullable<Double>,
        ride_sequence -> BigInt,
        ride_state -> Integer,
        started_at -> Nullable<SqlTime>,
        ended_at -> Nullable<SqlTime>,
        bill -> Nullable<Text>,
        bill_sequence -> BigInt,
        bill_state -> Integer,
        minutes -> Integer,
        fee_minor -> Nullable<BigInt>,
        currency -> Nullable<Text>,
    }
}

chassis::rows! {
    /// A bike ride, as far as it was heard of.
    pub struct BikeRide in bike_rides (id) {
        id: FlowId,
        version: i64,
        customer: Option<String>,
        bike: Option<String>,
        bike_name: Option<String>,
        from_place: Option<String>,
        from_latitude: Option<f64>,
        from_longitude: Option<f64>,
        to_place: Option<String>,
        to_latitude: Option<f64>,
        to_longitude: Option<f64>,
        ride_sequence: i64,
        ride_state: i32,
        started_at: Option<Timestamp>,
        ended_at: Option<Timestamp>,
        bill: Option<String>,
        bill_sequence: i64,
        bill_state: i32,
        minutes: i32,
        fee_minor: Option<i64>,
        currency: Option<String>,
    }
}

crate::pages::page!(BikeRide in bike_rides by started_at);

impl BikeRide {
    /// The page of a flow of which nothing was heard.
    fn new(id: FlowId) -> BikeRide {
        BikeRide {
            id,
            version: 0,
            customer: None,
            bike: None,
            bike_name: None,
            from_place: None,
            from_latitude: None,
            from_longitude: None,
            to_place: None,
            to_latitude: None,
            to_longitude: None,
            ride_sequence: 0,
            ride_state: 0,
            started_at: None,
            ended_at: None,
            bill: None,
            bill_sequence: 0,
            bill_state: 0,
            minutes: 0,
            fee_minor: None,
            currency: None,
        }
    }
}

impl From<BikeRide> for proto::BikeRide {
    fn from(row: BikeRide) -> Self {
        let time = |time: Option<Timestamp>| time.map(Timestamp::to_proto);
        let place = |name: Option<String>, latitude, longitude| name.map(|name| Place { name, latitude, longitude });
        let fee = row.currency.zip(row.fee_minor);
        proto::BikeRide {
            ride_id: row.id.to_string(),
            customer_id: row.customer.unwrap_or_default(),
            bike_id: row.bike.unwrap_or_default(),
            bike_name: row.bike_name.unwrap_or_default(),
            from: place(row.from_place, row.from_latitude, row.from_longitude),
            to: place(row.to_place, row.to_latitude, row.to_longitude),
            ride_state: row.ride_state,
            start_time: time(row.started_at),
            end_time: time(row.ended_at),
            bill_id: row.bill.unwrap_or_default(),
            bill_state: row.bill_state,
            minutes: row.minutes,
            fee: fee.map(|(currency_code, amount_minor)| Money { currency_code, amount_minor }),
        }
    }
}
