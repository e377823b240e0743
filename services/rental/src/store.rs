//! Calendars and reservations in tables, and the events that they publish.

use std::collections::BTreeMap;

use chassis::db::{self, Column as _, Name, prelude::*};
use chassis::page::Cursor;
use chassis::quota::Used;
use chassis::values::{Currency, Intervention, Money, Period};
use chassis::{
    Change, Error, EventId, LoadRequest, Loaded, Page, Publication, Store, Timestamp, Tx, loaded, newest, read, sql,
};
use contracts::rental::v1 as proto;
use contracts::rental::v1::{CancellationCause, ReservationState};

use crate::domain::{
    Calendar, CarId, CarName, Cause, Command, Event, LateFee, OWED_LATE_FEES, PaymentId, Reservation, ReservationId,
    State, UNPAID_RESERVATIONS, late_fee_of,
};
use crate::policy;

chassis::table! {
    /// A calendar without its reservations.
    calendars (car_id) of Calendar as CalendarRow with version, wake_at { owner: String as Text, retired: bool as Bool }
    columns |calendar| {
        car_id: CarId as SqlUuid = calendar.car,
        daily_rate_minor: Option<i64> as Nullable<BigInt> = calendar.daily_rate.map(|rate| rate.minor),
        currency: Option<Currency> as Nullable<Text> = calendar.daily_rate.map(|rate| rate.currency),
        model: String as Text = calendar.name.model.clone(),
        plate: String as Text = calendar.name.plate.clone(),
    }
    fields |row, corrupt, reservations: BTreeMap<ReservationId, Reservation>| {
        car: row.car_id,
        name: CarName { model: row.model, plate: row.plate },
        daily_rate: match (row.daily_rate_minor, row.currency) {
            (Some(minor), Some(currency)) => Some(Money { minor, currency }),
            (None, None) => None,
            _ => return Err(corrupt("rate")),
        },
        reservations: reservations,
    }
}

chassis::table! {
    /// A reservation.
    reservations (id) of Reservation as ReservationRow given (car_id: CarId as SqlUuid, id: ReservationId as SqlUuid) {
        customer: String as Text,
        owner: String as Text,
        days: u32 as Integer,
        time_zone: String as Text,
        overdue: bool as Bool,
        created_at: Timestamp as SqlTime,
        updated_at: Timestamp as SqlTime,
        last_event: Option<EventId> as Nullable<SqlUuid>,
    }
    columns |reservation| {
        start_at: Timestamp as SqlTime = reservation.period.start,
        end_at: Timestamp as SqlTime = reservation.period.end,
        price_minor: i64 as BigInt = reservation.price.minor,
        currency: Currency as Text = reservation.price.currency,
        state: Name<ReservationState> as Text = Name(shown(&reservation.state).0),
        is_open: bool as Bool = reservation.is_open(),
        cause: Name<CancellationCause> as Text = Name(shown(&reservation.state).1),
        expires_at: Option<Timestamp> as Nullable<SqlTime> = reservation.expires(),
        stars: u8 as Integer = reservation.stars.unwrap_or_default(),
        payment_id: Option<PaymentId> as Nullable<SqlUuid> = reservation.payment,
        model: String as Text = reservation.car.model.clone(),
        plate: String as Text = reservation.car.plate.clone(),
        kept_minor: Option<i64> as Nullable<BigInt> = reservation.kept.map(|kept| kept.minor),
        late_fee_minor: Option<i64> as Nullable<BigInt> = reservation.late_fee.map(|fee| fee.amount.minor),
        late_fee_owed: bool as Bool = reservation.late_fee.is_some_and(|fee| !fee.paid),
        intervened_by: Option<String> as Nullable<Text> = reservation.intervention.as_ref().map(|it| it.staff.clone()),
        intervention_reason: Option<String> as Nullable<Text> =
            reservation.intervention.as_ref().map(|it| it.reason.clone()),
        intervened_at: Option<Timestamp> as Nullable<SqlTime> = reservation.intervention.as_ref().map(|it| it.at),
    }
    fields |row, corrupt| {
        period: Period { start: row.start_at, end: row.end_at },
        price: Money { minor: row.price_minor, currency: row.currency },
        state: match (Name::parse(&row.state), row.expires_at, row.cause.as_str()) {
            (Some(ReservationState::Reserved), Some(expires), "") => State::Reserved { expires },
            (Some(ReservationState::Rented), None, "") => State::Rented,
            (Some(ReservationState::Returned), None, "") => State::Returned,
            (Some(ReservationState::Cancelled), None, _) => {
                State::Cancelled(Cause::from_stored(row.cause).ok_or_else(|| corrupt("cause"))?)
            }
            _ => return Err(corrupt("state")),
        },
        stars: u8::try_from(row.stars).ok().filter(|stars| *stars > 0),
        payment: row.payment_id,
        car: CarName { model: row.model, plate: row.plate },
        kept: row.kept_minor.map(|minor| Money { minor, currency: row.currency }),
        late_fee: row.late_fee_minor.map(|minor| {
            LateFee { amount: Money { minor, currency: row.currency }, paid: !row.late_fee_owed }
        }),
        intervention: Intervention::from_columns(row.intervened_by, row.intervention_reason, row.intervened_at),
    }
}

chassis::names!(Cause is CancellationCause: Customer, Payment, Unpaid, Staff, CarNotBack);

impl Store for Calendar {
    type Answer = proto::Reservation;

    async fn load(tx: Tx<'_>, request: &LoadRequest<'_, Self>) -> Result<Vec<Loaded<Self>>, Error> {
        let ids = request.ids();
        // A reservation that this batch makes is not stored yet.
        let existing = request.commands().filter(|command| !matches!(command, Command::Reserve { .. }));
        let mentioned: Vec<ReservationId> = existing.filter_map(Command::reservation).collect();
        let open = reservations::car_id.eq_any(&ids).and(reservations::is_open);
        // The version is read first: later reads are at least as new, so no decision on stale rows is written.
        let (calendars, reservations) = db::try_join!(
            read!(tx, CalendarRow in calendars where calendars::car_id.eq_any(&ids)),
            read!(tx, ReservationRow in reservations where open; and reservations::id.eq_any(&mentioned), of mentioned),
        )?;
        let mut reservations = db::grouped(reservations, |row| Ok((row.car_id, (row.id, row.read()?))))?;
        loaded!(calendars by car_id, |row, id| row.read(reservations.take(id))?)
    }

    async fn save(tx: Tx<'_>, changes: &[Change<'_, Self>]) -> Result<(), Error> {
        // The version of the calendar guards its reservations too.
        let changed = db::changed_parts(changes, Event::reservation, |change, id| {
            Some(ReservationRow::of(change.state.reservations.get(&id)?, change.id, id))
        });
        db::try_join!(db::save(tx, changes, CalendarRow::of), db::upsert(tx, &changed))?;
        Ok(())
    }

    async fn usage(tx: Tx<'_>, customers: &[String]) -> Result<Vec<Used>, Error> {
        let of_them = || reservations::table.filter(reservations::customer.eq_any(customers));
        let unpaid = of_them().filter(reservations::expires_at.is_not_null()).select(reservations::customer);
        let owed = of_them().filter(reservations::late_fee_owed).select(reservations::customer);
        let (unpaid, owed): (Vec<String>, Vec<String>) =
            db::try_join!(async { Ok::<_, Error>(sql!(tx, |c| unpaid.load(c))?) }, async {
                Ok::<_, Error>(sql!(tx, |c| owed.load(c))?)
            },)?;
        let used = |resource| move |customer| (resource, customer);
        Ok(unpaid
            .into_iter()
            .map(used(UNPAID_RESERVATIONS))
            .chain(owed.into_iter().map(used(OWED_LATE_FEES)))
            .collect())
    }

    chassis::due!(calendars, car_id);

    fn answer(&self, command: &Command) -> proto::Reservation {
        command.reservation().and_then(|id| self.reservation_proto(id)).unwrap_or_default()
    }

    fn publish(&self, event: &Event) -> Option<Publication> {
        if let Event::Retired(car) = event {
            let retired = proto::CarRetired { car_id: car.to_string() };
            return Publication::about(car, car.uuid()).publish(&retired);
        }
        let id = event.reservation()?;
        let (reservation, about) = (self.reservation_proto(id), Publication::about(id, id.uuid()));
        match event {
            Event::Reserved(..) => about.publish(&proto::CarReserved { reservation }),
            Event::Cancelled(..) => about.publish(&proto::ReservationCancelled { reservation }),
            Event::Rented(..) => about.publish(&proto::CarRented { reservation }),
            Event::RentRefused(_) => about.publish(&proto::RentRefused { reservation }),
            Event::Returned(..) => about.publish(&proto::CarReturned { reservation }),
            Event::Rated(..) => about.publish(&proto::RentalRated { reservation }),
            Event::CancellationRefused(_) => about.publish(&proto::RentalCancellationRefused { reservation }),
            Event::Overdue(..) => about.publish(&proto::RentalOverdue { reservation }),
            Event::Delayed(_) => about.publish(&proto::CarDelayed { reservation }),
            Event::LateFeeCharged(_, amount, _) => {
                // It is paid by itself, so it is a flow of its own.
                let fee = late_fee_of(id);
                let late_fee = Some(proto::LateFee {
                    late_fee_id: fee.to_string(),
                    reservation_id: id.to_string(),
                    customer_id: self.reservations.get(&id)?.customer.clone(),
                    amount: Some((*amount).into()),
                    seller_reference: policy::late_fee_reference(self.car, id),
                });
                Publication::about(fee, fee.uuid()).publish(&proto::LateFeeCharged { late_fee })
            }
            Event::LateFeePaid(..) => about.publish(&proto::LateFeePaid { reservation }),
            // `fleet` publishes the events of cars.
            Event::Registered(..) | Event::Transferred(_) | Event::Retired(_) => None,
            Event::HandedOver(..) | Event::Intervened(..) => None,
        }
    }

    fn last_event_of_part(&mut self, event: &Event) -> Option<&mut Option<EventId>> {
        self.reservations.get_mut(&event.reservation()?).map(|reservation| &mut reservation.last_event)
    }
}

/// A reservation with its car.
#[derive(Clone, Debug)]
pub struct Found {
    /// The car.
    pub car: CarId,
    /// The reservation.
    pub reservation: Reservation,
}

/// Reservations by id.
pub async fn read(tx: Tx<'_>, ids: Vec<ReservationId>) -> Result<Vec<(ReservationId, Found)>, Error> {
    let rows = read!(tx, ReservationRow in reservations where reservations::id.eq_any(&ids)).await?;
    rows.into_iter().map(|row| Ok((row.id, Found { car: row.car_id, reservation: row.read()? }))).collect()
}

/// What a list of reservations has.
#[derive(Clone, Copy, Debug, Default)]
pub struct Filter<'a> {
    /// Only those of this customer.
    pub customer: Option<&'a str>,
    /// Only those of this owner of their cars.
    pub owner: Option<&'a str>,
    /// Only those in this state.
    pub state: Option<ReservationState>,
    /// Only those whose car is not back in time.
    pub overdue: bool,
}

/// A page of reservations, newest first.
pub async fn list(
    tx: Tx<'_>,
    filter: Filter<'_>,
    page: &Page<Cursor>,
) -> Result<(Vec<proto::Reservation>, String), Error> {
    let Filter { customer, owner, state, .. } = filter;
    let overdue = filter.overdue.then_some(());
    newest!(
        tx, page, ReservationRow in reservations by created_at;
        customer: reservations::customer.eq(customer), state: reservations::state.eq(Name(state).text()),
        overdue: { let () = overdue; reservations::overdue },
        owner: reservations::owner.eq(owner);
        |row| to_proto(row.id, row.car_id, &row.read()?)
    )
}

/// The state and the cause of a cancellation in the contract.
fn shown(state: &State) -> (ReservationState, CancellationCause) {
    match state {
        State::Reserved { .. } => (ReservationState::Reserved, CancellationCause::Unspecified),
        State::Rented => (ReservationState::Rented, CancellationCause::Unspecified),
        State::Returned => (ReservationState::Returned, CancellationCause::Unspecified),
        State::Cancelled(cause) => (ReservationState::Cancelled, (*cause).into()),
    }
}

impl Calendar {
    fn reservation_proto(&self, id: ReservationId) -> Option<proto::Reservation> {
        Some(to_proto(id, self.car, self.reservations.get(&id)?))
    }
}

/// The reservation as a message of the contract.
pub fn to_proto(id: ReservationId, car: CarId, reservation: &Reservation) -> proto::Reservation {
    let (state, cause) = shown(&reservation.state);
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
        create_time: Some(reservation.created_at.to_proto()),
        update_time: Some(reservation.updated_at.to_proto()),
        expire_time: reservation.expires().map(Timestamp::to_proto),
        car_model: reservation.car.model.clone(),
        car_plate: reservation.car.plate.clone(),
        time_zone: reservation.time_zone.clone(),
        overdue: reservation.overdue,
        late_fee: reservation.late_fee.map(|fee| fee.amount.into()),
        late_fee_id: reservation.late_fee.map(|_| late_fee_of(id).to_string()).unwrap_or_default(),
        late_fee_owed: reservation.late_fee.is_some_and(|fee| !fee.paid),
        cancellation_fee: reservation.kept.map(Into::into),
        intervention: reservation.intervention.clone().map(Into::into),
    }
}
