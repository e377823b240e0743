//! Taxi rides with fare and payment, made from the events of `dispatch`, `driving` and `payment`.

mod table;

use std::sync::LazyLock;

use chassis::{Envelope, Malformed, decode};
use contracts::dispatch::v1::{
    Hail, HailCancellationRefused, HailCancellationRequested, HailCancelled, TaxiAllocated, TaxiHailed,
};
use contracts::driving::v1::{Drive, DriveAccepted, DriveCancelled, DriveFinished, DriveLapsed, DriveStarted};

pub use self::table::TaxiRide;
use crate::pages::{News, Rules};

/// The events that the page is made from.
pub static RULES: LazyLock<Rules<TaxiRide>> = LazyLock::new(|| {
    Rules::new()
        .on(|event: TaxiHailed, e| hail(event.hail, e, false))
        .on(|event: TaxiAllocated, e| hail(event.hail, e, false))
        .on(|event: HailCancellationRequested, e| hail(event.hail, e, false))
        .on(|event: HailCancellationRefused, e| hail(event.hail, e, false))
        .on(|event: HailCancelled, e| hail(event.hail, e, true))
        .on(|event: DriveAccepted, e| drive(event.drive, e))
        .on(|event: DriveStarted, e| drive(event.drive, e))
        .on(|event: DriveFinished, e| drive(event.drive, e))
        .on(|event: DriveCancelled, e| drive(event.drive, e))
        .on(|event: DriveLapsed, e| drive(event.drive, e))
        .payments_of("taxi")
});

fn hail(hail: Option<Hail>, event: &Envelope, is_cancelled: bool) -> Result<News<TaxiRide>, Malformed> {
    let hail = decode::present("hail", hail)?;
    let flow = decode::parsed("hail_id", &hail.hail_id)?;
    let hailed_at = decode::time("create_time", hail.create_time)?;
    let pickup = decode::present("pickup", hail.pickup)?;
    let destination = decode::present("destination", hail.destination)?;
    let (customer, state, sequence, at) = (hail.customer_id, hail.state, event.sequence, event.at);
    Ok(News::of(flow, move |page: &mut TaxiRide| {
        page.customer = Some(customer.clone());
        page.pickup = Some(pickup.name.clone());
        (page.pickup_latitude, page.pickup_longitude) = (pickup.latitude, pickup.longitude);
        page.destination = Some(destination.name.clone());
        (page.destination_latitude, page.destination_longitude) = (destination.latitude, destination.longitude);
        page.hailed_at = Some(hailed_at);
        if is_cancelled {
            page.cancelled_at = Some(at);
        }
        if sequence > page.hail_sequence {
            (page.hail_sequence, page.hail_state) = (sequence, state);
        }
    }))
}

fn drive(drive: Option<Drive>, event: &Envelope) -> Result<News<TaxiRide>, Malformed> {
    let drive = decode::present("drive", drive)?;
    let flow = decode::parsed("hail_id", &drive.hail_id)?;
    let moment = |field: &str, proto: Option<prost_types::Timestamp>| {
        proto.map(|proto| decode::time(field, Some(proto))).transpose()
    };
    let started_at = moment("start_time", drive.start_time)?;
    let finished_at = moment("finish_time", drive.finish_time)?;
    let sequence = event.sequence;
    Ok(News::of(flow, move |page: &mut TaxiRide| {
        if sequence <= page.drive_sequence {
            return;
        }
        (page.drive_sequence, page.drive_state) = (sequence, drive.state);
        (page.started_at, page.finished_at) = (started_at, finished_at);
        // Of a drive that nobody took there is nothing to see.
        if !drive.driver_id.is_empty() {
            (page.drive, page.driver) = (Some(drive.drive_id.clone()), Some(drive.driver_id.clone()));
        }
        if let Some(fare) = &drive.fare {
            (page.fare_minor, page.currency) = (Some(fare.amount_minor), Some(fare.currency_code.clone()));
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::testing::{FLOW, check_every_order, envelope, page, paid};
    use chassis::Timestamp;
    use contracts::dispatch::v1::HailState;
    use contracts::driving::v1::DriveState;
    use contracts::money::v1::Money;
    use contracts::mypage::v1 as proto;
    use contracts::payment::v1::{PaymentApproved, PaymentRequested, PaymentSettled, PaymentState};
    use contracts::place::v1::Place;

    fn at(seconds: i64) -> Option<prost_types::Timestamp> {
        Some(prost_types::Timestamp { seconds, nanos: 0 })
    }

    fn hail(state: HailState) -> Option<Hail> {
        let place = |name: &str| Some(Place { name: name.into(), latitude: Some(37.5), longitude: Some(127.0) });
        Some(Hail {
            hail_id: FLOW.into(),
            customer_id: "ann".into(),
            pickup: place("City Hall"),
            destination: place("Gimpo Airport"),
            state: state.into(),
            create_time: at(1),
            ..Hail::default()
        })
    }

    fn drive(state: DriveState) -> Option<Drive> {
        let has_started = matches!(state, DriveState::Started | DriveState::Finished);
        let is_finished = state == DriveState::Finished;
        let fare = Money { currency_code: "KRW".into(), amount_minor: 12_000 };
        Some(Drive {
            drive_id: "drive".into(),
            hail_id: FLOW.into(),
            driver_id: "kim".into(),
            state: state.into(),
            start_time: at(5).filter(|_| has_started),
            finish_time: at(9).filter(|_| is_finished),
            fare: is_finished.then_some(fare),
            ..Drive::default()
        })
    }

    fn ridden() -> Vec<Envelope> {
        use {DriveState as D, PaymentState as P};
        vec![
            envelope(&TaxiHailed { hail: hail(HailState::Requested) }, 1),
            envelope(&DriveAccepted { drive: drive(D::Accepted) }, 2),
            envelope(&TaxiAllocated { hail: hail(HailState::Allocated) }, 2),
            envelope(&DriveStarted { drive: drive(D::Started) }, 3),
            envelope(&DriveFinished { drive: drive(D::Finished) }, 4),
            envelope(&PaymentRequested { payment: paid("taxi", P::Requested) }, 1),
            envelope(&PaymentApproved { payment: paid("taxi", P::Approved) }, 3),
            envelope(&PaymentSettled { payment: paid("taxi", P::Settled) }, 4),
        ]
    }

    fn cancelled() -> Vec<Envelope> {
        vec![
            envelope(&TaxiHailed { hail: hail(HailState::Requested) }, 1),
            envelope(&HailCancellationRequested { hail: hail(HailState::Cancelling) }, 2),
            envelope(&DriveAccepted { drive: drive(DriveState::Accepted) }, 2),
            envelope(&DriveCancelled { drive: drive(DriveState::Cancelled) }, 3),
            envelope(&HailCancelled { hail: hail(HailState::Cancelled) }, 3),
        ]
    }

    #[test]
    fn a_page_is_the_same_in_whatever_order_the_events_come() {
        check_every_order::<TaxiRide>(ridden());
        check_every_order::<TaxiRide>(cancelled());
    }

    #[test]
    fn t9_a_page_shows_request_allocation_drive_fare_and_payment() {
        let page: proto::TaxiRide = page::<TaxiRide>(&ridden()).into();
        assert_eq!((page.hail_state(), page.drive_state()), (HailState::Finished, DriveState::Finished));
        assert_eq!((page.drive_id.as_str(), page.driver_id.as_str()), ("drive", "kim"));
        assert_eq!((page.hail_time, page.start_time, page.finish_time), (at(1), at(5), at(9)));
        assert_eq!(page.fare.as_ref().map(|fare| fare.amount_minor), Some(12_000));
        assert_eq!((page.payment_id.as_str(), page.payment_state()), ("pay", PaymentState::Settled));
    }

    #[test]
    fn a_cancelled_ride_shows_when_and_no_fare() {
        let page = page::<TaxiRide>(&cancelled());
        assert_eq!(page.cancelled_at, Some(Timestamp::from_micros(3_000_000)));
        assert_eq!((page.hail_state, page.fare_minor), (HailState::Cancelled.into(), None));
    }
}
