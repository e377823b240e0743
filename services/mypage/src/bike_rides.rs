//! Bike rides with their bills, made from the events of `ride` and `billing`.

use chassis::db::prelude::*;
use chassis::{Envelope, Malformed, Timestamp, decode};
use contracts::billing::v1::{Bill, BillClosed, BillDue, BillInArrears, BillOpened, BillState, BillVoided};
use contracts::mypage::v1 as proto;
use contracts::ride::v1::{Ride, RideReturned, RideStarted, RideState, RideVoided};

use crate::summary::{Rules, Update, money, place, summary, time};

summary! {
    /// A bike ride, from the events so far.
    bike_rides as BikeRide, "bike ride" of a "ride", newest by started_at {
        bike: Option<String> as Nullable<Text>,
        bike_name: Option<String> as Nullable<Text>,
        from_place: Option<String> as Nullable<Text>,
        from_latitude: Option<f64> as Nullable<Double>,
        from_longitude: Option<f64> as Nullable<Double>,
        to_place: Option<String> as Nullable<Text>,
        to_latitude: Option<f64> as Nullable<Double>,
        to_longitude: Option<f64> as Nullable<Double>,
        ride_sequence: i64 as BigInt,
        ride_state: i32 as Integer,
        started_at: Option<Timestamp> as Nullable<SqlTime>,
        ended_at: Option<Timestamp> as Nullable<SqlTime>,
        bill: Option<String> as Nullable<Text>,
        bill_sequence: i64 as BigInt,
        bill_state: i32 as Integer,
        minutes: i32 as Integer,
        fee_minor: Option<i64> as Nullable<BigInt>,
        currency: Option<String> as Nullable<Text>,
    }
}

fn is_open(ride: &BikeRide) -> bool {
    use BillState::{Arrears, Due, Open};
    let is_billed = matches!(BillState::try_from(ride.bill_state), Ok(Open | Due | Arrears));
    RideState::try_from(ride.ride_state) == Ok(RideState::Started) || is_billed
}

fn rules() -> Rules<BikeRide> {
    Rules::new()
        .on(|event: RideStarted, e| ride(event.ride, e))
        .on(|event: RideReturned, e| ride(event.ride, e))
        .on(|event: RideVoided, e| ride(event.ride, e))
        .on(|event: BillOpened, e| bill(event.bill, e))
        .on(|event: BillDue, e| bill(event.bill, e))
        .on(|event: BillInArrears, e| bill(event.bill, e))
        .on(|event: BillClosed, e| bill(event.bill, e))
        .on(|event: BillVoided, e| bill(event.bill, e))
}

fn ride(decoded: Option<Ride>, event: &Envelope) -> Result<Update<BikeRide>, Malformed> {
    let decoded = decode::present("ride", decoded)?;
    let id = decode::parsed("ride_id", &decoded.ride_id)?;
    let started_at = decode::time("start_time", decoded.start_time)?;
    let ended_at = decoded.end_time.map(|time| decode::time("end_time", Some(time))).transpose()?;
    let from = decode::present("from", decoded.from)?;
    let sequence = event.sequence;
    Ok(Update::of(id, move |ride: &mut BikeRide| {
        ride.customer = Some(decoded.customer_id);
        (ride.bike, ride.bike_name) = (Some(decoded.bike_id), Some(decoded.bike_name));
        ride.from_place = Some(from.name);
        (ride.from_latitude, ride.from_longitude) = (from.latitude, from.longitude);
        ride.started_at = Some(started_at);
        if sequence > ride.ride_sequence {
            (ride.ride_sequence, ride.ride_state, ride.ended_at) = (sequence, decoded.state, ended_at);
            let (latitude, longitude) = decoded.to.as_ref().map(|to| (to.latitude, to.longitude)).unwrap_or_default();
            (ride.to_latitude, ride.to_longitude) = (latitude, longitude);
            ride.to_place = decoded.to.map(|to| to.name);
        }
    }))
}

fn bill(bill: Option<Bill>, event: &Envelope) -> Result<Update<BikeRide>, Malformed> {
    let bill = decode::present("bill", bill)?;
    let (id, sequence) = (decode::parsed("ride_id", &bill.ride_id)?, event.sequence);
    Ok(Update::of(id, move |ride: &mut BikeRide| {
        ride.bill = Some(bill.bill_id);
        if sequence > ride.bill_sequence {
            (ride.bill_sequence, ride.bill_state, ride.minutes) = (sequence, bill.state, bill.minutes);
            (ride.fee_minor, ride.currency) = bill.fee.map(|fee| (fee.amount_minor, fee.currency_code)).unzip();
        }
    }))
}

impl From<BikeRide> for proto::BikeRide {
    fn from(row: BikeRide) -> Self {
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
            fee: money(row.currency, row.fee_minor),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::summary::testing::{FLOW, check_every_order, envelope, summary};
    use contracts::money::v1::Money;
    use contracts::place::v1::Place;

    fn at(seconds: i64) -> Option<prost_types::Timestamp> {
        Some(prost_types::Timestamp { seconds, nanos: 0 })
    }

    fn place(name: &str) -> Option<Place> {
        Some(Place { name: name.into(), latitude: Some(37.5), longitude: Some(127.0) })
    }

    fn ride(state: RideState) -> Option<Ride> {
        Some(Ride {
            ride_id: FLOW.into(),
            customer_id: "ann".into(),
            bike_id: "bike".into(),
            bike_name: "S-1024".into(),
            from: place("City Hall"),
            to: place("Seoul Forest").filter(|_| state == RideState::Returned),
            state: state.into(),
            start_time: at(1),
            end_time: at(9).filter(|_| state == RideState::Returned),
            ..Ride::default()
        })
    }

    fn bill(state: BillState) -> Option<Bill> {
        let fee = Money { currency_code: "KRW".into(), amount_minor: 1_200 };
        let is_open = state == BillState::Open;
        Some(Bill {
            bill_id: "bill".into(),
            ride_id: FLOW.into(),
            state: state.into(),
            minutes: if is_open { 0 } else { 12 },
            fee: (!is_open).then_some(fee),
            ..Bill::default()
        })
    }

    fn ridden() -> Vec<Envelope> {
        vec![
            envelope(&RideStarted { ride: ride(RideState::Started) }, 1),
            envelope(&BillOpened { bill: bill(BillState::Open) }, 1),
            envelope(&RideReturned { ride: ride(RideState::Returned) }, 2),
            envelope(&BillDue { bill: bill(BillState::Due) }, 2),
            envelope(&BillInArrears { bill: bill(BillState::Arrears) }, 3),
            envelope(&BillClosed { bill: bill(BillState::Closed) }, 4),
        ]
    }

    #[test]
    fn a_summary_is_the_same_in_whatever_order_the_events_come() {
        check_every_order::<BikeRide>(ridden());
    }

    #[test]
    fn b6_a_summary_shows_ride_and_bill() {
        let summary: proto::BikeRide = summary::<BikeRide>(&ridden()).into();
        assert_eq!((summary.ride_state(), summary.bill_state()), (RideState::Returned, BillState::Closed));
        assert_eq!((summary.bike_name.as_str(), summary.bill_id.as_str()), ("S-1024", "bill"));
        assert_eq!((summary.from, summary.to), (place("City Hall"), place("Seoul Forest")));
        assert_eq!((summary.start_time, summary.end_time), (at(1), at(9)));
        assert_eq!((summary.minutes, summary.fee.map(|fee| fee.amount_minor)), (12, Some(1_200)));
    }
}
