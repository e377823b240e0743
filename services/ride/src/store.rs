//! Riders, their rides and bills in tables, and the events that they publish.

use std::collections::BTreeMap;

use chassis::db::{self, prelude::*};
use chassis::page::Cursor;
use chassis::values::{Intervention, Place};
use chassis::{
    Change, Error, EventId, LoadRequest, Loaded, Page, Publication, Store, Timestamp, Tx, loaded, newest, read,
};
use contracts::ride::v1::{self as proto, RideState};

use crate::domain::{BikeId, BillId, Command, Event, Ride, RideId, Rider, RiderId, Standing, State, Taken, rider_of};

chassis::table! {
    /// A rider without rides and bills.
    riders (id) of Rider as RiderRow with version, wake_at { customer: String as Text }
    columns |rider| { id: RiderId as SqlUuid = rider_of(&rider.customer) }
    fields |row, corrupt, rides: BTreeMap<RideId, Ride>, bills: BTreeMap<BillId, Standing>| {
        rides: rides,
        bills: bills,
    }
}

chassis::table! {
    /// A ride. One that never started is not shown to its customer.
    rides (id) of Ride as RideRow
    given (id: RideId as SqlUuid, rider: RiderId as SqlUuid, customer: String as Text) {
        started_at: Timestamp as SqlTime,
        updated_at: Timestamp as SqlTime,
        last_event: Option<EventId> as Nullable<SqlUuid>,
    }
    columns |ride| {
        bike: BikeId as SqlUuid = ride.bike.bike,
        bike_name: String as Text = ride.bike.name.clone(),
        from_place: String as Text = ride.bike.from.name.clone(),
        from_latitude: Option<f64> as Nullable<Double> = ride.bike.from.position.unzip().0,
        from_longitude: Option<f64> as Nullable<Double> = ride.bike.from.position.unzip().1,
        to_place: Option<String> as Nullable<Text> = ride.state.to().map(|place| place.name.clone()),
        to_latitude: Option<f64> as Nullable<Double> = ride.state.to().and_then(|place| place.position).unzip().0,
        to_longitude: Option<f64> as Nullable<Double> = ride.state.to().and_then(|place| place.position).unzip().1,
        state: String as Text = name(&ride.state).to_owned(),
        is_open: bool as Bool = ride.state.is_open(),
        is_known: bool as Bool = ride.state.is_known(),
        until: Option<Timestamp> as Nullable<SqlTime> = ride.state.until(),
        ended_at: Option<Timestamp> as Nullable<SqlTime> = ride.state.ended_at(),
        intervened_by: Option<String> as Nullable<Text> = ride.intervention.as_ref().map(|it| it.staff.clone()),
        intervention_reason: Option<String> as Nullable<Text> =
            ride.intervention.as_ref().map(|it| it.reason.clone()),
        intervened_at: Option<Timestamp> as Nullable<SqlTime> = ride.intervention.as_ref().map(|it| it.at),
    }
    fields |row, corrupt| {
        bike: Taken {
            bike: row.bike,
            name: row.bike_name,
            from: Place { name: row.from_place, position: row.from_latitude.zip(row.from_longitude) },
        },
        intervention: Intervention::from_columns(row.intervened_by, row.intervention_reason, row.intervened_at),
        state: {
            let to = row.to_place.map(|name| Place { name, position: row.to_latitude.zip(row.to_longitude) });
            match (row.state.as_str(), row.until, to, row.ended_at) {
                ("expected", Some(until), None, None) => State::Expected { until },
                ("started", None, None, None) => State::Started,
                ("returned", None, Some(place), Some(at)) => State::Returned(place, at),
                ("voided", None, None, Some(at)) => State::Voided(at),
                ("abandoned", None, None, None) => State::Abandoned,
                _ => return Err(corrupt("state")),
            }
        },
    }
}

chassis::table! {
    /// The state of a bill that is, or was, in arrears.
    bills (id) of Standing as BillRow given (id: BillId as SqlUuid, rider: RiderId as SqlUuid) {
        in_arrears: bool as Bool,
        sequence: i64 as BigInt,
    }
}

/// The state in the column; the contract has none for a ride that did not start.
fn name(state: &State) -> &'static str {
    match state {
        State::Expected { .. } => "expected",
        State::Started => "started",
        State::Returned(..) => "returned",
        State::Voided(_) => "voided",
        State::Abandoned => "abandoned",
    }
}

impl Store for Rider {
    type Answer = proto::Ride;

    async fn load(tx: Tx<'_>, request: &LoadRequest<'_, Self>) -> Result<Vec<Loaded<Self>>, Error> {
        let ids = request.ids();
        let about_rides: Vec<RideId> = request.commands().filter_map(Command::ride).collect();
        let about_bills: Vec<BillId> = request.commands().filter_map(Command::bill).collect();
        let open = rides::rider.eq_any(&ids).and(rides::is_open);
        let in_arrears = bills::rider.eq_any(&ids).and(bills::in_arrears);
        // The version is read first: later reads are at least as new, so no decision on stale rows is written.
        let (riders, rides, bills) = db::try_join!(
            read!(tx, RiderRow in riders where riders::id.eq_any(&ids)),
            read!(tx, RideRow in rides where open; and rides::id.eq_any(&about_rides), of about_rides),
            read!(tx, BillRow in bills where in_arrears; and bills::id.eq_any(&about_bills), of about_bills),
        )?;
        let mut rides = db::grouped(rides, |row| Ok((row.rider, (row.id, row.read()?))))?;
        let mut bills = db::grouped(bills, |row| Ok((row.rider, (row.id, row.read()?))))?;
        loaded!(riders, |row, id| row.read(rides.take(id), bills.take(id))?)
    }

    async fn save(tx: Tx<'_>, changes: &[Change<'_, Self>]) -> Result<(), Error> {
        // The version of the rider guards rides and bills too.
        let rides: Vec<RideRow> = db::changed_parts(changes, Event::ride, |change, id| {
            Some(RideRow::of(change.state.rides.get(&id)?, id, change.id, change.state.customer.clone()))
        });
        let bills: Vec<BillRow> = db::changed_parts(changes, Event::bill, |change, id| {
            Some(BillRow::of(change.state.bills.get(&id)?, id, change.id))
        });
        db::try_join!(db::save(tx, changes, RiderRow::of), db::upsert(tx, &rides), db::upsert(tx, &bills))?;
        Ok(())
    }

    chassis::due!(riders, id);

    fn answer(&self, command: &Command) -> proto::Ride {
        let ride = command.ride().and_then(|id| Some((id, self.rides.get(&id)?)));
        ride.map(|(id, ride)| to_proto(id, &self.customer, ride)).unwrap_or_default()
    }

    fn publish(&self, event: &Event) -> Option<Publication> {
        let id = event.ride()?;
        let ride = Some(to_proto(id, &self.customer, self.rides.get(&id)?));
        let about = Publication::about(id, id.uuid());
        match event {
            Event::Started(..) => about.publish(&proto::RideStarted { ride }),
            Event::Returned(..) => about.publish(&proto::RideReturned { ride }),
            Event::Voided(..) => about.publish(&proto::RideVoided { ride }),
            Event::Abandoned(customer, _, bike, _) => {
                let (ride_id, bike_id, customer_id) = (id.to_string(), bike.bike.to_string(), customer.clone());
                about.publish(&proto::RideAbandoned { ride_id, bike_id, customer_id })
            }
            // `bike` publishes that a bike was taken.
            Event::Expected(..) | Event::Noted(..) | Event::Intervened(..) => None,
        }
    }

    fn last_event_of_part(&mut self, event: &Event) -> Option<&mut Option<EventId>> {
        self.rides.get_mut(&event.ride()?).map(|ride| &mut ride.last_event)
    }
}

/// A ride with its customer.
#[derive(Clone, Debug)]
pub struct Found {
    /// The customer.
    pub customer: String,
    /// The ride.
    pub ride: Ride,
}

/// Rides by id.
pub async fn read(tx: Tx<'_>, ids: Vec<RideId>) -> Result<Vec<(RideId, Found)>, Error> {
    let rows = read!(tx, RideRow in rides where rides::id.eq_any(&ids)).await?;
    rows.into_iter().map(|row| Ok((row.id, Found { customer: row.customer.clone(), ride: row.read()? }))).collect()
}

/// A page of rides, newest first: those of a customer, or all; all, or those under way since before a moment.
pub async fn list(
    tx: Tx<'_>,
    customer: Option<&str>,
    overdue: Option<Timestamp>,
    page: &Page<Cursor>,
) -> Result<(Vec<proto::Ride>, String), Error> {
    newest!(
        tx, page, RideRow in rides by started_at where rides::is_known; customer: rides::customer.eq(customer),
        overdue: rides::is_open.and(rides::started_at.lt(overdue));
        |row| to_proto(row.id, &row.customer.clone(), &row.read()?)
    )
}

/// The ride as a message of the contract.
pub fn to_proto(id: RideId, customer: &str, ride: &Ride) -> proto::Ride {
    let state = match ride.state {
        State::Expected { .. } | State::Abandoned => RideState::Unspecified,
        State::Started => RideState::Started,
        State::Returned(..) => RideState::Returned,
        State::Voided(_) => RideState::Voided,
    };
    proto::Ride {
        ride_id: id.to_string(),
        customer_id: customer.to_owned(),
        bike_id: ride.bike.bike.to_string(),
        bike_name: ride.bike.name.clone(),
        from: Some(ride.bike.from.clone().into()),
        to: ride.state.to().cloned().map(Into::into),
        state: state.into(),
        start_time: Some(ride.started_at.to_proto()),
        end_time: ride.state.ended_at().map(Timestamp::to_proto),
        update_time: Some(ride.updated_at.to_proto()),
        intervention: ride.intervention.clone().map(Into::into),
    }
}
