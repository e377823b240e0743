//! Bikes and the rides that took them in tables, and the events that they publish.

use std::collections::BTreeMap;

use chassis::db::{self, Name, prelude::*};
use chassis::geo::{GeoCursor, GeoQuery};
use chassis::page::Cursor;
use chassis::values::Place;
use chassis::{
    Change, Error, LoadRequest, Loaded, Page, Publication, Store, Timestamp, Tx, loaded, nearest, newest, read,
};
use contracts::bike::v1::{self as proto, BikeState};
use diesel::dsl::not;

use crate::domain::{Bike, BikeId, Command, Condition, Event, RideId, State, Taking};

chassis::table! {
    /// A bike without its takings.
    bikes (id) of Bike as BikeRow with version {
        id: BikeId as SqlUuid,
        name: String as Text,
        owner: String as Text,
        created_at: Timestamp as SqlTime,
        updated_at: Timestamp as SqlTime,
    }
    columns |bike| {
        place: String as Text = bike.place.name.clone(),
        latitude: f64 as Double = bike.place.position.unwrap_or_default().0,
        longitude: f64 as Double = bike.place.position.unwrap_or_default().1,
        state: Name<BikeState> as Text = Name(shown(bike)),
        ride: Option<RideId> as Nullable<SqlUuid> = bike.ride(),
        battery_percent: u8 as Integer = bike.condition.battery_percent,
        usable: bool as Bool = bike.condition.usable,
    }
    fields |row, corrupt, takings: BTreeMap<RideId, Taking>| {
        place: Place { name: row.place, position: Some((row.latitude, row.longitude)) },
        state: match (Name::parse(&row.state), row.ride) {
            (Some(BikeState::Available | BikeState::OutOfOrder), None) => State::Free,
            (Some(BikeState::InUse), Some(ride)) => State::WithRide(ride),
            (Some(BikeState::Removed), None) => State::Removed,
            _ => return Err(corrupt("state")),
        },
        condition: Condition {
            battery_percent: u8::try_from(row.battery_percent).map_err(|_| corrupt("battery"))?,
            usable: row.usable,
        },
        takings: takings,
    }
}

chassis::table! {
    /// A ride that took a bike.
    takings (bike, ride) of Taking as TakingRow given (bike: BikeId as SqlUuid, ride: RideId as SqlUuid) {
        customer: String as Text,
        is_over: bool as Bool,
    }
}

impl Store for Bike {
    type Answer = proto::Bike;

    async fn load(tx: Tx<'_>, request: &LoadRequest<'_, Self>) -> Result<Vec<Loaded<Self>>, Error> {
        let (ids, mentioned): (_, Vec<RideId>) =
            (request.ids(), request.commands().filter_map(Command::ride).collect());
        let open = takings::bike.eq_any(&ids).and(not(takings::is_over));
        let named = takings::ride.eq_any(&mentioned);
        // The version is read first: later reads are at least as new, so no decision on stale rows is written.
        let (bikes, taken) = db::try_join!(
            read!(tx, BikeRow in bikes where bikes::id.eq_any(&ids)),
            read!(tx, TakingRow in takings where open; and named, of mentioned),
        )?;
        let mut takings = db::grouped(taken, |row| Ok((row.bike, (row.ride, row.read()?))))?;
        loaded!(bikes, |row, id| row.read(takings.take(id))?)
    }

    async fn save(tx: Tx<'_>, changes: &[Change<'_, Self>]) -> Result<(), Error> {
        // The version of the bike guards its takings too.
        let taking =
            |change: &Change<'_, Self>, ride| Some(TakingRow::of(change.state.takings.get(&ride)?, change.id, ride));
        let changed: Vec<TakingRow> = db::changed_parts(changes, Event::ride, taking);
        db::try_join!(db::save(tx, changes, BikeRow::of), db::upsert(tx, &changed))?;
        Ok(())
    }

    fn answer(&self, _: &Command) -> proto::Bike {
        self.into()
    }

    fn publish(&self, event: &Event) -> Option<Publication> {
        let (bike, bike_id, this) = (Some(proto::Bike::from(self)), self.id.to_string(), self.id.uuid());
        let about = |flow| Publication::about(self.id, flow);
        match event {
            Event::Registered(..) => about(this).publish(&proto::BikeRegistered { bike }),
            Event::Transferred(..) => about(this).publish(&proto::BikeTransferred { bike }),
            Event::Removed(_) => about(this).publish(&proto::BikeRemoved { bike }),
            Event::WrittenOff(ride, _) => {
                let customer_id = self.takings.get(ride).map(|taking| taking.customer.clone()).unwrap_or_default();
                about(ride.uuid()).publish(&proto::BikeWrittenOff { bike, ride_id: ride.to_string(), customer_id })
            }
            Event::Taken(ride, customer, _) => {
                let (ride_id, customer_id) = (ride.to_string(), customer.clone());
                about(ride.uuid()).publish(&proto::BikeTaken { bike, ride_id, customer_id })
            }
            Event::GivenBack(ride, ..) => {
                about(ride.uuid()).publish(&proto::BikeReturned { bike, ride_id: ride.to_string() })
            }
            Event::GiveBackRefused(ride, customer) => {
                let (ride_id, customer_id) = (ride.to_string(), customer.clone());
                about(ride.uuid()).publish(&proto::BikeReturnRefused { bike_id, ride_id, customer_id })
            }
            Event::Inspected(report, manager, ..) => {
                let (report_id, manager_id) = (report.to_string(), manager.clone());
                about(report.uuid()).publish(&proto::BikeInspected { bike, report_id, manager_id })
            }
            // What never happened is not published.
            Event::Barred(..) => None,
        }
    }
}

/// A page of bikes, newest first: those in a state, or all that were not removed.
pub async fn list(tx: Tx<'_>, state: BikeState, page: &Page<Cursor>) -> Result<(Vec<proto::Bike>, String), Error> {
    let state = Name(state).specified();
    let kept = state.is_none().then(|| Name(BikeState::Removed).text());
    newest!(
        tx, page, BikeRow in bikes by created_at; state: bikes::state.eq(state), kept: bikes::state.ne(kept);
        |row| (&row.read(BTreeMap::new())?).into()
    )
}

/// A page of the bikes that can be rented near a position, nearest first. There is an index for them, `bikes_near`.
pub async fn nearest(
    tx: Tx<'_>,
    query: &GeoQuery,
    page: &Page<GeoCursor>,
) -> Result<(Vec<proto::NearbyBike>, String), Error> {
    let available = &Name(BikeState::Available).text();
    nearest!(
        tx, query, page, BikeRow in bikes where bikes::state.eq(available);
        |row, distance_km| proto::NearbyBike { bike: Some((&row.read(BTreeMap::new())?).into()), distance_km }
    )
}

/// The state in the contract: a free bike is either available or out of order.
fn shown(bike: &Bike) -> BikeState {
    match bike.state {
        State::Free if bike.condition.usable => BikeState::Available,
        State::Free => BikeState::OutOfOrder,
        State::WithRide(_) => BikeState::InUse,
        State::Removed => BikeState::Removed,
    }
}

impl From<&Bike> for proto::Bike {
    fn from(bike: &Bike) -> Self {
        proto::Bike {
            bike_id: bike.id.to_string(),
            name: bike.name.clone(),
            place: Some(bike.place.clone().into()),
            state: shown(bike).into(),
            battery_percent: bike.condition.battery_percent.into(),
            usable: bike.condition.usable,
            create_time: Some(bike.created_at.to_proto()),
            update_time: Some(bike.updated_at.to_proto()),
            owner_id: bike.owner.clone(),
        }
    }
}
