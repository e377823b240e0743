//! Riders, their rides and bills in tables, and what others hear of them.

use std::collections::{BTreeMap, BTreeSet};

use chassis::db::{self, prelude::*};
use chassis::page::Cursor;
use chassis::values::Place;
use chassis::{
    Aggregate, Change, Error, EventId, Loaded, Page, Publication, Store, Timestamp, Tx, LoadRequest, newest, sql,
};
use contracts::ride::v1 as proto;

use crate::domain::{BikeId, BillId, Command, Event, Ride, RideId, Rider, RiderId, Standing, State, Taken};

diesel::table! {
    use chassis::db::sql_types::*;
    riders (id) { id -> SqlUuid, version -> BigInt, wake_at -> Nullable<SqlTime>, customer -> Text, }
}

diesel::table! {
    use chassis::db::sql_types::*;
    rides (id) {
        id -> SqlUuid,
        rider -> SqlUuid,
        customer -> Text,
        bike -> SqlUuid,
        bike_name -> Text,
        from_place -> Text,
        from_latitude -> Nullable<Double>,
        from_longitude -> Nullable<Double>,
        to_place -> Nullable<Text>,
        to_latitude -> Nullable<Double>,
        to_longitude -> Nullable<Double>,
        state -> Text,
        is_open -> Bool,
        is_known -> Bool,
        until -> Nullable<SqlTime>,
        started_at -> SqlTime,
        ended_at -> Nullable<SqlTime>,
        updated_at -> SqlTime,
        last_event -> Nullable<SqlUuid>,
    }
}

diesel::table! {
    use chassis::db::sql_types::*;
    bills (id) { id -> SqlUuid, rider -> SqlUuid, in_arrears -> Bool, sequence -> BigInt, }
}

chassis::rows! {
    /// A rider, without rides and bills.
    struct RiderRow in riders (id) { id: RiderId, version: i64, wake_at: Option<Timestamp>, customer: String }
}

chassis::rows! {
    /// A ride, flat. One that never started is not known to its customer.
    struct RideRow in rides (id) {
        id: RideId,
        rider: RiderId,
        customer: String,
        bike: BikeId,
        bike_name: String,
        from_place: String,
        from_latitude: Option<f64>,
        from_longitude: Option<f64>,
        to_place: Option<String>,
        to_latitude: Option<f64>,
        to_longitude: Option<f64>,
        state: String,
        is_open: bool,
        is_known: bool,
        until: Option<Timestamp>,
        started_at: Timestamp,
        ended_at: Option<Timestamp>,
        updated_at: Timestamp,
        last_event: Option<EventId>,
    }
}

chassis::rows! {
    /// How a bill stands that is, or was, in arrears.
    struct BillRow in bills (id) { id: BillId, rider: RiderId, in_arrears: bool, sequence: i64 }
}

impl Store for Rider {
    type Answer = proto::Ride;

    async fn load(tx: Tx<'_>, request: &LoadRequest<'_, Self>) -> Result<Vec<Loaded<Self>>, Error> {
        let ids = request.ids();
        let of_ride: Vec<RideId> = request.commands().filter_map(Command::ride).collect();
        let of_bill: Vec<BillId> = request.commands().filter_map(Command::bill).collect();
        let rides = async {
            sql!(tx, |c| {
                let open = rides::rider.eq_any(&ids).and(rides::is_open);
                let query = rides::table.filter(open.or(rides::id.eq_any(&of_ride)));
                query.select(RideRow::as_select()).load::<RideRow>(c)
            })
        };
        let bills = async {
            sql!(tx, |c| {
                let open = bills::rider.eq_any(&ids).and(bills::in_arrears);
                let query = bills::table.filter(open.or(bills::id.eq_any(&of_bill)));
                query.select(BillRow::as_select()).load::<BillRow>(c)
            })
        };
        let riders = async {
            let query = riders::table.filter(riders::id.eq_any(&ids));
            sql!(tx, |c| query.select(RiderRow::as_select()).load::<RiderRow>(c))
        };
        // The version first: what is read after it is at least as new, so what is decided on old rows is never written.
        let (riders, rides, bills) = db::try_join!(riders, rides, bills)?;
        let mut rides_of: BTreeMap<RiderId, BTreeMap<RideId, Ride>> = BTreeMap::new();
        for row in rides {
            rides_of.entry(row.rider).or_default().insert(row.id, row.try_into()?);
        }
        let mut bills_of: BTreeMap<RiderId, BTreeMap<BillId, Standing>> = BTreeMap::new();
        for BillRow { id, rider, in_arrears, sequence } in bills {
            bills_of.entry(rider).or_default().insert(id, Standing { in_arrears, sequence });
        }
        let loaded = |RiderRow { id, version, customer, .. }: RiderRow| {
            let (rides, bills) = (rides_of.remove(&id).unwrap_or_default(), bills_of.remove(&id).unwrap_or_default());
            Loaded { id, version, state: Rider { customer, rides, bills } }
        };
        Ok(riders.into_iter().map(loaded).collect())
    }

    async fn save(tx: Tx<'_>, changes: &[Change<'_, Self>]) -> Result<(), Error> {
        // The version of the rider guards rides and bills too.
        let rides: Vec<RideRow> = changes.iter().flat_map(touched).collect();
        let bills: Vec<BillRow> = changes.iter().flat_map(noted).collect();
        let riders = db::save(tx, changes, |rider, version| RiderRow {
            id: crate::domain::rider_of(&rider.customer),
            version,
            wake_at: rider.due_at().map(|(at, _)| at),
            customer: rider.customer.clone(),
        });
        db::try_join!(riders, db::upsert(tx, &rides), db::upsert(tx, &bills))?;
        Ok(())
    }

    chassis::due!(riders, id);

    fn answer(&self, command: &Command) -> proto::Ride {
        let ride = command.ride().and_then(|id| Some((id, self.rides.get(&id)?)));
        ride.map(|(id, ride)| to_proto(id, &self.customer, ride)).unwrap_or_default()
    }

    fn publish(&self, event: &Event) -> Option<Publication> {
        let id = event.ride()?;
        let known = self.rides.get(&id)?;
        let (ride, flow) = (Some(to_proto(id, &self.customer, known)), Some(id.uuid()));
        let publication = match event {
            Event::Started(..) => Some(Publication::of(&proto::RideStarted { ride }, id, flow)),
            Event::Returned(..) => Some(Publication::of(&proto::RideReturned { ride }, id, flow)),
            Event::Voided(..) => Some(Publication::of(&proto::RideVoided { ride }, id, flow)),
            Event::Abandoned(customer, _, bike, _) => {
                let (ride_id, bike_id, customer_id) = (id.to_string(), bike.bike.to_string(), customer.clone());
                Some(Publication::of(&proto::RideAbandoned { ride_id, bike_id, customer_id }, id, flow))
            }
            // That a bike was taken, it told itself.
            Event::Expected(..) | Event::Noted(..) => None,
        };
        publication.map(|publication| publication.after(known.last_event))
    }

    fn note(&mut self, event: &Event, known_as: EventId) {
        if let Some(ride) = event.ride().and_then(|id| self.rides.get_mut(&id)) {
            ride.last_event = Some(known_as);
        }
    }
}

/// The rides that the events of a change are about, each once.
fn touched(change: &Change<'_, Rider>) -> Vec<RideRow> {
    let rides: BTreeSet<RideId> = change.events.iter().filter_map(Event::ride).collect();
    let row = |id| Some(RideRow::new(change.id, id, &change.state.customer, change.state.rides.get(&id)?));
    rides.into_iter().filter_map(row).collect()
}

/// The bills that the events of a change are about, each once.
fn noted(change: &Change<'_, Rider>) -> Vec<BillRow> {
    let bills = change.events.iter().filter_map(|event| match event {
        Event::Noted(_, bill, _) => Some(*bill),
        _ => None,
    });
    let bills: BTreeSet<BillId> = bills.collect();
    let row = |id| {
        let Standing { in_arrears, sequence } = *change.state.bills.get(&id)?;
        Some(BillRow { id, rider: change.id, in_arrears, sequence })
    };
    bills.into_iter().filter_map(row).collect()
}

/// A ride, and whose it is.
#[derive(Clone, Debug)]
pub struct Found {
    /// The customer.
    pub customer: String,
    /// The ride.
    pub ride: Ride,
}

impl Found {
    /// Whether it ever started: others are nobody's business.
    pub fn is_known(&self) -> bool {
        is_known(&self.ride.state)
    }
}

fn is_known(state: &State) -> bool {
    !matches!(state, State::Expected { .. } | State::Abandoned)
}

/// Rides by id.
pub async fn read(tx: Tx<'_>, ids: Vec<RideId>) -> Result<Vec<(RideId, Found)>, Error> {
    let query = rides::table.filter(rides::id.eq_any(&ids));
    let rows: Vec<RideRow> = sql!(tx, |c| query.select(RideRow::as_select()).load(c))?;
    rows.into_iter().map(|row| Ok((row.id, Found { customer: row.customer.clone(), ride: row.try_into()? }))).collect()
}

/// A page of rides, newest first: those of a customer, or all.
pub async fn list(tx: Tx<'_>, customer: Option<&str>, page: &Page<Cursor>) -> Result<(Vec<proto::Ride>, String), Error> {
    let (rows, next) = newest!(
        tx, page, RideRow in rides by started_at where rides::is_known; customer: rides::customer.eq(customer)
    );
    let ride = |row: RideRow| {
        let (id, customer) = (row.id, row.customer.clone());
        Ok(to_proto(id, &customer, &row.try_into()?))
    };
    Ok((rows.into_iter().map(ride).collect::<Result<_, Error>>()?, next))
}

impl RideRow {
    fn new(rider: RiderId, id: RideId, customer: &str, ride: &Ride) -> RideRow {
        let (state, until, to, ended_at) = match &ride.state {
            State::Expected { until } => ("expected", Some(*until), None, None),
            State::Started => ("started", None, None, None),
            State::Returned(place, at) => ("returned", None, Some(place.clone()), Some(*at)),
            State::Voided(at) => ("voided", None, None, Some(*at)),
            State::Abandoned => ("abandoned", None, None, None),
        };
        let (from_latitude, from_longitude) = ride.bike.from.position.unzip();
        let (to_latitude, to_longitude) = to.as_ref().and_then(|place| place.position).unzip();
        RideRow {
            id,
            rider,
            customer: customer.to_owned(),
            bike: ride.bike.bike,
            bike_name: ride.bike.name.clone(),
            from_place: ride.bike.from.name.clone(),
            from_latitude,
            from_longitude,
            to_place: to.map(|place| place.name),
            to_latitude,
            to_longitude,
            state: state.to_owned(),
            is_open: matches!(ride.state, State::Expected { .. } | State::Started),
            is_known: is_known(&ride.state),
            until,
            started_at: ride.started,
            ended_at,
            updated_at: ride.updated,
            last_event: ride.last_event,
        }
    }
}

impl TryFrom<RideRow> for Ride {
    type Error = Error;

    fn try_from(row: RideRow) -> Result<Ride, Error> {
        let to = row.to_place.map(|name| Place { name, position: row.to_latitude.zip(row.to_longitude) });
        let state = match (row.state.as_str(), row.until, to, row.ended_at) {
            ("expected", Some(until), None, None) => State::Expected { until },
            ("started", None, None, None) => State::Started,
            ("returned", None, Some(place), Some(at)) => State::Returned(place, at),
            ("voided", None, None, Some(at)) => State::Voided(at),
            ("abandoned", None, None, None) => State::Abandoned,
            _ => return Err(Error::Internal(format!("ride {}: corrupt state", row.id))),
        };
        let from = Place { name: row.from_place, position: row.from_latitude.zip(row.from_longitude) };
        let bike = Taken { bike: row.bike, name: row.bike_name, from };
        let (started, updated, last_event) = (row.started_at, row.updated_at, row.last_event);
        Ok(Ride { bike, state, started, updated, last_event })
    }
}

/// The ride as the contract shows it.
pub fn to_proto(id: RideId, customer: &str, ride: &Ride) -> proto::Ride {
    use proto::RideState;
    let (state, to, ended) = match &ride.state {
        State::Expected { .. } | State::Abandoned => (RideState::Unspecified, None, None),
        State::Started => (RideState::Started, None, None),
        State::Returned(place, at) => (RideState::Returned, Some(place.clone()), Some(*at)),
        State::Voided(at) => (RideState::Voided, None, Some(*at)),
    };
    proto::Ride {
        ride_id: id.to_string(),
        customer_id: customer.to_owned(),
        bike_id: ride.bike.bike.to_string(),
        bike_name: ride.bike.name.clone(),
        from: Some(ride.bike.from.clone().into()),
        to: to.map(Into::into),
        state: state.into(),
        start_time: Some(ride.started.to_proto()),
        end_time: ended.map(Timestamp::to_proto),
        update_time: Some(ride.updated.to_proto()),
    }
}
