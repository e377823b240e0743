//! Hails in a table, and what others hear of them.

use chassis::db::prelude::*;
use chassis::values::Place;
use chassis::{Error, Loaded, Page, Publication, Store, Timestamp, Tx, sql};
use contracts::dispatch::v1 as proto;

use crate::domain::{Allocation, Cause, Command, DriveId, Event, Hail, HailId, State, Trip};

diesel::table! {
    use chassis::db::sql_types::*;
    hails (id) {
        id -> SqlUuid,
        version -> BigInt,
        customer -> Text,
        pickup -> Text,
        pickup_latitude -> Double,
        pickup_longitude -> Double,
        destination -> Text,
        destination_latitude -> Nullable<Double>,
        destination_longitude -> Nullable<Double>,
        payment_method -> Text,
        state -> Text,
        cause -> Text,
        drive -> Nullable<SqlUuid>,
        driver -> Nullable<Text>,
        created_at -> SqlTime,
        updated_at -> SqlTime,
    }
}

chassis::rows! {
    /// A hail, flat.
    struct Row in hails (id) {
        id: HailId,
        version: i64,
        customer: String,
        pickup: String,
        pickup_latitude: f64,
        pickup_longitude: f64,
        destination: String,
        destination_latitude: Option<f64>,
        destination_longitude: Option<f64>,
        payment_method: String,
        state: String,
        cause: String,
        drive: Option<DriveId>,
        driver: Option<String>,
        created_at: Timestamp,
        updated_at: Timestamp,
    }
}

impl Store for Hail {
    type Answer = proto::Hail;

    chassis::flat!(Row in hails);

    fn answer(&self, _: &Command) -> proto::Hail {
        self.into()
    }

    fn publish(&self, event: &Event) -> Option<Publication> {
        let (hail, id, flow) = (Some(self.into()), self.id, Some(self.id.uuid()));
        match event {
            Event::Requested(..) => Some(Publication::of(&proto::TaxiHailed { hail }, id, flow)),
            Event::Allocated(..) => Some(Publication::of(&proto::TaxiAllocated { hail }, id, flow)),
            Event::CancellationRequested(_) => {
                Some(Publication::of(&proto::HailCancellationRequested { hail }, id, flow))
            }
            Event::CancellationRefused => Some(Publication::of(&proto::HailCancellationRefused { hail }, id, flow)),
            Event::Cancelled(..) => Some(Publication::of(&proto::HailCancelled { hail }, id, flow)),
            // Of the drive, `driving` tells.
            Event::Departed(..) | Event::Arrived(_) => None,
        }
    }
}

/// A page of hails, newest first: those of a customer, or all.
pub async fn list(
    tx: Tx<'_>,
    customer: Option<&str>,
    page: &Page<HailId>,
) -> Result<(Vec<proto::Hail>, String), Error> {
    let mut rows: Vec<Row> = sql!(tx, |c| {
        let mut query = hails::table.select(Row::as_select()).into_boxed();
        if let Some(customer) = customer {
            query = query.filter(hails::customer.eq(customer));
        }
        if let Some(before) = page.after {
            query = query.filter(hails::id.lt(before));
        }
        // Ids are made in the order of time.
        query.order(hails::id.desc()).limit(page.limit()).load(c)
    })?;
    let next = page.cut(&mut rows, |row| row.id);
    let hails = rows.into_iter().map(|row| Loaded::try_from(row).map(|loaded| (&loaded.state).into()));
    Ok((hails.collect::<Result<_, Error>>()?, next))
}

impl Row {
    fn new(hail: &Hail, version: i64) -> Row {
        let (state, cause) = match hail.state {
            State::Requested => ("requested", ""),
            State::Allocated => ("allocated", ""),
            State::Cancelling => ("cancelling", ""),
            State::Cancelled(Cause::Customer) => ("cancelled", "customer"),
            State::Cancelled(Cause::NoDriver) => ("cancelled", "no_driver"),
            State::UnderWay => ("under_way", ""),
            State::Finished => ("finished", ""),
        };
        let Trip { customer, pickup, destination, payment_method } = hail.trip.clone();
        let (pickup_latitude, pickup_longitude) = pickup.position.unwrap_or_default();
        let (destination_latitude, destination_longitude) = destination.position.unzip();
        Row {
            id: hail.id,
            version,
            customer,
            pickup: pickup.name,
            pickup_latitude,
            pickup_longitude,
            destination: destination.name,
            destination_latitude,
            destination_longitude,
            payment_method,
            state: state.to_owned(),
            cause: cause.to_owned(),
            drive: hail.allocation.as_ref().map(|allocation| allocation.drive),
            driver: hail.allocation.as_ref().map(|allocation| allocation.driver.clone()),
            created_at: hail.created,
            updated_at: hail.updated,
        }
    }
}

impl TryFrom<Row> for Loaded<Hail> {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self, Error> {
        let state = match (row.state.as_str(), row.cause.as_str()) {
            ("requested", "") => State::Requested,
            ("allocated", "") => State::Allocated,
            ("cancelling", "") => State::Cancelling,
            ("cancelled", "customer") => State::Cancelled(Cause::Customer),
            ("cancelled", "no_driver") => State::Cancelled(Cause::NoDriver),
            ("under_way", "") => State::UnderWay,
            ("finished", "") => State::Finished,
            _ => return Err(Error::Internal(format!("hail {}: corrupt state", row.id))),
        };
        let pickup = Place { name: row.pickup, position: Some((row.pickup_latitude, row.pickup_longitude)) };
        let destination =
            Place { name: row.destination, position: row.destination_latitude.zip(row.destination_longitude) };
        let trip = Trip { customer: row.customer, pickup, destination, payment_method: row.payment_method };
        let allocation = row.drive.zip(row.driver).map(|(drive, driver)| Allocation { drive, driver });
        let (id, created, updated) = (row.id, row.created_at, row.updated_at);
        let state = Hail { id, trip, state, allocation, created, updated };
        Ok(Loaded { id, version: row.version, state })
    }
}

impl From<&Hail> for proto::Hail {
    fn from(hail: &Hail) -> Self {
        use proto::{CancellationCause, HailState};
        let (state, cause) = match hail.state {
            State::Requested => (HailState::Requested, CancellationCause::Unspecified),
            State::Allocated => (HailState::Allocated, CancellationCause::Unspecified),
            State::Cancelling => (HailState::Cancelling, CancellationCause::Unspecified),
            State::Cancelled(Cause::Customer) => (HailState::Cancelled, CancellationCause::Customer),
            State::Cancelled(Cause::NoDriver) => (HailState::Cancelled, CancellationCause::NoDriver),
            State::UnderWay => (HailState::UnderWay, CancellationCause::Unspecified),
            State::Finished => (HailState::Finished, CancellationCause::Unspecified),
        };
        let allocation = hail.allocation.as_ref();
        proto::Hail {
            hail_id: hail.id.to_string(),
            customer_id: hail.trip.customer.clone(),
            pickup: Some(hail.trip.pickup.clone().into()),
            destination: Some(hail.trip.destination.clone().into()),
            payment_method: hail.trip.payment_method.clone(),
            state: state.into(),
            cancellation_cause: cause.into(),
            drive_id: allocation.map(|allocation| allocation.drive.to_string()).unwrap_or_default(),
            driver_id: allocation.map(|allocation| allocation.driver.clone()).unwrap_or_default(),
            create_time: Some(hail.created.to_proto()),
            update_time: Some(hail.updated.to_proto()),
        }
    }
}
