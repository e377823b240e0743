//! Hails in a table, and the events that they publish.

use chassis::db::{Name, prelude::*};
use chassis::page::Cursor;
use chassis::values::Place;
use chassis::{Error, Page, Publication, Store, Timestamp, Tx, newest};
use contracts::dispatch::v1 as proto;
use contracts::dispatch::v1::{CancellationCause, HailState};

use crate::domain::{Allocation, Cause, Command, DriveId, Event, Hail, HailId, State, Trip};

chassis::table! {
    /// A hail.
    hails (id) of Hail as Row with version {
        id: HailId as SqlUuid,
        created_at: Timestamp as SqlTime,
        updated_at: Timestamp as SqlTime,
    }
    columns |hail| {
        customer: String as Text = hail.trip.customer.clone(),
        pickup: String as Text = hail.trip.pickup.name.clone(),
        pickup_latitude: f64 as Double = hail.trip.pickup.position.unwrap_or_default().0,
        pickup_longitude: f64 as Double = hail.trip.pickup.position.unwrap_or_default().1,
        destination: String as Text = hail.trip.destination.name.clone(),
        destination_latitude: Option<f64> as Nullable<Double> = hail.trip.destination.position.unzip().0,
        destination_longitude: Option<f64> as Nullable<Double> = hail.trip.destination.position.unzip().1,
        payment_method: String as Text = hail.trip.payment_method.clone(),
        state: Name<HailState> as Text = Name(shown(&hail.state).0),
        cause: Name<CancellationCause> as Text = Name(shown(&hail.state).1),
        drive: Option<DriveId> as Nullable<SqlUuid> = hail.allocation.as_ref().map(|allocation| allocation.drive),
        driver: Option<String> as Nullable<Text> = hail.allocation.as_ref().map(|allocation| allocation.driver.clone()),
    }
    fields |row, corrupt| {
        trip: Trip {
            customer: row.customer,
            pickup: Place { name: row.pickup, position: Some((row.pickup_latitude, row.pickup_longitude)) },
            destination: Place {
                name: row.destination,
                position: row.destination_latitude.zip(row.destination_longitude),
            },
            payment_method: row.payment_method,
        },
        state: match (Name::parse(&row.state), Name::parse(&row.cause)) {
            (Some(HailState::Cancelled), Some(CancellationCause::Customer)) => State::Cancelled(Cause::Customer),
            (Some(HailState::Cancelled), Some(CancellationCause::NoDriver)) => State::Cancelled(Cause::NoDriver),
            (Some(state), Some(CancellationCause::Unspecified)) => match state {
                HailState::Requested => State::Requested,
                HailState::Allocated => State::Allocated,
                HailState::Cancelling => State::Cancelling,
                HailState::UnderWay => State::UnderWay,
                HailState::Finished => State::Finished,
                HailState::Unspecified | HailState::Cancelled => return Err(corrupt("state")),
            },
            _ => return Err(corrupt("state")),
        },
        allocation: row.drive.zip(row.driver).map(|(drive, driver)| Allocation { drive, driver }),
    }
}

impl Store for Hail {
    type Answer = proto::Hail;

    chassis::flat!(Row in hails);

    fn answer(&self, _: &Command) -> proto::Hail {
        self.into()
    }

    fn publish(&self, event: &Event) -> Option<Publication> {
        let (hail, about) = (Some(self.into()), Publication::about(self.id, self.id.uuid()));
        match event {
            Event::Requested(..) => about.publish(&proto::TaxiHailed { hail }),
            Event::Allocated(..) => about.publish(&proto::TaxiAllocated { hail }),
            Event::CancellationRequested(_) => about.publish(&proto::HailCancellationRequested { hail }),
            Event::CancellationRefused => about.publish(&proto::HailCancellationRefused { hail }),
            Event::Cancelled(..) => about.publish(&proto::HailCancelled { hail }),
            // `driving` publishes the events of the drive.
            Event::Departed(..) | Event::Arrived(_) => None,
        }
    }
}

/// A page of hails, newest first: those of a customer, or all.
pub async fn list(
    tx: Tx<'_>,
    customer: Option<&str>,
    page: &Page<Cursor>,
) -> Result<(Vec<proto::Hail>, String), Error> {
    newest!(
        tx, page, Row in hails by created_at;
        customer: hails::customer.eq(customer);
        |row| (&row.read()?).into()
    )
}

/// The state and the cause of a cancellation in the contract.
fn shown(state: &State) -> (HailState, CancellationCause) {
    match state {
        State::Requested => (HailState::Requested, CancellationCause::Unspecified),
        State::Allocated => (HailState::Allocated, CancellationCause::Unspecified),
        State::Cancelling => (HailState::Cancelling, CancellationCause::Unspecified),
        State::Cancelled(Cause::Customer) => (HailState::Cancelled, CancellationCause::Customer),
        State::Cancelled(Cause::NoDriver) => (HailState::Cancelled, CancellationCause::NoDriver),
        State::UnderWay => (HailState::UnderWay, CancellationCause::Unspecified),
        State::Finished => (HailState::Finished, CancellationCause::Unspecified),
    }
}

impl From<&Hail> for proto::Hail {
    fn from(hail: &Hail) -> Self {
        let (state, cause) = shown(&hail.state);
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
            create_time: Some(hail.created_at.to_proto()),
            update_time: Some(hail.updated_at.to_proto()),
        }
    }
}
