//! Taxi rides in a table.

use chassis::Timestamp;
use chassis::db::prelude::*;
use contracts::dispatch::v1::HailState;
use contracts::driving::v1::DriveState;
use contracts::money::v1::Money;
use contracts::mypage::v1 as proto;
use contracts::place::v1::Place;

use crate::pages::FlowId;

diesel::table! {
    use chassis::db::sql_types::*;
    taxi_rides (id) {
        id -> SqlUuid,
        version -> BigInt,
        customer -> Nullable<Text>,
        pickup -> Nullable<Text>,
        pickup_latitude -> Nullable<Double>,
        pickup_longitude -> Nullable<Double>,
        destination -> Nullable<Text>,
        destination_latitude -> Nullable<Double>,
        destination_longitude -> Nullable<Double>,
        hail_sequence -> BigInt,
        hail_state -> Integer,
        drive -> Nullable<Text>,
        driver -> Nullable<Text>,
        drive_sequence -> BigInt,
        drive_state -> Integer,
        fare_minor -> Nullable<BigInt>,
        currency -> Nullable<Text>,
        payment -> Nullable<Text>,
        payment_sequence -> BigInt,
        payment_state -> Integer,
        hailed_at -> Nullable<SqlTime>,
        started_at -> Nullable<SqlTime>,
        finished_at -> Nullable<SqlTime>,
        cancelled_at -> Nullable<SqlTime>,
    }
}

chassis::rows! {
    /// A taxi ride, as far as it was heard of.
    pub struct TaxiRide in taxi_rides (id) {
        id: FlowId,
        version: i64,
        customer: Option<String>,
        pickup: Option<String>,
        pickup_latitude: Option<f64>,
        pickup_longitude: Option<f64>,
        destination: Option<String>,
        destination_latitude: Option<f64>,
        destination_longitude: Option<f64>,
        hail_sequence: i64,
        hail_state: i32,
        drive: Option<String>,
        driver: Option<String>,
        drive_sequence: i64,
        drive_state: i32,
        fare_minor: Option<i64>,
        currency: Option<String>,
        payment: Option<String>,
        payment_sequence: i64,
        payment_state: i32,
        hailed_at: Option<Timestamp>,
        started_at: Option<Timestamp>,
        finished_at: Option<Timestamp>,
        cancelled_at: Option<Timestamp>,
    }
}

crate::pages::page!(TaxiRide in taxi_rides by hailed_at, paid);

impl TaxiRide {
    /// The page of a flow of which nothing was heard.
    fn new(id: FlowId) -> TaxiRide {
        TaxiRide {
            id,
            version: 0,
            customer: None,
            pickup: None,
            pickup_latitude: None,
            pickup_longitude: None,
            destination: None,
            destination_latitude: None,
            destination_longitude: None,
            hail_sequence: 0,
            hail_state: 0,
            drive: None,
            driver: None,
            drive_sequence: 0,
            drive_state: 0,
            fare_minor: None,
            currency: None,
            payment: None,
            payment_sequence: 0,
            payment_state: 0,
            hailed_at: None,
            started_at: None,
            finished_at: None,
            cancelled_at: None,
        }
    }
}

impl From<TaxiRide> for proto::TaxiRide {
    fn from(row: TaxiRide) -> Self {
        // Once it has started, the drive says where the request stands.
        let hail_state = match DriveState::try_from(row.drive_state) {
            Ok(DriveState::Started) => HailState::UnderWay.into(),
            Ok(DriveState::Finished) => HailState::Finished.into(),
            _ => row.hail_state,
        };
        let time = |time: Option<Timestamp>| time.map(Timestamp::to_proto);
        let place = |name: Option<String>, latitude, longitude| name.map(|name| Place { name, latitude, longitude });
        let fare = row.currency.zip(row.fare_minor);
        proto::TaxiRide {
            hail_id: row.id.to_string(),
            customer_id: row.customer.unwrap_or_default(),
            pickup: place(row.pickup, row.pickup_latitude, row.pickup_longitude),
            destination: place(row.destination, row.destination_latitude, row.destination_longitude),
            hail_state,
            drive_id: row.drive.unwrap_or_default(),
            driver_id: row.driver.unwrap_or_default(),
            drive_state: row.drive_state,
            start_time: time(row.started_at),
            finish_time: time(row.finished_at),
            fare: fare.map(|(currency_code, amount_minor)| Money { currency_code, amount_minor }),
            payment_id: row.payment.unwrap_or_default(),
            payment_state: row.payment_state,
            hail_time: time(row.hailed_at),
            cancel_time: time(row.cancelled_at),
        }
    }
}
