//! Drives in a table, and the events that they publish. The search for the nearest is in [`offers`].

pub mod offers;
pub mod shifts;

use std::collections::BTreeSet;

use chassis::db::{self, Column as _, Name, prelude::*};
use chassis::page::Cursor;
use chassis::quota::Used;
use chassis::values::{Currency, Intervention, Money, Place};
use chassis::{Change, Error, LoadRequest, Loaded, Page, Publication, Store, Timestamp, Tx, loaded, newest, read, sql};
use contracts::driving::v1 as proto;
use contracts::driving::v1::DriveCancellationCause;

use crate::domain::{Cause, Command, DRIVING, Drive, DriveId, Event, Fare, FareState, HailId, PaymentId, State, Trip};

chassis::table! {
    /// A drive. One of which only a cancellation is known has no customer.
    drives (id) of Drive as Row with version, wake_at, last_event {
        id: DriveId as SqlUuid,
        hail: HailId as SqlUuid,
        driver: Option<String> as Nullable<Text>,
        overdue_at: Option<Timestamp> as Nullable<SqlTime>,
        created_at: Timestamp as SqlTime,
        accepted_at: Option<Timestamp> as Nullable<SqlTime>,
        started_at: Option<Timestamp> as Nullable<SqlTime>,
        finished_at: Option<Timestamp> as Nullable<SqlTime>,
        updated_at: Timestamp as SqlTime,
    }
    columns |drive| {
        customer: String as Text = text(drive, |trip| &trip.customer),
        pickup: String as Text = text(drive, |trip| &trip.pickup.name),
        latitude: f64 as Double = position(drive, |trip| &trip.pickup).unwrap_or_default().0,
        longitude: f64 as Double = position(drive, |trip| &trip.pickup).unwrap_or_default().1,
        destination: String as Text = text(drive, |trip| &trip.destination.name),
        destination_latitude: Option<f64> as Nullable<Double> = position(drive, |trip| &trip.destination).unzip().0,
        destination_longitude: Option<f64> as Nullable<Double> = position(drive, |trip| &trip.destination).unzip().1,
        payment_method: String as Text = text(drive, |trip| &trip.payment_method),
        start_code: String as Text = text(drive, |trip| &trip.start_code),
        state: Name<proto::DriveState> as Text = Name(shown(&drive.state).0),
        cause: Name<DriveCancellationCause> as Text = Name(shown(&drive.state).1),
        is_offered: bool as Bool = matches!(drive.state, State::Offered { .. }),
        fare_minor: Option<i64> as Nullable<BigInt> = drive.fare.map(|fare| fare.amount.minor),
        currency: Option<Currency> as Nullable<Text> = drive.fare.map(|fare| fare.amount.currency),
        fare_state: Name<proto::FareState> as Text = Name(fare_shown(drive.fare)),
        // What failed so far: start codes before the start, charges of the fare after the finish.
        attempt: u32 as Integer = drive.fare.map_or(drive.wrong_codes, |fare| fare.state.attempt()),
        payment: Option<PaymentId> as Nullable<SqlUuid> = drive.fare.and_then(|fare| fare.state.payment()),
        intervened_by: Option<String> as Nullable<Text> = drive.intervention.as_ref().map(|it| it.staff.clone()),
        intervention_reason: Option<String> as Nullable<Text> =
            drive.intervention.as_ref().map(|it| it.reason.clone()),
        intervened_at: Option<Timestamp> as Nullable<SqlTime> = drive.intervention.as_ref().map(|it| it.at),
    }
    fields |row, corrupt, declined: BTreeSet<String>| {
        trip: (!row.customer.is_empty()).then_some(Trip {
            customer: row.customer,
            pickup: Place { name: row.pickup, position: Some((row.latitude, row.longitude)) },
            destination: Place {
                name: row.destination,
                position: row.destination_latitude.zip(row.destination_longitude),
            },
            payment_method: row.payment_method,
            start_code: row.start_code,
        }),
        intervention: Intervention::from_columns(row.intervened_by, row.intervention_reason, row.intervened_at),
        state: match (Name::parse(&row.state), row.wake_at) {
            (Some(proto::DriveState::Offered), Some(until)) => State::Offered { until },
            (Some(proto::DriveState::Accepted), None) => State::Accepted,
            (Some(proto::DriveState::Started), None) => State::Started,
            (Some(proto::DriveState::Finished), _) => State::Finished,
            (Some(proto::DriveState::Cancelled), None) => {
                State::Cancelled(Cause::from_stored(row.cause).ok_or_else(|| corrupt("cause"))?)
            }
            (Some(proto::DriveState::Lapsed), None) => State::Lapsed,
            _ => return Err(corrupt("state")),
        },
        declined: declined,
        wrong_codes: if row.fare_minor.is_none() { row.attempt as u32 } else { 0 },
        fare: match (row.fare_minor, row.currency) {
            (Some(minor), Some(currency)) => {
                let state = match (Name::parse(&row.fare_state), row.wake_at, row.payment) {
                    (Some(proto::FareState::Due), Some(at), None) => FareState::Due { attempt: row.attempt as u32, at },
                    (Some(proto::FareState::Paid), None, Some(payment)) => FareState::Paid(payment),
                    (Some(proto::FareState::Refused), None, None) => FareState::Refused,
                    (Some(proto::FareState::Uncollected), None, None) => FareState::Uncollected,
                    _ => return Err(corrupt("fare state")),
                };
                Some(Fare { amount: Money { minor, currency }, state })
            }
            (None, None) => None,
            _ => return Err(corrupt("fare")),
        },
    }
}

chassis::table! {
    /// A driver who declined a drive.
    declined (drive, driver) as DeclinedRow { drive: DriveId as SqlUuid, driver: String as Text }
}
diesel::allow_tables_to_appear_in_same_query!(drives, declined);

chassis::names!(Cause is DriveCancellationCause: Customer, NoShow, Staff);

impl Store for Drive {
    type Answer = proto::Drive;

    async fn load(tx: Tx<'_>, request: &LoadRequest<'_, Self>) -> Result<Vec<Loaded<Self>>, Error> {
        let ids = request.ids();
        let (drives, declines) = db::try_join!(
            read!(tx, Row in drives where drives::id.eq_any(&ids)),
            read!(tx, DeclinedRow in declined where declined::drive.eq_any(&ids)),
        )?;
        let mut drivers = db::grouped(declines, |row| Ok((row.drive, row.driver)))?;
        loaded!(drives, |row, id| row.read(drivers.take(id))?)
    }

    async fn save(tx: Tx<'_>, changes: &[Change<'_, Self>]) -> Result<(), Error> {
        let declining = |event: &Event| match event {
            Event::Declined(driver) | Event::Released(driver, ..) => Some(driver.clone()),
            _ => None,
        };
        let new = db::changed_parts(changes, declining, |change, driver| {
            change.state.declined.contains(&driver).then_some(DeclinedRow { drive: change.id, driver })
        });
        let is_taken = |event: &Event| matches!(event, Event::Accepted(..) | Event::Cancelled(..) | Event::Lapsed(_));
        let taken = changes.iter().filter(|change| change.events.iter().any(is_taken));
        let taken: Vec<DriveId> = taken.map(|change| change.id).collect();
        let forget = async {
            if !taken.is_empty() {
                sql!(tx, |c| diesel::delete(declined::table.filter(declined::drive.eq_any(&taken))).execute(c))?;
            }
            Ok(())
        };
        // A drive that was accepted and released at once is hidden from its driver.
        db::try_join!(db::save(tx, changes, Row::of), forget, db::insert(tx, &new))?;
        Ok(())
    }

    async fn usage(tx: Tx<'_>, drivers: &[String]) -> Result<Vec<Used>, Error> {
        let under_way = drives::driver.eq_any(drivers).and(drives::overdue_at.is_not_null());
        let query = drives::table.filter(under_way).select(drives::driver.assume_not_null());
        let drivers: Vec<String> = sql!(tx, |c| query.load(c))?;
        Ok(drivers.into_iter().map(|driver| (DRIVING, driver)).collect())
    }

    chassis::due!(drives, id);

    fn answer(&self, _: &Command) -> proto::Drive {
        self.into()
    }

    fn publish(&self, event: &Event) -> Option<Publication> {
        let drive = self.trip.as_ref().map(|_| proto::Drive::from(self));
        let about = Publication::about(self.id, self.hail.uuid());
        match event {
            Event::Accepted(..) => about.publish(&proto::DriveAccepted { drive }),
            Event::Released(..) => about.publish(&proto::DriveReleased { drive }),
            Event::Started(..) => about.publish(&proto::DriveStarted { drive }),
            Event::Finished(..) => about.publish(&proto::DriveFinished { drive }),
            // A cancellation that arrives before its hail is answered, too.
            Event::Barred(..) | Event::Cancelled(..) => {
                about.publish(&proto::DriveCancelled { drive: Some(self.into()) })
            }
            Event::CancellationRefused => about.publish(&proto::DriveCancellationRefused { drive }),
            Event::Lapsed(_) => about.publish(&proto::DriveLapsed { drive }),
            Event::FareUncollected(_) => about.publish(&proto::FareUncollected { drive }),
            Event::FareRefused(_) => about.publish(&proto::FareRefused { drive }),
            Event::FareReopened(_) => about.publish(&proto::FareReopened { drive }),
            Event::ArrearsPaid(..) => about.publish(&proto::FarePaid { drive }),
            // `dispatch` publishes the hail that led to the offer, `payment` the payment.
            Event::Offered(..)
            | Event::Intervened(_)
            | Event::Declined(_)
            | Event::CodeRefused
            | Event::FarePaid(..)
            | Event::FarePostponed(_) => None,
        }
    }
}

/// A page of drives, newest first: those of a driver, or all; all, or those that are overdue by now.
pub async fn list(
    tx: Tx<'_>,
    driver: Option<&str>,
    overdue: Option<Timestamp>,
    page: &Page<Cursor>,
) -> Result<(Vec<proto::Drive>, String), Error> {
    newest!(
        tx, page, Row in drives by created_at;
        driver: drives::driver.eq(driver), overdue: drives::overdue_at.lt(overdue);
        |row| (&row.read(BTreeSet::new())?).into()
    )
}

fn text(drive: &Drive, text: fn(&Trip) -> &String) -> String {
    drive.trip.as_ref().map(text).cloned().unwrap_or_default()
}

fn position(drive: &Drive, place: fn(&Trip) -> &Place) -> Option<(f64, f64)> {
    place(drive.trip.as_ref()?).position
}

/// The state and the cause of a cancellation in the contract.
fn shown(state: &State) -> (proto::DriveState, DriveCancellationCause) {
    let state = match state {
        State::Cancelled(cause) => return (proto::DriveState::Cancelled, (*cause).into()),
        State::Offered { .. } => proto::DriveState::Offered,
        State::Accepted => proto::DriveState::Accepted,
        State::Started => proto::DriveState::Started,
        State::Finished => proto::DriveState::Finished,
        State::Lapsed => proto::DriveState::Lapsed,
    };
    (state, DriveCancellationCause::Unspecified)
}

/// The state of a fare in the contract.
fn fare_shown(fare: Option<Fare>) -> proto::FareState {
    match fare.map(|fare| fare.state) {
        None => proto::FareState::Unspecified,
        Some(FareState::Due { .. }) => proto::FareState::Due,
        Some(FareState::Paid(_)) => proto::FareState::Paid,
        Some(FareState::Refused) => proto::FareState::Refused,
        Some(FareState::Uncollected) => proto::FareState::Uncollected,
    }
}

impl From<&Drive> for proto::Drive {
    fn from(drive: &Drive) -> Self {
        let time = |time: Option<Timestamp>| time.map(Timestamp::to_proto);
        let trip = drive.trip.as_ref();
        let payment = drive.fare.and_then(|fare| fare.state.payment());
        proto::Drive {
            drive_id: drive.id.to_string(),
            hail_id: drive.hail.to_string(),
            customer_id: text(drive, |trip| &trip.customer),
            driver_id: drive.driver.clone().unwrap_or_default(),
            pickup: trip.map(|trip| trip.pickup.clone().into()),
            destination: trip.map(|trip| trip.destination.clone().into()),
            state: shown(&drive.state).0.into(),
            cancellation_cause: shown(&drive.state).1.into(),
            fare: drive.fare.map(|fare| fare.amount.into()),
            fare_state: fare_shown(drive.fare).into(),
            payment_id: payment.map(|payment| payment.to_string()).unwrap_or_default(),
            create_time: Some(drive.created_at.to_proto()),
            accept_time: time(drive.accepted_at),
            start_time: time(drive.started_at),
            finish_time: time(drive.finished_at),
            update_time: Some(drive.updated_at.to_proto()),
            overdue_time: time(drive.overdue_at),
            intervention: drive.intervention.clone().map(Into::into),
        }
    }
}
