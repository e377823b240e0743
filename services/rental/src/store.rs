//! Calendars and reservations in tables, and what others hear of them.

use std::collections::{BTreeMap, BTreeSet};

use chassis::db::{self, prelude::*};
use chassis::values::{Currency, Money, Period};
use chassis::{Aggregate, Change, Error, EventId, Loaded, Page, Publication, Store, Timestamp, Tx, LoadRequest, sql};
use contracts::rental::v1 as proto;

use crate::domain::{Calendar, CarId, Cause, Command, Event, PaymentId, Reservation, ReservationId, State};

diesel::table! {
    use chassis::db::sql_types::*;
    calendars (car_id) {
        car_id -> SqlUuid,
        version -> BigInt,
        wake_at -> Nullable<SqlTime>,
        daily_rate_minor -> Nullable<BigInt>,
        currency -> Nullable<Text>,
        retired -> Bool,
    }
}

diesel::table! {
    use chassis::db::sql_types::*;
    reservations (id) {
        id -> SqlUuid,
        car_id -> SqlUuid,
        customer -> Text,
        start_at -> SqlTime,
        end_at -> SqlTime,
        days -> Integer,
        price_minor -> BigInt,
        currency -> Text,
        state -> Text,
        is_open -> Bool,
        cause -> Text,
        expires_at -> Nullable<SqlTime>,
        stars -> Integer,
        payment_id -> Nullable<SqlUuid>,
        created_at -> SqlTime,
        updated_at -> SqlTime,
        last_event -> Nullable<SqlUuid>,
    }
}

chassis::rows! {
    /// A calendar without its reservations.
    struct CalendarRow in calendars (car_id) {
        car_id: CarId,
        version: i64,
        wake_at: Option<Timestamp>,
        daily_rate_minor: Option<i64>,
        currency: Option<String>,
        retired: bool,
    }
}

chassis::rows! {
    /// A reservation.
    struct ReservationRow in reservations (id) {
        id: ReservationId,
        car_id: CarId,
        customer: String,
        start_at: Timestamp,
        end_at: Timestamp,
        days: i32,
        price_minor: i64,
        currency: String,
        state: String,
        is_open: bool,
        cause: String,
        expires_at: Option<Timestamp>,
        stars: i32,
        payment_id: Option<PaymentId>,
        created_at: Timestamp,
        updated_at: Timestamp,
        last_event: Option<EventId>,
    }
}

impl Store for Calendar {
    type Answer = proto::Reservation;

    async fn load(tx: Tx<'_>, request: &LoadRequest<'_, Self>) -> Result<Vec<Loaded<Self>>, Error> {
        let ids = request.ids();
        // What is reserved only now is not there yet.
        let existing = request.commands().filter(|command| !matches!(command, Command::Reserve { .. }));
        let mentioned: Vec<ReservationId> = existing.filter_map(Command::reservation).collect();
        let reservations = async {
            sql!(tx, |c| {
                let open = reservations::car_id.eq_any(&ids).and(reservations::is_open);
                let query = reservations::table.filter(open.or(reservations::id.eq_any(&mentioned)));
                query.select(ReservationRow::as_select()).load::<ReservationRow>(c)
            })
        };
        let calendars = async {
            let query = calendars::table.filter(calendars::car_id.eq_any(&ids));
            sql!(tx, |c| query.select(CalendarRow::as_select()).load::<CalendarRow>(c))
        };
        // The version first: what is read after it is at least as new, so what is decided on old rows is never written.
        let (calendars, reservations) = db::try_join!(calendars, reservations)?;
        let mut of_car: BTreeMap<CarId, BTreeMap<ReservationId, Reservation>> = BTreeMap::new();
        for row in reservations {
            of_car.entry(row.car_id).or_default().insert(row.id, row.try_into()?);
        }
        let loaded = |row: CalendarRow| {
            let (id, version) = (row.car_id, row.version);
            let state = row.calendar(of_car.remove(&id).unwrap_or_default())?;
            Ok(Loaded { id, version, state })
        };
        calendars.into_iter().map(loaded).collect()
    }

    async fn save(tx: Tx<'_>, changes: &[Change<'_, Self>]) -> Result<(), Error> {
        // The version of the calendar guards its reservations too.
        let touched: Vec<ReservationRow> = changes.iter().flat_map(touched).collect();
        db::try_join!(db::save(tx, changes, CalendarRow::new), db::upsert(tx, &touched))?;
        Ok(())
    }

    chassis::due!(calendars, car_id);

    fn answer(&self, command: &Command) -> proto::Reservation {
        command.reservation().and_then(|id| self.reservation_proto(id)).unwrap_or_default()
    }

    fn publish(&self, event: &Event) -> Option<Publication> {
        let Some(id) = event.reservation() else {
            return match event {
                Event::Retired(car) => {
                    let retired = proto::CarRetired { car_id: car.to_string() };
                    Some(Publication::of(&retired, car, Some(car.uuid())))
                }
                // What we know of the cars, we know from others.
                _ => None,
            };
        };
        let (reservation, flow) = (self.reservation_proto(id), Some(id.uuid()));
        let publication = match event {
            Event::Reserved(..) => Some(Publication::of(&proto::CarReserved { reservation }, id, flow)),
            Event::Cancelled(..) => Some(Publication::of(&proto::ReservationCancelled { reservation }, id, flow)),
            Event::Rented(..) => Some(Publication::of(&proto::CarRented { reservation }, id, flow)),
            Event::RentRefused(_) => Some(Publication::of(&proto::RentRefused { reservation }, id, flow)),
            Event::Returned(..) => Some(Publication::of(&proto::CarReturned { reservation }, id, flow)),
            Event::Rated(..) => Some(Publication::of(&proto::RentalRated { reservation }, id, flow)),
            Event::CancellationRefused(_) => {
                Some(Publication::of(&proto::RentalCancellationRefused { reservation }, id, flow))
            }
            Event::Registered(..) | Event::Retired(_) => None,
        };
        let last_event = self.reservations.get(&id).and_then(|reservation| reservation.last_event);
        publication.map(|publication| publication.after(last_event))
    }

    fn note(&mut self, event: &Event, known_as: EventId) {
        if let Some(reservation) = event.reservation().and_then(|id| self.reservations.get_mut(&id)) {
            reservation.last_event = Some(known_as);
        }
    }
}

/// The reservations that the events of a change are about, each once.
fn touched(change: &Change<'_, Calendar>) -> Vec<ReservationRow> {
    let ids: BTreeSet<ReservationId> = change.events.iter().filter_map(Event::reservation).collect();
    let row = |id| Some(ReservationRow::new(change.id, id, change.state.reservations.get(&id)?));
    ids.into_iter().filter_map(row).collect()
}

/// A reservation, and of which car it is.
#[derive(Clone, Debug)]
pub struct Found {
    /// The car.
    pub car: CarId,
    /// The reservation.
    pub reservation: Reservation,
}

/// Reservations by id.
pub async fn read(tx: Tx<'_>, ids: Vec<ReservationId>) -> Result<Vec<(ReservationId, Found)>, Error> {
    let rows: Vec<ReservationRow> = sql!(tx, |c| reservations::table
        .filter(reservations::id.eq_any(&ids))
        .select(ReservationRow::as_select())
        .load(c))?;
    rows.into_iter().map(|row| Ok((row.id, Found { car: row.car_id, reservation: row.try_into()? }))).collect()
}

/// A page of reservations, newest first: those of a customer, or all; in a state, or in any.
pub async fn list(
    tx: Tx<'_>,
    customer: Option<&str>,
    state: Option<&'static str>,
    page: &Page<ReservationId>,
) -> Result<(Vec<proto::Reservation>, String), Error> {
    let mut rows: Vec<ReservationRow> = sql!(tx, |c| {
        let mut query = reservations::table.select(ReservationRow::as_select()).into_boxed();
        if let Some(customer) = customer {
            query = query.filter(reservations::customer.eq(customer));
        }
        if let Some(state) = state {
            query = query.filter(reservations::state.eq(state));
        }
        if let Some(before) = page.after {
            query = query.filter(reservations::id.lt(before));
        }
        // Ids are made in the order of time.
        query.order(reservations::id.desc()).limit(page.limit()).load(c)
    })?;
    let next = page.cut(&mut rows, |row| row.id);
    let reservations = rows.into_iter().map(|row| {
        let (id, car) = (row.id, row.car_id);
        Ok(to_proto(id, car, &row.try_into()?))
    });
    Ok((reservations.collect::<Result<_, Error>>()?, next))
}

/// The column's name of a state of the contract.
pub fn state_name(state: proto::ReservationState) -> Option<&'static str> {
    match state {
        proto::ReservationState::Unspecified => None,
        proto::ReservationState::Reserved => Some("reserved"),
        proto::ReservationState::Rented => Some("rented"),
        proto::ReservationState::Returned => Some("returned"),
        proto::ReservationState::Cancelled => Some("cancelled"),
    }
}

impl CalendarRow {
    fn new(calendar: &Calendar, version: i64) -> CalendarRow {
        CalendarRow {
            car_id: calendar.car,
            version,
            wake_at: calendar.due_at().map(|(at, _)| at),
            daily_rate_minor: calendar.daily_rate.map(|rate| rate.minor),
            currency: calendar.daily_rate.map(|rate| rate.currency.to_string()),
            retired: calendar.retired,
        }
    }

    fn calendar(self, reservations: BTreeMap<ReservationId, Reservation>) -> Result<Calendar, Error> {
        let corrupt = || Error::Internal(format!("calendar of {}: corrupt rate", self.car_id));
        let daily_rate = match (self.daily_rate_minor, &self.currency) {
            (Some(minor), Some(code)) => Some(Money { minor, currency: Currency::parse(code).ok_or_else(corrupt)? }),
            (None, None) => None,
            _ => return Err(corrupt()),
        };
        Ok(Calendar { car: self.car_id, daily_rate, retired: self.retired, reservations })
    }
}

impl ReservationRow {
    fn new(car_id: CarId, id: ReservationId, reservation: &Reservation) -> ReservationRow {
        let (state, expires_at, cause) = match reservation.state {
            State::Reserved { expires } => ("reserved", Some(expires), ""),
            State::Rented => ("rented", None, ""),
            State::Returned => ("returned", None, ""),
            State::Cancelled(Cause::Customer) => ("cancelled", None, "customer"),
            State::Cancelled(Cause::Payment) => ("cancelled", None, "payment"),
            State::Cancelled(Cause::Unpaid) => ("cancelled", None, "unpaid"),
        };
        ReservationRow {
            id,
            car_id,
            customer: reservation.customer.clone(),
            start_at: reservation.period.start,
            end_at: reservation.period.end,
            days: reservation.days as i32,
            price_minor: reservation.price.minor,
            currency: reservation.price.currency.to_string(),
            state: state.to_owned(),
            is_open: reservation.is_open(),
            cause: cause.to_owned(),
            expires_at,
            stars: reservation.stars.map_or(0, i32::from),
            payment_id: reservation.payment,
            created_at: reservation.created,
            updated_at: reservation.updated,
            last_event: reservation.last_event,
        }
    }
}

impl TryFrom<ReservationRow> for Reservation {
    type Error = Error;

    fn try_from(row: ReservationRow) -> Result<Reservation, Error> {
        let corrupt = |what: &str| Error::Internal(format!("reservation {}: corrupt {what}", row.id));
        let state = match (row.state.as_str(), row.expires_at, row.cause.as_str()) {
            ("reserved", Some(expires), "") => State::Reserved { expires },
            ("rented", None, "") => State::Rented,
            ("returned", None, "") => State::Returned,
            ("cancelled", None, "customer") => State::Cancelled(Cause::Customer),
            ("cancelled", None, "payment") => State::Cancelled(Cause::Payment),
            ("cancelled", None, "unpaid") => State::Cancelled(Cause::Unpaid),
            _ => return Err(corrupt("state")),
        };
        let currency = Currency::parse(&row.currency).ok_or_else(|| corrupt("currency"))?;
        Ok(Reservation {
            customer: row.customer,
            period: Period { start: row.start_at, end: row.end_at },
            days: row.days as u32,
            price: Money { minor: row.price_minor, currency },
            state,
            stars: u8::try_from(row.stars).ok().filter(|stars| *stars > 0),
            payment: row.payment_id,
            created: row.created_at,
            updated: row.updated_at,
            last_event: row.last_event,
        })
    }
}

impl Calendar {
    fn reservation_proto(&self, id: ReservationId) -> Option<proto::Reservation> {
        Some(to_proto(id, self.car, self.reservations.get(&id)?))
    }
}

/// The reservation as others see it.
pub fn to_proto(id: ReservationId, car: CarId, reservation: &Reservation) -> proto::Reservation {
    use proto::{CancellationCause, ReservationState};
    let (state, cause, expires) = match reservation.state {
        State::Reserved { expires } => (ReservationState::Reserved, CancellationCause::Unspecified, Some(expires)),
        State::Rented => (ReservationState::Rented, CancellationCause::Unspecified, None),
        State::Returned => (ReservationState::Returned, CancellationCause::Unspecified, None),
        State::Cancelled(Cause::Customer) => (ReservationState::Cancelled, CancellationCause::Customer, None),
        State::Cancelled(Cause::Payment) => (ReservationState::Cancelled, CancellationCause::Payment, None),
        State::Cancelled(Cause::Unpaid) => (ReservationState::Cancelled, CancellationCause::Unpaid, None),
    };
    proto::Reservation {
        reservation_id: id.to_string(),
        car_id: car.to_string(),
        customer_id: reservation.customer.clone(),
        period: Some(reservation.period.into()),
        days: reservation.days as i32,
        price: Some(reservation.price.into()),
        state: state.into(),
        cancellation_cause: cause.into(),
        stars: reservation.stars.map_or(0, i32::from),
        payment_id: reservation.payment.map(|payment| payment.to_string()).unwrap_or_default(),
        create_time: Some(reservation.created.to_proto()),
        update_time: Some(reservation.updated.to_proto()),
        expire_time: expires.map(Timestamp::to_proto),
    }
}
