//! Bike rides with their bills, made from the events of `ride` and `billing`.

mod table;

use std::sync::LazyLock;

use chassis::{Envelope, Malformed, decode};
use contracts::billing::v1::{Bill, BillClosed, BillDue, BillInArrears, BillOpened, BillVoided};
use contracts::ride::v1::{Ride, RideReturned, RideStarted, RideVoided};

pub use self::table::BikeRide;
use crate::pages::{News, Rules};

/// The events that the page is made from.
pub static RULES: LazyLock<Rules<BikeRide>> = LazyLock::new(|| {
    Rules::new()
        .on(|event: RideStarted, e| ride(event.ride, e))
        .on(|event: RideReturned, e| ride(event.ride, e))
        .on(|event: RideVoided, e| ride(event.ride, e))
        .on(|event: BillOpened, e| bill(event.bill, e))
        .on(|event: BillDue, e| bill(event.bill, e))
        .on(|event: BillInArrears, e| bill(event.bill, e))
        .on(|event: BillClosed, e| bill(event.bill, e))
        .on(|event: BillVoided, e| bill(event.bill, e))
});

fn ride(ride: Option<Ride>, event: &Envelope) -> Result<News<BikeRide>, Malformed> {
    let ride = decode::present("ride", ride)?;
    let flow = decode::parsed("ride_id", &ride.ride_id)?;
    let started_at = decode::time("start_time", ride.start_time)?;
    let ended_at = ride.end_time.map(|time| decode::time("end_time", Some(time))).transpose()?;
    let from = decode::present("from", ride.from)?;
    let sequence = event.sequence;
    Ok(News::of(flow, move |page: &mut BikeRide| {
        page.customer = Some(ride.customer_id.clone());
        (page.bike, page.bike_name) = (Some(ride.bike_id.clone()), Some(ride.bike_name.clone()));
        page.from_place = Some(from.name.clone());
        (page.from_latitude, page.from_longitude) = (from.latitude, from.longitude);
        page.started_at = Some(started_at);
        if sequence > page.ride_sequence {
            (page.ride_sequence, page.ride_state, page.ended_at) = (sequence, ride.state, ended_at);
            page.to_place = ride.to.as_ref().map(|to| to.name.clone());
            page.to_latitude = ride.to.as_ref().and_then(|to| to.latitude);
            page.to_longitude = ride.to.as_ref().and_then(|to| to.longitude);
        }
    }))
}

fn bill(bill: Option<Bill>, event: &Envelope) -> Result<News<BikeRide>, Malformed> {
    let bill = decode::present("bill", bill)?;
    let (flow, sequence) = (decode::parsed("ride_id", &bill.ride_id)?, event.sequence);
    Ok(News::of(flow, move |page: &mut BikeRide| {
        page.bill = Some(bill.bill_id.clone());
        if sequence > page.bill_sequence {
            (page.bill_sequence, page.bill_state, page.minutes) = (sequence, bill.state, bill.minutes);
            page.fee_minor = bill.fee.as_ref().map(|fee| fee.amount_minor);
            page.currency = bill.fee.as_ref().map(|fee| fee.currency_code.clone());
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::testing::{FLOW, check_every_order, envelope, page};
    use contracts::billing::v1::BillState;
    use contracts::money::v1::Money;
    use contracts::mypage::v1 as proto;
    use contracts::place::v1::Place;
    use contracts::ride::v1::RideState;

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
    fn a_page_is_the_same_in_whatever_order_the_events_come() {
        check_every_order::<BikeRide>(ridden());
    }

    #[test]
    fn b6_a_page_shows_ride_and_bill() {
        let page: proto::BikeRide = page::<BikeRide>(&ridden()).into();
        assert_eq!((page.ride_state(), page.bill_state()), (RideState::Returned, BillState::Closed));
        assert_eq!((page.bike_name.as_str(), page.bill_id.as_str()), ("S-1024", "bill"));
        assert_eq!((page.from, page.to), (place("City Hall"), place("Seoul Forest")));
        assert_eq!((page.start_time, page.end_time), (at(1), at(9)));
        assert_eq!((page.minutes, page.fee.map(|fee| fee.amount_minor)), (12, Some(1_200)));
    }
}
