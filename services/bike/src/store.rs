//! Bikes and who took them in tables, and what others hear of them.

use std::collections::{BTreeMap, BTreeSet};

use chassis::db::{self, prelude::*};
use chassis::geo::{self, BoundingBox, GeoQuery, GeoCursor};
use chassis::page::Cursor;
use chassis::values::Place;
use chassis::{Change, Error, Loaded, Page, Publication, Store, Timestamp, Tx, LoadRequest, newest, sql, squared_distance};
use contracts::bike::v1 as proto;
use diesel::dsl::not;

use crate::domain::{Bike, BikeId, Command, Condition, Event, RideId, State, Taking};

diesel::table! {
    use chassis::db::sql_types::*;
    bikes (id) {
        id -> SqlUuid,
        version -> BigInt,
        name -> Text,
        place -> Text,
        latitude -> Double,
        longitude -> Double,
        state -> Text,
        ride -> Nullable<SqlUuid>,
        battery_percent -> Integer,
        usable -> Bool,
        created_at -> SqlTime,
        updated_at -> SqlTime,
    }
}

diesel::table! {
    use chassis::db::sql_types::*;
    takings (bike, ride) { bike -> SqlUuid, ride -> SqlUuid, customer -> Text, is_over -> Bool, }
}

chassis::rows! {
    /// A bike, flat. Its state is the contract's.
    struct BikeRow in bikes (id) {
        id: BikeId,
        version: i64,
        name: String,
        place: String,
        latitude: f64,
        longitude: f64,
        state: String,
        ride: Option<RideId>,
        battery_percent: i32,
        usable: bool,
        created_at: Timestamp,
        updated_at: Timestamp,
    }
}

chassis::rows! {
    /// A ride took a bike.
    struct TakingRow in takings (bike, ride) { bike: BikeId, ride: RideId, customer: String, is_over: bool }
}

impl Store for Bike {
    type Answer = proto::Bike;

    async fn load(tx: Tx<'_>, request: &LoadRequest<'_, Self>) -> Result<Vec<Loaded<Self>>, Error> {
        let ids = request.ids();
        let mentioned: Vec<RideId> = request.commands().filter_map(Command::ride).collect();
        let takings = async {
            sql!(tx, |c| {
                // Written out, so that each half has an index, whatever has piled up.
                let open = takings::bike.eq_any(&ids).and(not(takings::is_over));
                let named = takings::bike.eq_any(&ids).and(takings::ride.eq_any(&mentioned));
                let query = takings::table.filter(open.or(named));
                query.select(TakingRow::as_select()).load::<TakingRow>(c)
            })
        };
        let bikes = async {
            let query = bikes::table.filter(bikes::id.eq_any(&ids));
            sql!(tx, |c| query.select(BikeRow::as_select()).load::<BikeRow>(c))
        };
        // The version first: what is read after it is at least as new, so what is decided on old rows is never written.
        let (bikes, takings) = db::try_join!(bikes, takings)?;
        let mut of_bike: BTreeMap<BikeId, BTreeMap<RideId, Taking>> = BTreeMap::new();
        for TakingRow { bike, ride, customer, is_over } in takings {
            of_bike.entry(bike).or_default().insert(ride, Taking { customer, over: is_over });
        }
        let loaded = |row: BikeRow| {
            let (id, version) = (row.id, row.version);
            Ok(Loaded { id, version, state: row.bike(of_bike.remove(&id).unwrap_or_default())? })
        };
        bikes.into_iter().map(loaded).collect()
    }

    async fn save(tx: Tx<'_>, changes: &[Change<'_, Self>]) -> Result<(), Error> {
        // The version of the bike guards its takings too.
        let touched: Vec<TakingRow> = changes.iter().flat_map(touched).collect();
        db::try_join!(db::save(tx, changes, BikeRow::new), db::upsert(tx, &touched))?;
        Ok(())
    }

    fn answer(&self, _: &Command) -> proto::Bike {
        self.into()
    }

    fn publish(&self, event: &Event) -> Option<Publication> {
        let (bike, id) = (Some(proto::Bike::from(self)), self.id);
        let customer_of = |ride: &RideId| self.takings.get(ride).map(|taking| taking.customer.clone());
        let publication = match event {
            Event::Registered(..) => Publication::of(&proto::BikeRegistered { bike }, id, Some(id.uuid())),
            Event::Removed(_) => Publication::of(&proto::BikeRemoved { bike }, id, Some(id.uuid())),
            Event::WrittenOff(ride, _) => {
                let (ride_id, customer_id) = (ride.to_string(), customer_of(ride).unwrap_or_default());
                Publication::of(&proto::BikeWrittenOff { bike, ride_id, customer_id }, id, Some(ride.uuid()))
            }
            Event::Taken(ride, customer, _) => {
                let (ride_id, customer_id) = (ride.to_string(), customer.clone());
                Publication::of(&proto::BikeTaken { bike, ride_id, customer_id }, id, Some(ride.uuid()))
            }
            Event::GivenBack(ride, ..) => {
                let returned = proto::BikeReturned { bike, ride_id: ride.to_string() };
                Publication::of(&returned, id, Some(ride.uuid()))
            }
            Event::GiveBackRefused(ride, customer) => {
                let (bike_id, ride_id, customer_id) = (id.to_string(), ride.to_string(), customer.clone());
                let refused = proto::BikeReturnRefused { bike_id, ride_id, customer_id };
                Publication::of(&refused, id, Some(ride.uuid()))
            }
            Event::Inspected(report, manager, ..) => {
                let (report_id, manager_id) = (report.to_string(), manager.clone());
                Publication::of(&proto::BikeInspected { bike, report_id, manager_id }, id, Some(report.uuid()))
            }
            // What never was is nobody's news.
            Event::Barred(..) => return None,
        };
        Some(publication)
    }
}

/// The takings that the events of a change are about, each once.
fn touched(change: &Change<'_, Bike>) -> Vec<TakingRow> {
    let rides: BTreeSet<RideId> = change.events.iter().filter_map(Event::ride).collect();
    let row = |ride| {
        let Taking { customer, over } = change.state.takings.get(&ride)?.clone();
        Some(TakingRow { bike: change.id, ride, customer, is_over: over })
    };
    rides.into_iter().filter_map(row).collect()
}

/// A page of bikes, newest first: those in a state, or all that were not removed.
pub async fn list(tx: Tx<'_>, state: proto::BikeState, page: &Page<Cursor>) -> Result<(Vec<proto::Bike>, String), Error> {
    let (state, kept) = match state {
        proto::BikeState::Unspecified => (None, Some(name(proto::BikeState::Removed))),
        state => (Some(name(state)), None),
    };
    let (rows, next) = newest!(
        tx, page, BikeRow in bikes by created_at;
        state: bikes::state.eq(state), kept: bikes::state.ne(kept)
    );
    let bikes = rows.into_iter().map(|row| Ok((&row.bike(BTreeMap::new())?).into()));
    Ok((bikes.collect::<Result<_, Error>>()?, next))
}

/// A page of the bikes that can be rented near a position, nearest first. There is an index for them, `bikes_available`.
pub async fn near(tx: Tx<'_>, around: &GeoQuery, page: &Page<GeoCursor>) -> Result<(Vec<proto::NearbyBike>, String), Error> {
    let find = |area: BoundingBox| async move {
        let squared = || squared_distance!(area, bikes::latitude, bikes::longitude);
        Ok(sql!(tx, |c| {
            let mut query = bikes::table
                // Not bound, so that the partial index is seen to fit.
                .filter(diesel::dsl::sql::<diesel::sql_types::Bool>("state = 'available'"))
                .filter(bikes::latitude.between(area.latitude - area.high, area.latitude + area.high))
                .filter(bikes::longitude.between(area.longitude - area.wide, area.longitude + area.wide))
                .filter(squared().le(area.high * area.high))
                .select((squared(), BikeRow::as_select()))
                .into_boxed();
            if let Some(GeoCursor { squared: after, id }) = page.after {
                let id = BikeId::new(id);
                query = query.filter(squared().gt(after).or(squared().eq(after).and(bikes::id.gt(id))));
            }
            query.order((squared().asc(), bikes::id.asc())).limit(page.limit()).load(c)
        })?)
    };
    let (rows, next) = geo::page(around, page, |row: &BikeRow| row.id.uuid(), find).await?;
    let bike = |(distance_km, row): (f64, BikeRow)| {
        Ok(proto::NearbyBike { bike: Some((&row.bike(BTreeMap::new())?).into()), distance_km })
    };
    Ok((rows.into_iter().map(bike).collect::<Result<_, Error>>()?, next))
}

/// The column's name of a state.
fn name(state: proto::BikeState) -> &'static str {
    match state {
        proto::BikeState::Unspecified => "",
        proto::BikeState::Available => "available",
        proto::BikeState::InUse => "in_use",
        proto::BikeState::OutOfOrder => "out_of_order",
        proto::BikeState::Removed => "removed",
    }
}

/// The contract's state: for others, a bike that nobody has is either available or out of order.
fn shown(bike: &Bike) -> proto::BikeState {
    match bike.state {
        State::Free if bike.condition.usable => proto::BikeState::Available,
        State::Free => proto::BikeState::OutOfOrder,
        State::WithRide(_) => proto::BikeState::InUse,
        State::Removed => proto::BikeState::Removed,
    }
}

impl BikeRow {
    fn new(bike: &Bike, version: i64) -> BikeRow {
        let (latitude, longitude) = bike.place.position.unwrap_or_default();
        BikeRow {
            id: bike.id,
            version,
            name: bike.name.clone(),
            place: bike.place.name.clone(),
            latitude,
            longitude,
            state: name(shown(bike)).to_owned(),
            ride: if let State::WithRide(ride) = bike.state { Some(ride) } else { None },
            battery_percent: bike.condition.battery_percent.into(),
            usable: bike.condition.usable,
            created_at: bike.created,
            updated_at: bike.updated,
        }
    }

    fn bike(self, takings: BTreeMap<RideId, Taking>) -> Result<Bike, Error> {
        let corrupt = |what: &str| Error::Internal(format!("bike {}: corrupt {what}", self.id));
        let state = match (self.state.as_str(), self.ride) {
            ("available" | "out_of_order", None) => State::Free,
            ("in_use", Some(ride)) => State::WithRide(ride),
            ("removed", None) => State::Removed,
            _ => return Err(corrupt("state")),
        };
        let battery_percent = u8::try_from(self.battery_percent).map_err(|_| corrupt("battery"))?;
        Ok(Bike {
            id: self.id,
            name: self.name,
            place: Place { name: self.place, position: Some((self.latitude, self.longitude)) },
            state,
            condition: Condition { battery_percent, usable: self.usable },
            takings,
            created: self.created_at,
            updated: self.updated_at,
        })
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
            create_time: Some(bike.created.to_proto()),
            update_time: Some(bike.updated.to_proto()),
        }
    }
}
