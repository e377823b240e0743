//! Cars and their engagements in tables, and what others hear of them.

use std::collections::BTreeMap;

use chassis::db::{self, prelude::*};
use chassis::values::{Currency, Money, Period, Place};
use chassis::{Change, Error, Loaded, Page, Publication, Store, Timestamp, Tx, LoadRequest, sql};
use contracts::fleet::v1 as proto;
use diesel::dsl::{exists, not};

use crate::domain::{Car, CarId, Command, Engagement, Event, Listing, ReservationId, Stage, Status};

diesel::table! {
    use chassis::db::sql_types::*;
    cars (id) {
        id -> SqlUuid,
        version -> BigInt,
        model -> Text,
        place_name -> Text,
        latitude -> Nullable<Double>,
        longitude -> Nullable<Double>,
        daily_rate_minor -> BigInt,
        currency -> Text,
        status -> Text,
        stars_sum -> BigInt,
        rating_count -> BigInt,
        created_at -> SqlTime,
        updated_at -> SqlTime,
    }
}

diesel::table! {
    use chassis::db::sql_types::*;
    engagements (reservation_id) {
        reservation_id -> SqlUuid,
        car_id -> SqlUuid,
        start_at -> SqlTime,
        end_at -> SqlTime,
        state -> Text,
        is_open -> Bool,
        sequence -> BigInt,
        rated -> Bool,
    }
}
diesel::allow_tables_to_appear_in_same_query!(cars, engagements);

chassis::rows! {
    /// A car, flat, without its engagements.
    struct CarRow in cars (id) {
        id: CarId,
        version: i64,
        model: String,
        place_name: String,
        latitude: Option<f64>,
        longitude: Option<f64>,
        daily_rate_minor: i64,
        currency: String,
        status: String,
        stars_sum: i64,
        rating_count: i64,
        created_at: Timestamp,
        updated_at: Timestamp,
    }
}

chassis::rows! {
    /// An engagement.
    struct EngagementRow in engagements (reservation_id) {
        reservation_id: ReservationId,
        car_id: CarId,
        start_at: Timestamp,
        end_at: Timestamp,
        state: String,
        is_open: bool,
        sequence: i64,
        rated: bool,
    }
}

impl Store for Car {
    type Answer = proto::Car;

    async fn load(tx: Tx<'_>, request: &LoadRequest<'_, Self>) -> Result<Vec<Loaded<Self>>, Error> {
        let ids = request.ids();
        let mentioned: Vec<ReservationId> = request.commands().filter_map(Command::reservation).collect();
        let engagements = async {
            sql!(tx, |c| {
                let open = engagements::car_id.eq_any(&ids).and(engagements::is_open);
                let query = engagements::table.filter(open.or(engagements::reservation_id.eq_any(&mentioned)));
                query.select(EngagementRow::as_select()).load::<EngagementRow>(c)
            })
        };
        let cars = async {
            let query = cars::table.filter(cars::id.eq_any(&ids));
            sql!(tx, |c| query.select(CarRow::as_select()).load::<CarRow>(c))
        };
        // The version first: what is read after it is at least as new, so what is decided on old rows is never written.
        let (cars, engagements) = db::try_join!(cars, engagements)?;
        let mut of_car: BTreeMap<CarId, BTreeMap<ReservationId, Engagement>> = BTreeMap::new();
        for row in engagements {
            of_car.entry(row.car_id).or_default().insert(row.reservation_id, row.try_into()?);
        }
        let loaded = |row: CarRow| {
            let (id, version) = (row.id, row.version);
            let state = row.car(of_car.remove(&id).unwrap_or_default())?;
            Ok(Loaded { id, version, state })
        };
        cars.into_iter().map(loaded).collect()
    }

    async fn save(tx: Tx<'_>, changes: &[Change<'_, Self>]) -> Result<(), Error> {
        let touched: Vec<EngagementRow> = changes.iter().flat_map(touched).collect();
        db::try_join!(db::save(tx, changes, CarRow::new), db::upsert(tx, &touched))?;
        Ok(())
    }

    fn answer(&self, _: &Command) -> proto::Car {
        self.into()
    }

    fn publish(&self, event: &Event) -> Option<Publication> {
        let (car, id) = (Some(proto::Car::from(self)), self.id);
        match event {
            Event::Registered(..) => Some(Publication::of(&proto::CarRegistered { car }, id, Some(id.uuid()))),
            Event::Removed(_) => Some(Publication::of(&proto::CarRemoved { car }, id, Some(id.uuid()))),
            // They belong to the flow of the reservation that caused them.
            Event::StatusChanged(..) => Some(Publication::of(&proto::CarStatusChanged { car }, id, None)),
            Event::Rated(..) => Some(Publication::of(&proto::CarRated { car }, id, None)),
            Event::Engaged(..) => None,
        }
    }
}

/// The engagements that the events of a change are about, each once.
fn touched(change: &Change<'_, Car>) -> Vec<EngagementRow> {
    let ids = change.events.iter().filter_map(|event| match event {
        Event::Engaged(id, _) | Event::Rated(id, ..) => Some(*id),
        _ => None,
    });
    let ids: std::collections::BTreeSet<ReservationId> = ids.collect();
    let row = |id| Some(EngagementRow::new(change.id, id, change.state.engagements.get(&id)?));
    ids.into_iter().filter_map(row).collect()
}

/// Cars by id, without their engagements.
pub async fn read(tx: Tx<'_>, ids: Vec<CarId>) -> Result<Vec<(CarId, proto::Car)>, Error> {
    let rows: Vec<CarRow> =
        sql!(tx, |c| cars::table.filter(cars::id.eq_any(&ids)).select(CarRow::as_select()).load(c))?;
    rows.into_iter().map(|row| Ok((row.id, (&row.car(BTreeMap::new())?).into()))).collect()
}

/// Which cars to list. All of it must fit.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Of this status; removed ones only so.
    pub status: Option<Status>,
    /// At the place of this name.
    pub place_name: Option<String>,
    /// A day costs at least this.
    pub min_daily_rate: Option<Money>,
    /// A day costs at most this.
    pub max_daily_rate: Option<Money>,
    /// Nothing is open on them in this period.
    pub free: Option<Period>,
}

/// A page of cars, in the order of their registration.
pub async fn list(tx: Tx<'_>, filter: &Filter, page: &Page<CarId>) -> Result<(Vec<proto::Car>, String), Error> {
    let mut rows: Vec<CarRow> = sql!(tx, |c| {
        let mut query = cars::table.select(CarRow::as_select()).into_boxed();
        query = match filter.status {
            Some(status) => query.filter(cars::status.eq(status_name(status))),
            None => query.filter(cars::status.ne(status_name(Status::Removed))),
        };
        if let Some(name) = &filter.place_name {
            query = query.filter(cars::place_name.eq(name));
        }
        if let Some(least) = filter.min_daily_rate {
            query =
                query.filter(cars::currency.eq(least.currency.to_string()).and(cars::daily_rate_minor.ge(least.minor)));
        }
        if let Some(most) = filter.max_daily_rate {
            query =
                query.filter(cars::currency.eq(most.currency.to_string()).and(cars::daily_rate_minor.le(most.minor)));
        }
        if let Some(free) = filter.free {
            let overlaps = engagements::start_at.lt(free.end).and(engagements::end_at.gt(free.start));
            let taken = engagements::table
                .filter(engagements::car_id.eq(cars::id))
                .filter(engagements::is_open)
                .filter(overlaps);
            query = query.filter(not(exists(taken)));
        }
        if let Some(after) = page.after {
            query = query.filter(cars::id.gt(after));
        }
        query.order(cars::id).limit(page.limit()).load(c)
    })?;
    let next = page.cut(&mut rows, |row| row.id);
    let cars = rows.into_iter().map(|row| Ok((&row.car(BTreeMap::new())?).into()));
    Ok((cars.collect::<Result<_, Error>>()?, next))
}

const STATUSES: [(Status, &str); 4] = [
    (Status::Available, "available"),
    (Status::Reserved, "reserved"),
    (Status::Rented, "rented"),
    (Status::Removed, "removed"),
];

fn status_name(status: Status) -> &'static str {
    STATUSES.iter().find(|(known, _)| *known == status).map_or("", |(_, name)| name)
}

impl CarRow {
    fn new(car: &Car, version: i64) -> CarRow {
        let (latitude, longitude) = car.listing.place.position.unzip();
        CarRow {
            id: car.id,
            version,
            model: car.listing.model.clone(),
            place_name: car.listing.place.name.clone(),
            latitude,
            longitude,
            daily_rate_minor: car.listing.daily_rate.minor,
            currency: car.listing.daily_rate.currency.to_string(),
            status: status_name(car.status).to_owned(),
            stars_sum: car.stars_sum,
            rating_count: car.rating_count,
            created_at: car.created,
            updated_at: car.updated,
        }
    }

    fn car(self, engagements: BTreeMap<ReservationId, Engagement>) -> Result<Car, Error> {
        let corrupt = |what: &str| Error::Internal(format!("car {}: corrupt {what}", self.id));
        let currency = Currency::parse(&self.currency).ok_or_else(|| corrupt("currency"))?;
        let status = STATUSES.iter().find(|(_, name)| *name == self.status).ok_or_else(|| corrupt("status"))?.0;
        let place = Place { name: self.place_name, position: self.latitude.zip(self.longitude) };
        let daily_rate = Money { minor: self.daily_rate_minor, currency };
        Ok(Car {
            id: self.id,
            listing: Listing { model: self.model, place, daily_rate },
            status,
            stars_sum: self.stars_sum,
            rating_count: self.rating_count,
            engagements,
            created: self.created_at,
            updated: self.updated_at,
        })
    }
}

impl EngagementRow {
    fn new(car_id: CarId, reservation_id: ReservationId, engagement: &Engagement) -> EngagementRow {
        let state = match engagement.stage {
            Stage::Reserved => "reserved",
            Stage::Rented => "rented",
            Stage::Over => "over",
        };
        EngagementRow {
            reservation_id,
            car_id,
            start_at: engagement.period.start,
            end_at: engagement.period.end,
            state: state.to_owned(),
            is_open: engagement.stage != Stage::Over,
            sequence: engagement.sequence,
            rated: engagement.rated,
        }
    }
}

impl TryFrom<EngagementRow> for Engagement {
    type Error = Error;

    fn try_from(row: EngagementRow) -> Result<Engagement, Error> {
        let stage = match row.state.as_str() {
            "reserved" => Stage::Reserved,
            "rented" => Stage::Rented,
            "over" => Stage::Over,
            _ => return Err(Error::Internal(format!("engagement {}: corrupt state", row.reservation_id))),
        };
        let period = Period { start: row.start_at, end: row.end_at };
        Ok(Engagement { period, stage, sequence: row.sequence, rated: row.rated })
    }
}

impl Command {
    /// The reservation that it is about.
    fn reservation(&self) -> Option<ReservationId> {
        match self {
            Command::Observe(reservation, _) | Command::Rate(reservation, ..) => Some(*reservation),
            Command::Register(..) | Command::Remove => None,
        }
    }
}

impl From<&Car> for proto::Car {
    fn from(car: &Car) -> Self {
        proto::Car {
            car_id: car.id.to_string(),
            model: car.listing.model.clone(),
            place: Some(car.listing.place.clone().into()),
            daily_rate: Some(car.listing.daily_rate.into()),
            status: proto::CarStatus::from(car.status).into(),
            average_stars: car.average_stars(),
            rating_count: car.rating_count,
            create_time: Some(car.created.to_proto()),
            update_time: Some(car.updated.to_proto()),
        }
    }
}

impl From<Status> for proto::CarStatus {
    fn from(status: Status) -> Self {
        match status {
            Status::Available => proto::CarStatus::Available,
            Status::Reserved => proto::CarStatus::Reserved,
            Status::Rented => proto::CarStatus::Rented,
            Status::Removed => proto::CarStatus::Removed,
        }
    }
}
