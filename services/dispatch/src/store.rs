//! Hails in a table, and the events that they publish.

use chassis::db::{Column as _, Name, prelude::*};
use chassis::page::Cursor;
use chassis::quota::Used;
use chassis::values::{Intervention, Place};
use chassis::{Error, Page, Publication, Store, Timestamp, Tx, newest, sql};
use contracts::dispatch::v1 as proto;
use contracts::dispatch::v1::{CancellationCause, HailState};

use crate::domain::{Allocation, Cause, Command, DriveId, Event, Hail, HailId, OPEN_HAILS, OWED_FARES, State, Trip};

chassis::table! {
    /// A hail.
    hails (id) of Hail as Row with version {
        id: HailId as SqlUuid,
        drive_sequence: i64 as BigInt,
        fare_owed: bool as Bool,
        fare_sequence: i64 as BigInt,
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
        start_code: String as Text = hail.trip.start_code.clone(),
        state: Name<HailState> as Text = Name(shown(&hail.state).0),
        is_open: bool as Bool = !hail.is_over(),
        cause: Name<CancellationCause> as Text = Name(shown(&hail.state).1),
        drive: Option<DriveId> as Nullable<SqlUuid> = hail.allocation.as_ref().map(|allocation| allocation.drive),
        driver: Option<String> as Nullable<Text> = hail.allocation.as_ref().map(|allocation| allocation.driver.clone()),
        intervened_by: Option<String> as Nullable<Text> = hail.intervention.as_ref().map(|it| it.staff.clone()),
        intervention_reason: Option<String> as Nullable<Text> =
            hail.intervention.as_ref().map(|it| it.reason.clone()),
        intervened_at: Option<Timestamp> as Nullable<SqlTime> = hail.intervention.as_ref().map(|it| it.at),
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
            start_code: row.start_code,
        },
        state: match Name::parse(&row.state) {
            Some(HailState::Requested) => State::Requested,
            Some(HailState::Allocated) => State::Allocated,
            Some(HailState::Cancelling) => State::Cancelling,
            Some(HailState::Cancelled) => {
                State::Cancelled(Cause::from_stored(row.cause).ok_or_else(|| corrupt("cause"))?)
            }
            Some(HailState::UnderWay) => State::UnderWay,
            Some(HailState::Finished) => State::Finished,
            Some(HailState::Unspecified) | None => return Err(corrupt("state")),
        },
        intervention: Intervention::from_columns(row.intervened_by, row.intervention_reason, row.intervened_at),
        allocation: row.drive.zip(row.driver).map(|(drive, driver)| Allocation { drive, driver }),
    }
}

chassis::names!(Cause is CancellationCause: Customer, NoDriver, NoShow, Staff);

impl Store for Hail {
    type Answer = proto::Hail;

    chassis::flat!(Row in hails);

    async fn usage(tx: Tx<'_>, customers: &[String]) -> Result<Vec<Used>, Error> {
        let of_them = || hails::table.filter(hails::customer.eq_any(customers)).select(hails::customer);
        let (open, owed) = (of_them().filter(hails::is_open), of_them().filter(hails::fare_owed));
        let (open, owed): (Vec<String>, Vec<String>) =
            chassis::db::try_join!(async { Ok::<_, Error>(sql!(tx, |c| open.load(c))?) }, async {
                Ok::<_, Error>(sql!(tx, |c| owed.load(c))?)
            },)?;
        let used = |resource| move |customer| (resource, customer);
        Ok(open.into_iter().map(used(OPEN_HAILS)).chain(owed.into_iter().map(used(OWED_FARES))).collect())
    }

    fn answer(&self, _: &Command) -> proto::Hail {
        self.into()
    }

    fn publish(&self, event: &Event) -> Option<Publication> {
        let (hail, about) = (Some(self.into()), Publication::about(self.id, self.id.uuid()));
        match event {
            Event::Requested(..) => about.publish(&proto::TaxiHailed { hail }),
            Event::Allocated(..) => about.publish(&proto::TaxiAllocated { hail }),
            Event::Released(..) => about.publish(&proto::TaxiReleased { hail }),
            Event::CancellationRequested(_) => about.publish(&proto::HailCancellationRequested { hail }),
            Event::CancellationRefused => about.publish(&proto::HailCancellationRefused { hail }),
            Event::Cancelled(..) => about.publish(&proto::HailCancelled { hail }),
            // `driving` publishes the events of the drive.
            Event::DriverNoted(..)
            | Event::ReleaseNoted(_)
            | Event::Departed(..)
            | Event::Arrived(_)
            | Event::FareNoted(..)
            | Event::Intervened(_) => None,
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
    let state = match state {
        State::Cancelled(cause) => return (HailState::Cancelled, (*cause).into()),
        State::Requested => HailState::Requested,
        State::Allocated => HailState::Allocated,
        State::Cancelling => HailState::Cancelling,
        State::UnderWay => HailState::UnderWay,
        State::Finished => HailState::Finished,
    };
    (state, CancellationCause::Unspecified)
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
            start_code: hail.trip.start_code.clone(),
            fare_owed: hail.fare_owed,
            intervention: hail.intervention.clone().map(Into::into),
        }
    }
}
