//! Taxi rides with fare and payment, made from the events of `dispatch`, `driving` and `payment`.

use chassis::db::prelude::*;
use chassis::{Envelope, Malformed, Timestamp, decode};
use contracts::dispatch::v1::{
    Hail, HailCancellationRefused, HailCancellationRequested, HailCancelled, HailState, TaxiAllocated, TaxiHailed,
    TaxiReleased,
};
use contracts::driving::v1::{
    Drive, DriveAccepted, DriveCancelled, DriveFinished, DriveLapsed, DriveReleased, DriveStarted, DriveState,
};
use contracts::mypage::v1 as proto;

use crate::summary::{Rules, Update, intervention, is_owed, money, place, summary, time};

summary! {
    /// A taxi ride, from the events so far.
    taxi_rides as TaxiRide, "taxi ride" of a "hail", newest by hailed_at, paid {
        pickup: Option<String> as Nullable<Text>,
        pickup_latitude: Option<f64> as Nullable<Double>,
        pickup_longitude: Option<f64> as Nullable<Double>,
        destination: Option<String> as Nullable<Text>,
        destination_latitude: Option<f64> as Nullable<Double>,
        destination_longitude: Option<f64> as Nullable<Double>,
        hail_sequence: i64 as BigInt,
        hail_state: i32 as Integer,
        drive: Option<String> as Nullable<Text>,
        driver: Option<String> as Nullable<Text>,
        drive_sequence: i64 as BigInt,
        drive_state: i32 as Integer,
        fare_minor: Option<i64> as Nullable<BigInt>,
        currency: Option<String> as Nullable<Text>,
        hailed_at: Option<Timestamp> as Nullable<SqlTime>,
        started_at: Option<Timestamp> as Nullable<SqlTime>,
        finished_at: Option<Timestamp> as Nullable<SqlTime>,
        cancelled_at: Option<Timestamp> as Nullable<SqlTime>,
        cause: i32 as Integer,
        intervened_by: Option<String> as Nullable<Text>,
        intervention_reason: Option<String> as Nullable<Text>,
        intervened_at: Option<Timestamp> as Nullable<SqlTime>,
    }
}

fn is_open(ride: &TaxiRide) -> bool {
    use HailState::{Allocated, Cancelling, Requested, UnderWay};
    // Once the drive has started, its state says more than that of the hail.
    let is_under_way = match DriveState::try_from(ride.drive_state) {
        Ok(DriveState::Started) => true,
        Ok(DriveState::Finished) => false,
        _ => matches!(HailState::try_from(ride.hail_state), Ok(Requested | Allocated | Cancelling | UnderWay)),
    };
    is_under_way || is_owed(ride.payment_state)
}

fn rules() -> Rules<TaxiRide> {
    Rules::new()
        .on(|event: TaxiHailed, e| hail(event.hail, e, |_, _| {}))
        .on(|event: TaxiAllocated, e| hail(event.hail, e, |_, _| {}))
        .on(|event: TaxiReleased, e| hail(event.hail, e, |_, _| {}))
        .on(|event: HailCancellationRequested, e| hail(event.hail, e, |_, _| {}))
        .on(|event: HailCancellationRefused, e| hail(event.hail, e, |_, _| {}))
        .on(|event: HailCancelled, e| hail(event.hail, e, |ride, at| ride.cancelled_at = Some(at)))
        .on(|event: DriveAccepted, e| drive(event.drive, e))
        .on(|event: DriveReleased, e| drive(event.drive, e))
        .on(|event: DriveStarted, e| drive(event.drive, e))
        .on(|event: DriveFinished, e| drive(event.drive, e))
        .on(|event: DriveCancelled, e| drive(event.drive, e))
        .on(|event: DriveLapsed, e| drive(event.drive, e))
        .payments_of("driving")
}

fn hail(
    hail: Option<Hail>,
    event: &Envelope,
    set_time: fn(&mut TaxiRide, Timestamp),
) -> Result<Update<TaxiRide>, Malformed> {
    let hail = decode::present("hail", hail)?;
    let id = decode::parsed("hail_id", &hail.hail_id)?;
    let hailed_at = decode::time("create_time", hail.create_time)?;
    let pickup = decode::present("pickup", hail.pickup)?;
    let destination = decode::present("destination", hail.destination)?;
    let (sequence, at) = (event.sequence, event.at);
    Ok(Update::of(id, move |ride: &mut TaxiRide| {
        ride.customer = Some(hail.customer_id);
        ride.pickup = Some(pickup.name);
        (ride.pickup_latitude, ride.pickup_longitude) = (pickup.latitude, pickup.longitude);
        ride.destination = Some(destination.name);
        (ride.destination_latitude, ride.destination_longitude) = (destination.latitude, destination.longitude);
        ride.hailed_at = Some(hailed_at);
        if sequence > ride.hail_sequence {
            (ride.hail_sequence, ride.hail_state) = (sequence, hail.state);
            ride.cause = hail.cancellation_cause;
        }
        set_time(ride, at);
    }))
}

fn drive(drive: Option<Drive>, event: &Envelope) -> Result<Update<TaxiRide>, Malformed> {
    let drive = decode::present("drive", drive)?;
    let id = decode::parsed("hail_id", &drive.hail_id)?;
    let started_at = drive.start_time.map(|time| decode::time("start_time", Some(time))).transpose()?;
    let finished_at = drive.finish_time.map(|time| decode::time("finish_time", Some(time))).transpose()?;
    let intervention = drive.intervention.clone().map(decode::intervention).transpose()?;
    let sequence = event.sequence;
    Ok(Update::of(id, move |ride: &mut TaxiRide| {
        if sequence <= ride.drive_sequence {
            return;
        }
        ride.drive_sequence = sequence;
        (ride.started_at, ride.finished_at) = (started_at, finished_at);
        // A drive that nobody has is not shown.
        (ride.drive, ride.driver, ride.drive_state) = if drive.driver_id.is_empty() {
            (None, None, DriveState::Unspecified.into())
        } else {
            (Some(drive.drive_id), Some(drive.driver_id), drive.state)
        };
        if let Some(intervention) = intervention {
            ride.intervened_by = Some(intervention.staff);
            (ride.intervention_reason, ride.intervened_at) = (Some(intervention.reason), Some(intervention.at));
        }
        if let Some(fare) = drive.fare {
            (ride.fare_minor, ride.currency) = (Some(fare.amount_minor), Some(fare.currency_code));
        }
    }))
}

impl From<TaxiRide> for proto::TaxiRide {
    fn from(row: TaxiRide) -> Self {
        proto::TaxiRide {
            hail_id: row.id.to_string(),
            customer_id: row.customer.unwrap_or_default(),
            pickup: place(row.pickup, row.pickup_latitude, row.pickup_longitude),
            destination: place(row.destination, row.destination_latitude, row.destination_longitude),
            // Once the drive has started, its state is that of the request.
            hail_state: match DriveState::try_from(row.drive_state) {
                Ok(DriveState::Started) => HailState::UnderWay.into(),
                Ok(DriveState::Finished) => HailState::Finished.into(),
                _ => row.hail_state,
            },
            drive_id: row.drive.unwrap_or_default(),
            driver_id: row.driver.unwrap_or_default(),
            drive_state: row.drive_state,
            start_time: time(row.started_at),
            finish_time: time(row.finished_at),
            fare: money(row.currency, row.fare_minor),
            payment_id: row.payment.unwrap_or_default(),
            payment_state: row.payment_state,
            hail_time: time(row.hailed_at),
            cancel_time: time(row.cancelled_at),
            cancellation_cause: row.cause,
            intervention: intervention(row.intervened_by, row.intervention_reason, row.intervened_at),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::summary::testing::{FLOW, check_every_order, envelope, paid, summary};
    use contracts::money::v1::Money;
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
            envelope(&PaymentRequested { payment: paid("driving", P::Requested) }, 1),
            envelope(&PaymentApproved { payment: paid("driving", P::Approved) }, 3),
            envelope(&PaymentSettled { payment: paid("driving", P::Settled) }, 4),
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
    fn a_summary_is_the_same_in_whatever_order_the_events_come() {
        check_every_order::<TaxiRide>(ridden());
        check_every_order::<TaxiRide>(cancelled());
    }

    #[test]
    fn t9_a_summary_shows_request_allocation_drive_fare_and_payment() {
        let summary: proto::TaxiRide = summary::<TaxiRide>(&ridden()).into();
        assert_eq!((summary.hail_state(), summary.drive_state()), (HailState::Finished, DriveState::Finished));
        assert_eq!((summary.drive_id.as_str(), summary.driver_id.as_str()), ("drive", "kim"));
        assert_eq!((summary.hail_time, summary.start_time, summary.finish_time), (at(1), at(5), at(9)));
        assert_eq!(summary.fare.as_ref().map(|fare| fare.amount_minor), Some(12_000));
        assert_eq!((summary.payment_id.as_str(), summary.payment_state()), ("pay", PaymentState::Settled));
    }

    #[test]
    fn a_cancelled_ride_shows_when_and_no_fare() {
        let summary = summary::<TaxiRide>(&cancelled());
        assert_eq!(summary.cancelled_at, Some(Timestamp::from_micros(3_000_000)));
        assert_eq!((summary.hail_state, summary.fare_minor), (HailState::Cancelled.into(), None));
    }
}
