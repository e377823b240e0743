//! Drives in a table, and what others hear of them. How the nearest are found is in [`offers`].

pub mod offers;

use std::collections::{BTreeMap, BTreeSet};

use chassis::db::{self, prelude::*};
use chassis::page::Cursor;
use chassis::values::{Currency, Money, Place};
use chassis::{
    Aggregate as _, Change, Error, EventId, Loaded, Page, Publication, Store, Timestamp, Tx, LoadRequest, newest, sql,
};
use contracts::driving::v1 as proto;

use crate::domain::{Command, Drive, DriveId, Event, Fare, FareState, HailId, PaymentId, State, Trip};

diesel::table! {
    use chassis::db::sql_types::*;
    drives (id) {
        id -> SqlUuid,
        version -> BigInt,
        wake_at -> Nullable<SqlTime>,
        hail -> SqlUuid,
        customer -> Text,
        pickup -> Text,
        latitude -> Double,
        longitude -> Double,
        destination -> Text,
        destination_latitude -> Nullable<Double>,
        destination_longitude -> Nullable<Double>,
        payment_method -> Text,
        state -> Text,
        is_offered -> Bool,
        driver -> Nullable<Text>,
        fare_minor -> Nullable<BigInt>,
        currency -> Nullable<Text>,
        fare_state -> Text,
        attempt -> Integer,
        payment -> Nullable<SqlUuid>,
        created_at -> SqlTime,
        accepted_at -> Nullable<SqlTime>,
        started_at -> Nullable<SqlTime>,
        finished_at -> Nullable<SqlTime>,
        updated_at -> SqlTime,
        last_event -> Nullable<SqlUuid>,
    }
}

diesel::table! {
    use chassis::db::sql_types::*;
    declined (drive, driver) {
        drive -> SqlUuid,
        driver -> Text,
    }
}
diesel::allow_tables_to_appear_in_same_query!(drives, declined);

chassis::rows! {
    /// A drive, flat. One of which only a cancellation was heard has no customer.
    struct Row in drives (id) {
        id: DriveId,
        version: i64,
        wake_at: Option<Timestamp>,
        hail: HailId,
        customer: String,
        pickup: String,
        latitude: f64,
        longitude: f64,
        destination: String,
        destination_latitude: Option<f64>,
        destination_longitude: Option<f64>,
        payment_method: String,
        state: String,
        is_offered: bool,
        driver: Option<String>,
        fare_minor: Option<i64>,
        currency: Option<String>,
        fare_state: String,
        attempt: i32,
        payment: Option<PaymentId>,
        created_at: Timestamp,
        accepted_at: Option<Timestamp>,
        started_at: Option<Timestamp>,
        finished_at: Option<Timestamp>,
        updated_at: Timestamp,
        last_event: Option<EventId>,
    }
}

chassis::rows! {
    /// A driver does not want a drive.
    struct DeclinedRow in declined (drive, driver) { drive: DriveId, driver: String }
}

impl Store for Drive {
    type Answer = proto::Drive;

    async fn load(tx: Tx<'_>, request: &LoadRequest<'_, Self>) -> Result<Vec<Loaded<Self>>, Error> {
        let ids = request.ids();
        let drives = async {
            let query = drives::table.filter(drives::id.eq_any(&ids));
            sql!(tx, |c| query.select(Row::as_select()).load::<Row>(c))
        };
        let declines = async {
            let query = declined::table.filter(declined::drive.eq_any(&ids));
            sql!(tx, |c| query.select(DeclinedRow::as_select()).load::<DeclinedRow>(c))
        };
        let (drives, declines) = db::try_join!(drives, declines)?;
        let mut by_drive: BTreeMap<DriveId, BTreeSet<String>> = BTreeMap::new();
        for DeclinedRow { drive, driver } in declines {
            by_drive.entry(drive).or_default().insert(driver);
        }
        let loaded = |row: Row| {
            let (id, version) = (row.id, row.version);
            Ok(Loaded { id, version, state: row.drive(by_drive.remove(&id).unwrap_or_default())? })
        };
        drives.into_iter().map(loaded).collect()
    }

    async fn save(tx: Tx<'_>, changes: &[Change<'_, Self>]) -> Result<(), Error> {
        let declines = |change: &Change<'_, Drive>| -> Vec<DeclinedRow> {
            let is_open = matches!(change.state.state, State::Offered { .. });
            let drivers = change.events.iter().filter_map(|event| match event {
                Event::Declined(driver) if is_open => Some(driver.clone()),
                _ => None,
            });
            drivers.map(|driver| DeclinedRow { drive: change.id, driver }).collect()
        };
        let new: Vec<DeclinedRow> = changes.iter().flat_map(declines).collect();
        let is_taken = |event: &Event| matches!(event, Event::Accepted(..) | Event::Cancelled(_) | Event::Lapsed(_));
        let taken = changes.iter().filter(|change| change.events.iter().any(is_taken));
        let taken: Vec<DriveId> = taken.map(|change| change.id).collect();
        let forget = async {
            if !taken.is_empty() {
                sql!(tx, |c| diesel::delete(declined::table.filter(declined::drive.eq_any(&taken))).execute(c))?;
            }
            Ok(())
        };
        db::try_join!(db::save(tx, changes, Row::new), db::insert(tx, &new), forget)?;
        Ok(())
    }

    chassis::due!(drives, id);

    fn answer(&self, _: &Command) -> proto::Drive {
        self.into()
    }

    fn publish(&self, event: &Event) -> Option<Publication> {
        let drive = self.trip.as_ref().map(|_| proto::Drive::from(self));
        let (id, flow) = (self.id, Some(self.hail.uuid()));
        let publication = match event {
            Event::Accepted(..) => Some(Publication::of(&proto::DriveAccepted { drive }, id, flow)),
            Event::Started(_) => Some(Publication::of(&proto::DriveStarted { drive }, id, flow)),
            Event::Finished(..) => Some(Publication::of(&proto::DriveFinished { drive }, id, flow)),
            // Who cancels before we have heard of the hail waits for an answer, too.
            Event::Barred(..) | Event::Cancelled(_) => {
                let drive = Some(self.into());
                Some(Publication::of(&proto::DriveCancelled { drive }, id, flow))
            }
            Event::CancellationRefused => Some(Publication::of(&proto::DriveCancellationRefused { drive }, id, flow)),
            Event::Lapsed(_) => Some(Publication::of(&proto::DriveLapsed { drive }, id, flow)),
            Event::FareUncollected(_) => Some(Publication::of(&proto::FareUncollected { drive }, id, flow)),
            // The customer's hail tells that it is offered, and `payment` tells of the payment.
            Event::Offered(..)
            | Event::Declined(_)
            | Event::FarePaid(..)
            | Event::FareRefused(_)
            | Event::FarePostponed(_)
            | Event::FareReopened(_) => None,
        };
        publication.map(|publication| publication.after(self.last_event))
    }

    fn note(&mut self, _: &Event, known_as: EventId) {
        self.last_event = Some(known_as);
    }
}

/// A page of drives, newest first: those of a driver, or all.
pub async fn list(tx: Tx<'_>, driver: Option<&str>, page: &Page<Cursor>) -> Result<(Vec<proto::Drive>, String), Error> {
    let (rows, next) = newest!(tx, page, Row in drives by created_at; driver: drives::driver.eq(driver));
    let drives = rows.into_iter().map(|row| row.drive(BTreeSet::new()).map(|drive| (&drive).into()));
    Ok((drives.collect::<Result<_, Error>>()?, next))
}

impl Row {
    fn new(drive: &Drive, version: i64) -> Row {
        let state = match drive.state {
            State::Offered { .. } => "offered",
            State::Accepted => "accepted",
            State::Started => "started",
            State::Finished => "finished",
            State::Cancelled => "cancelled",
            State::Lapsed => "lapsed",
        };
        let (fare_state, attempt, payment) = match drive.fare.map(|fare| fare.state) {
            None => ("", 0, None),
            Some(FareState::Due { attempt, .. }) => ("due", attempt, None),
            Some(FareState::Paid(payment)) => ("paid", 0, Some(payment)),
            Some(FareState::Refused) => ("refused", 0, None),
            Some(FareState::Uncollected) => ("uncollected", 0, None),
        };
        let nowhere = || Place { name: String::new(), position: None };
        let trip = drive.trip.clone().unwrap_or_else(|| Trip {
            customer: String::new(),
            pickup: nowhere(),
            destination: nowhere(),
            payment_method: String::new(),
        });
        let (latitude, longitude) = trip.pickup.position.unwrap_or_default();
        let (destination_latitude, destination_longitude) = trip.destination.position.unzip();
        Row {
            id: drive.id,
            version,
            wake_at: drive.due_at().map(|(at, _)| at),
            hail: drive.hail,
            customer: trip.customer,
            pickup: trip.pickup.name,
            latitude,
            longitude,
            destination: trip.destination.name,
            destination_latitude,
            destination_longitude,
            payment_method: trip.payment_method,
            state: state.to_owned(),
            is_offered: matches!(drive.state, State::Offered { .. }),
            driver: drive.driver.clone(),
            fare_minor: drive.fare.map(|fare| fare.amount.minor),
            currency: drive.fare.map(|fare| fare.amount.currency.to_string()),
            fare_state: fare_state.to_owned(),
            attempt: attempt as i32,
            payment,
            created_at: drive.created,
            accepted_at: drive.accepted,
            started_at: drive.started,
            finished_at: drive.finished,
            updated_at: drive.updated,
            last_event: drive.last_event,
        }
    }

    fn drive(self, declined: BTreeSet<String>) -> Result<Drive, Error> {
        let corrupt = |what: &str| Error::Internal(format!("drive {}: corrupt {what}", self.id));
        let state = match (self.state.as_str(), self.wake_at) {
            ("offered", Some(until)) => State::Offered { until },
            ("accepted", None) => State::Accepted,
            ("started", None) => State::Started,
            ("finished", _) => State::Finished,
            ("cancelled", None) => State::Cancelled,
            ("lapsed", None) => State::Lapsed,
            _ => return Err(corrupt("state")),
        };
        let fare = match (self.fare_minor, self.currency.as_deref()) {
            (Some(minor), Some(code)) => {
                let currency = Currency::parse(code).ok_or_else(|| corrupt("currency"))?;
                let attempt = self.attempt as u32;
                let state = match (self.fare_state.as_str(), self.wake_at, self.payment) {
                    ("due", Some(at), None) => FareState::Due { attempt, at },
                    ("paid", None, Some(payment)) => FareState::Paid(payment),
                    ("refused", None, None) => FareState::Refused,
                    ("uncollected", None, None) => FareState::Uncollected,
                    _ => return Err(corrupt("fare state")),
                };
                Some(Fare { amount: Money { minor, currency }, state })
            }
            (None, None) => None,
            _ => return Err(corrupt("fare")),
        };
        let pickup = Place { name: self.pickup, position: Some((self.latitude, self.longitude)) };
        let destination =
            Place { name: self.destination, position: self.destination_latitude.zip(self.destination_longitude) };
        let trip = Trip { customer: self.customer, pickup, destination, payment_method: self.payment_method };
        Ok(Drive {
            id: self.id,
            hail: self.hail,
            trip: Some(trip).filter(|trip| !trip.customer.is_empty()),
            state,
            driver: self.driver,
            declined,
            fare,
            created: self.created_at,
            accepted: self.accepted_at,
            started: self.started_at,
            finished: self.finished_at,
            updated: self.updated_at,
            last_event: self.last_event,
        })
    }
}

impl From<&Drive> for proto::Drive {
    fn from(drive: &Drive) -> Self {
        use proto::DriveState;
        let state = match drive.state {
            State::Offered { .. } => DriveState::Offered,
            State::Accepted => DriveState::Accepted,
            State::Started => DriveState::Started,
            State::Finished => DriveState::Finished,
            State::Cancelled => DriveState::Cancelled,
            State::Lapsed => DriveState::Lapsed,
        };
        let (fare_state, payment) = match drive.fare.map(|fare| fare.state) {
            None => (proto::FareState::Unspecified, None),
            Some(FareState::Due { .. }) => (proto::FareState::Due, None),
            Some(FareState::Paid(payment)) => (proto::FareState::Paid, Some(payment)),
            Some(FareState::Refused) => (proto::FareState::Refused, None),
            Some(FareState::Uncollected) => (proto::FareState::Uncollected, None),
        };
        let time = |time: Option<Timestamp>| time.map(Timestamp::to_proto);
        let trip = drive.trip.as_ref();
        proto::Drive {
            drive_id: drive.id.to_string(),
            hail_id: drive.hail.to_string(),
            customer_id: trip.map(|trip| trip.customer.clone()).unwrap_or_default(),
            driver_id: drive.driver.clone().unwrap_or_default(),
            pickup: trip.map(|trip| trip.pickup.clone().into()),
            destination: trip.map(|trip| trip.destination.clone().into()),
            state: state.into(),
            fare: drive.fare.map(|fare| fare.amount.into()),
            fare_state: fare_state.into(),
            payment_id: payment.map(|payment| payment.to_string()).unwrap_or_default(),
            create_time: Some(drive.created.to_proto()),
            accept_time: time(drive.accepted),
            start_time: time(drive.started),
            finish_time: time(drive.finished),
            update_time: Some(drive.updated.to_proto()),
        }
    }
}
