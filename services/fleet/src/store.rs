//! Cars and their engagements in tables, and the events that they publish.

use std::collections::BTreeMap;

use chassis::db::{self, Column as _, Name, prelude::*};
use chassis::values::{Currency, Money, Period, Place};
use chassis::{Change, Error, LoadRequest, Loaded, Page, Publication, Store, Timestamp, Tx, loaded, read, sql};
use contracts::fleet::v1::{self as proto, CarStatus};
use diesel::dsl::{exists, not};

use crate::domain::{Car, CarId, Command, Engagement, Event, Listing, ReservationId, Stage, Status};

chassis::table! {
    /// A car without its engagements.
    cars (id) of Car as CarRow with version {
        id: CarId as SqlUuid,
        owner: String as Text,
        stars_sum: i64 as BigInt,
        rating_count: i64 as BigInt,
        status: Status as Text,
        created_at: Timestamp as SqlTime,
        updated_at: Timestamp as SqlTime,
    }
    columns |car| {
        model: String as Text = car.listing.model.clone(),
        plate: String as Text = car.listing.plate.clone(),
        place_name: String as Text = car.listing.place.name.clone(),
        latitude: Option<f64> as Nullable<Double> = car.listing.place.position.unzip().0,
        longitude: Option<f64> as Nullable<Double> = car.listing.place.position.unzip().1,
        daily_rate_minor: i64 as BigInt = car.listing.daily_rate.minor,
        currency: Currency as Text = car.listing.daily_rate.currency,
    }
    fields |row, corrupt, engagements: BTreeMap<ReservationId, Engagement>| {
        listing: Listing {
            model: row.model,
            plate: row.plate,
            place: Place { name: row.place_name, position: row.latitude.zip(row.longitude) },
            daily_rate: Money { minor: row.daily_rate_minor, currency: row.currency },
        },
        engagements: engagements,
    }
}

chassis::table! {
    /// An engagement.
    engagements (reservation_id) of Engagement as EngagementRow
        given (reservation_id: ReservationId as SqlUuid, car_id: CarId as SqlUuid) {
        sequence: i64 as BigInt,
        rated: bool as Bool,
    }
    columns |engagement| {
        start_at: Timestamp as SqlTime = engagement.period.start,
        end_at: Timestamp as SqlTime = engagement.period.end,
        state: Stage as Text = engagement.stage,
        is_open: bool as Bool = engagement.stage != Stage::Over,
    }
    fields |row, corrupt| {
        period: Period { start: row.start_at, end: row.end_at },
        stage: Stage::from_stored(row.state).ok_or_else(|| corrupt("state"))?,
    }
}
diesel::allow_tables_to_appear_in_same_query!(cars, engagements);
chassis::names!(Status is CarStatus: Available, Reserved, Rented, Removed);
chassis::names!(Stage: Reserved "reserved", Rented "rented", Over "over");

impl Store for Car {
    type Answer = proto::Car;

    async fn load(tx: Tx<'_>, request: &LoadRequest<'_, Self>) -> Result<Vec<Loaded<Self>>, Error> {
        let ids = request.ids();
        let mentioned: Vec<ReservationId> = request.commands().filter_map(Command::reservation).collect();
        let open = engagements::car_id.eq_any(&ids).and(engagements::is_open);
        let named = engagements::reservation_id.eq_any(&mentioned);
        // The version is read first: later reads are at least as new, so no decision on stale rows is written.
        let (cars, engagements) = db::try_join!(
            read!(tx, CarRow in cars where cars::id.eq_any(&ids)),
            read!(tx, EngagementRow in engagements where open; and named, of mentioned),
        )?;
        let mut engagements = db::grouped(engagements, |row| Ok((row.car_id, (row.reservation_id, row.read()?))))?;
        loaded!(cars, |row, id| row.read(engagements.take(id))?)
    }

    async fn save(tx: Tx<'_>, changes: &[Change<'_, Self>]) -> Result<(), Error> {
        let changed = db::changed_parts(changes, Event::reservation, |change, id| {
            Some(EngagementRow::of(change.state.engagements.get(&id)?, id, change.id))
        });
        db::try_join!(db::save(tx, changes, CarRow::of), db::upsert(tx, &changed))?;
        Ok(())
    }

    fn answer(&self, _: &Command) -> proto::Car {
        self.into()
    }

    fn publish(&self, event: &Event) -> Option<Publication> {
        let (car, id) = (Some(proto::Car::from(self)), self.id);
        let about = Publication::about(id, id.uuid());
        match event {
            Event::Registered(..) => about.publish(&proto::CarRegistered { car }),
            Event::Transferred(..) => about.publish(&proto::CarTransferred { car }),
            Event::Removed(_) => about.publish(&proto::CarRemoved { car }),
            // They belong to the flow of the reservation that caused them.
            Event::StatusChanged(..) => Some(Publication::of(&proto::CarStatusChanged { car }, id, None)),
            Event::Rated(..) => Some(Publication::of(&proto::CarRated { car }, id, None)),
            Event::Engaged(..) => None,
        }
    }
}

/// Cars by id, without their engagements.
pub async fn read(tx: Tx<'_>, ids: Vec<CarId>) -> Result<Vec<(CarId, proto::Car)>, Error> {
    let rows = read!(tx, CarRow in cars where cars::id.eq_any(&ids)).await?;
    rows.into_iter().map(|row| Ok((row.id, (&row.read(BTreeMap::new())?).into()))).collect()
}

/// Filters of a list of cars. All of them must match.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// With this status; removed cars are listed only if it asks for them.
    pub status: Option<CarStatus>,
    /// At the place of this name.
    pub place_name: Option<String>,
    /// A day costs at least this.
    pub min_daily_rate: Option<Money>,
    /// A day costs at most this.
    pub max_daily_rate: Option<Money>,
    /// Without an open reservation or rental in this period.
    pub free: Option<Period>,
}

/// A page of cars, in the order of their registration.
pub async fn list(tx: Tx<'_>, filter: &Filter, page: &Page<CarId>) -> Result<(Vec<proto::Car>, String), Error> {
    let mut rows: Vec<CarRow> = sql!(tx, |c| {
        let mut query = cars::table.select(CarRow::as_select()).into_boxed();
        query = match filter.status {
            Some(status) => query.filter(cars::status.eq(Name(status).text())),
            None => query.filter(cars::status.ne(Name(CarStatus::Removed).text())),
        };
        if let Some(name) = &filter.place_name {
            query = query.filter(cars::place_name.eq(name));
        }
        if let Some(least) = filter.min_daily_rate {
            query = query.filter(cars::currency.eq(least.currency).and(cars::daily_rate_minor.ge(least.minor)));
        }
        if let Some(most) = filter.max_daily_rate {
            query = query.filter(cars::currency.eq(most.currency).and(cars::daily_rate_minor.le(most.minor)));
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
    let cars = rows.into_iter().map(|row| Ok((&row.read(BTreeMap::new())?).into()));
    Ok((cars.collect::<Result<_, Error>>()?, next))
}

impl From<&Car> for proto::Car {
    fn from(car: &Car) -> Self {
        proto::Car {
            car_id: car.id.to_string(),
            model: car.listing.model.clone(),
            place: Some(car.listing.place.clone().into()),
            daily_rate: Some(car.listing.daily_rate.into()),
            status: CarStatus::from(car.status).into(),
            average_stars: car.average_stars(),
            rating_count: car.rating_count,
            create_time: Some(car.created_at.to_proto()),
            update_time: Some(car.updated_at.to_proto()),
            owner_id: car.owner.clone(),
            plate: car.listing.plate.clone(),
        }
    }
}
