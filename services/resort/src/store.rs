//! Resorts, what they offer and who holds what of it in tables, and what others hear of them.

use std::collections::{BTreeMap, BTreeSet};

use chassis::db::{self, prelude::*};
use chassis::values::{Currency, Dates, Money};
use chassis::{Aggregate, Change, Error, EventId, Loaded, Page, Publication, Store, Timestamp, Tx, LoadRequest, sql};
use contracts::resort::v1 as proto;
use diesel::dsl::{exists, not};
use jiff::tz::TimeZone;

use crate::domain::{Claim, Command, Event, Hold, Listing, Resort, ResortId, State, StayId};

diesel::table! {
    use chassis::db::sql_types::*;
    resorts (id) {
        id -> SqlUuid,
        version -> BigInt,
        wake_at -> Nullable<SqlTime>,
        name -> Text,
        kind -> Text,
        nightly_rate_minor -> BigInt,
        currency -> Text,
        time_zone -> Text,
        created_at -> SqlTime,
        updated_at -> SqlTime,
    }
}

diesel::table! {
    use chassis::db::sql_types::*;
    offers (resort_id, start_date) { resort_id -> SqlUuid, start_date -> Text, end_date -> Text, }
}

diesel::table! {
    use chassis::db::sql_types::*;
    holds (resort_id, stay_id) {
        resort_id -> SqlUuid,
        stay_id -> SqlUuid,
        customer -> Text,
        start_date -> Text,
        end_date -> Text,
        price_minor -> BigInt,
        currency -> Text,
        state -> Text,
        is_open -> Bool,
        expires_at -> Nullable<SqlTime>,
        last_event -> Nullable<SqlUuid>,
    }
}
diesel::allow_tables_to_appear_in_same_query!(resorts, offers, holds);

chassis::rows! {
    /// A resort, flat, without what it offers and what is held of it.
    struct ResortRow in resorts (id) {
        id: ResortId,
        version: i64,
        wake_at: Option<Timestamp>,
        name: String,
        kind: String,
        nightly_rate_minor: i64,
        currency: String,
        time_zone: String,
        created_at: Timestamp,
        updated_at: Timestamp,
    }
}

chassis::rows! {
    /// Dates that a resort offers.
    struct OfferRow in offers (resort_id, start_date) { resort_id: ResortId, start_date: String, end_date: String }
}

chassis::rows! {
    /// A hold.
    struct HoldRow in holds (resort_id, stay_id) {
        resort_id: ResortId,
        stay_id: StayId,
        customer: String,
        start_date: String,
        end_date: String,
        price_minor: i64,
        currency: String,
        state: String,
        is_open: bool,
        expires_at: Option<Timestamp>,
        last_event: Option<EventId>,
    }
}

/// What a caller is answered: the resort, and of a command about a stay the hold.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Answer {
    /// The resort.
    #[prost(message, optional, tag = "1")]
    pub resort: Option<proto::Resort>,
    /// The hold.
    #[prost(message, optional, tag = "2")]
    pub hold: Option<proto::Hold>,
}

impl Store for Resort {
    type Answer = Answer;

    async fn load(tx: Tx<'_>, request: &LoadRequest<'_, Self>) -> Result<Vec<Loaded<Self>>, Error> {
        let mentioned: Vec<StayId> = request.commands().filter_map(Command::stay).collect();
        load(tx, &request.ids(), &mentioned).await
    }

    async fn save(tx: Tx<'_>, changes: &[Change<'_, Self>]) -> Result<(), Error> {
        // The version of the resort guards what it offers and its holds too.
        let touched: Vec<HoldRow> = changes.iter().flat_map(touched).collect();
        db::try_join!(db::save(tx, changes, ResortRow::new), db::upsert(tx, &touched))?;
        let is_offer = |event: &Event| matches!(event, Event::Registered(..) | Event::Offered(..));
        let offering: Vec<_> = changes.iter().filter(|change| change.events.iter().any(is_offer)).collect();
        if offering.is_empty() {
            return Ok(());
        }
        let ids: Vec<ResortId> = offering.iter().map(|change| change.id).collect();
        let rows: Vec<OfferRow> = offering.iter().flat_map(|change| OfferRow::all(change.state)).collect();
        sql!(tx, |c| diesel::delete(offers::table.filter(offers::resort_id.eq_any(&ids))).execute(c))?;
        db::insert(tx, &rows).await?;
        Ok(())
    }

    chassis::due!(resorts, id);

    fn answer(&self, command: &Command) -> Answer {
        match command.stay() {
            Some(stay) => Answer { resort: None, hold: self.hold_proto(stay) },
            None => Answer { resort: Some(self.into()), hold: None },
        }
    }

    fn publish(&self, event: &Event) -> Option<Publication> {
        let Some(stay) = event.stay() else {
            let (resort, id) = (Some(proto::Resort::from(self)), self.id);
            return match event {
                Event::Offered(..) => Some(Publication::of(&proto::DatesOffered { resort }, id, Some(id.uuid()))),
                _ => Some(Publication::of(&proto::ResortRegistered { resort }, id, Some(id.uuid()))),
            };
        };
        let (hold, id, flow) = (self.hold_proto(stay), self.id, Some(stay.uuid()));
        let publication = match event {
            Event::Held(..) => Some(Publication::of(&proto::DatesHeld { hold }, id, flow)),
            Event::Lapsed(_) => Some(Publication::of(&proto::HoldLapsed { hold }, id, flow)),
            Event::Reserved(..) => Some(Publication::of(&proto::DatesReserved { hold }, id, flow)),
            Event::Booked(..) => Some(Publication::of(&proto::DatesBooked { hold }, id, flow)),
            Event::Freed(..) => Some(Publication::of(&proto::DatesFreed { hold }, id, flow)),
            Event::Lost(..) => Some(Publication::of(&proto::HoldLost { hold }, id, flow)),
            // What was never held is nobody's news.
            Event::Registered(..) | Event::Offered(..) | Event::Barred(..) => None,
        };
        let last_event = self.holds.get(&stay).and_then(|hold| hold.last_event);
        publication.map(|publication| publication.after(last_event))
    }

    fn note(&mut self, event: &Event, known_as: EventId) {
        if let Some(hold) = event.stay().and_then(|stay| self.holds.get_mut(&stay)) {
            hold.last_event = Some(known_as);
        }
    }
}

async fn load(tx: Tx<'_>, ids: &[ResortId], mentioned: &[StayId]) -> Result<Vec<Loaded<Resort>>, Error> {
    let held = async {
        sql!(tx, |c| {
            // Written out, so that each half has an index, whatever has piled up.
            let open = holds::resort_id.eq_any(ids).and(holds::is_open);
            let named = holds::resort_id.eq_any(ids).and(holds::stay_id.eq_any(mentioned));
            let query = holds::table.filter(open.or(named));
            query.select(HoldRow::as_select()).load::<HoldRow>(c)
        })
    };
    let offered = async {
        let query = offers::table.filter(offers::resort_id.eq_any(ids)).order(offers::start_date);
        sql!(tx, |c| query.select(OfferRow::as_select()).load::<OfferRow>(c))
    };
    let resorts = async {
        let query = resorts::table.filter(resorts::id.eq_any(ids));
        sql!(tx, |c| query.select(ResortRow::as_select()).load::<ResortRow>(c))
    };
    // The version first: what is read after it is at least as new, so what is decided on old rows is never written.
    let (resorts, held, offered) = db::try_join!(resorts, held, offered)?;
    let mut holds_of: BTreeMap<ResortId, BTreeMap<StayId, Hold>> = BTreeMap::new();
    for row in held {
        holds_of.entry(row.resort_id).or_default().insert(row.stay_id, row.try_into()?);
    }
    let mut offers_of = by_resort(offered)?;
    let loaded = |row: ResortRow| {
        let (id, version) = (row.id, row.version);
        let (offered, holds) = (offers_of.remove(&id), holds_of.remove(&id));
        Ok(Loaded { id, version, state: row.resort(offered.unwrap_or_default(), holds.unwrap_or_default())? })
    };
    resorts.into_iter().map(loaded).collect()
}

fn by_resort(rows: Vec<OfferRow>) -> Result<BTreeMap<ResortId, Vec<Dates>>, Error> {
    let mut of: BTreeMap<ResortId, Vec<Dates>> = BTreeMap::new();
    for row in rows {
        let dates = Dates::from_iso(&row.start_date, &row.end_date);
        let corrupt = || Error::Internal(format!("resort {}: corrupt offer", row.resort_id));
        of.entry(row.resort_id).or_default().push(dates.ok_or_else(corrupt)?);
    }
    Ok(of)
}

/// The holds that the events of a change are about, each once.
fn touched(change: &Change<'_, Resort>) -> Vec<HoldRow> {
    let stays: BTreeSet<StayId> = change.events.iter().filter_map(Event::stay).collect();
    let row = |stay| Some(HoldRow::new(change.id, stay, change.state.holds.get(&stay)?));
    stays.into_iter().filter_map(row).collect()
}

/// Resorts by id, with what is open of them.
pub async fn read(tx: Tx<'_>, ids: Vec<ResortId>) -> Result<Vec<(ResortId, proto::Resort)>, Error> {
    let loaded = load(tx, &ids, &[]).await?;
    Ok(loaded.into_iter().map(|loaded| (loaded.id, (&loaded.state).into())).collect())
}

/// Which resorts to list. All of it must fit.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Of this kind.
    pub kind: Option<String>,
    /// A night costs at most this.
    pub max_nightly_rate: Option<Money>,
    /// All of these dates are offered, and nothing is open on them.
    pub free: Option<Dates>,
}

/// A page of resorts, in the order of their registration, without what is open of them.
pub async fn list(tx: Tx<'_>, filter: &Filter, page: &Page<ResortId>) -> Result<(Vec<proto::Resort>, String), Error> {
    let mut rows: Vec<ResortRow> = sql!(tx, |c| {
        let mut query = resorts::table.select(ResortRow::as_select()).into_boxed();
        if let Some(kind) = &filter.kind {
            query = query.filter(resorts::kind.eq(kind));
        }
        if let Some(most) = filter.max_nightly_rate {
            query = query.filter(resorts::currency.eq(most.currency.to_string()));
            query = query.filter(resorts::nightly_rate_minor.le(most.minor));
        }
        if let Some(Dates { start, end }) = filter.free {
            let (start, end) = (start.to_string(), end.to_string());
            let offered = offers::table
                .filter(offers::resort_id.eq(resorts::id))
                .filter(offers::start_date.le(start.clone()).and(offers::end_date.ge(end.clone())));
            let taken = holds::table
                .filter(holds::resort_id.eq(resorts::id))
                .filter(holds::is_open)
                .filter(holds::start_date.lt(end).and(holds::end_date.gt(start)));
            query = query.filter(exists(offered)).filter(not(exists(taken)));
        }
        if let Some(after) = page.after {
            query = query.filter(resorts::id.gt(after));
        }
        query.order(resorts::id).limit(page.limit()).load(c)
    })?;
    let next = page.cut(&mut rows, |row| row.id);
    let ids: Vec<ResortId> = rows.iter().map(|row| row.id).collect();
    let query = offers::table.filter(offers::resort_id.eq_any(&ids)).order(offers::start_date);
    let mut offers_of = by_resort(sql!(tx, |c| query.select(OfferRow::as_select()).load(c))?)?;
    let resorts = rows.into_iter().map(|row| {
        let offered = offers_of.remove(&row.id).unwrap_or_default();
        Ok((&row.resort(offered, BTreeMap::new())?).into())
    });
    Ok((resorts.collect::<Result<_, Error>>()?, next))
}

impl ResortRow {
    fn new(resort: &Resort, version: i64) -> ResortRow {
        let Listing { name, kind, nightly_rate, zone } = &resort.listing;
        ResortRow {
            id: resort.id,
            version,
            wake_at: resort.due_at().map(|(at, _)| at),
            name: name.clone(),
            kind: kind.clone(),
            nightly_rate_minor: nightly_rate.minor,
            currency: nightly_rate.currency.to_string(),
            time_zone: zone.iana_name().unwrap_or_default().to_owned(),
            created_at: resort.created,
            updated_at: resort.updated,
        }
    }

    fn resort(self, offered: Vec<Dates>, holds: BTreeMap<StayId, Hold>) -> Result<Resort, Error> {
        let corrupt = |what: &str| Error::Internal(format!("resort {}: corrupt {what}", self.id));
        let currency = Currency::parse(&self.currency).ok_or_else(|| corrupt("currency"))?;
        let zone = TimeZone::get(&self.time_zone).map_err(|_| corrupt("time zone"))?;
        let nightly_rate = Money { minor: self.nightly_rate_minor, currency };
        Ok(Resort {
            id: self.id,
            listing: Listing { name: self.name, kind: self.kind, nightly_rate, zone },
            offered,
            holds,
            created: self.created_at,
            updated: self.updated_at,
        })
    }
}

impl OfferRow {
    fn all(resort: &Resort) -> impl Iterator<Item = OfferRow> {
        resort.offered.iter().map(|dates| OfferRow {
            resort_id: resort.id,
            start_date: dates.start.to_string(),
            end_date: dates.end.to_string(),
        })
    }
}

impl HoldRow {
    fn new(resort_id: ResortId, stay_id: StayId, hold: &Hold) -> HoldRow {
        let (state, expires_at) = match hold.state {
            State::Held { expires } => ("held", Some(expires)),
            State::Reserved => ("reserved", None),
            State::Booked => ("booked", None),
            State::Lapsed => ("lapsed", None),
            State::Over => ("over", None),
            State::Lost => ("lost", None),
        };
        HoldRow {
            resort_id,
            stay_id,
            customer: hold.claim.customer.clone(),
            start_date: hold.claim.dates.start.to_string(),
            end_date: hold.claim.dates.end.to_string(),
            price_minor: hold.price.minor,
            currency: hold.price.currency.to_string(),
            state: state.to_owned(),
            is_open: hold.is_open(),
            expires_at,
            last_event: hold.last_event,
        }
    }
}

impl TryFrom<HoldRow> for Hold {
    type Error = Error;

    fn try_from(row: HoldRow) -> Result<Hold, Error> {
        let corrupt = |what: &str| Error::Internal(format!("hold of {}: corrupt {what}", row.stay_id));
        let state = match (row.state.as_str(), row.expires_at) {
            ("held", Some(expires)) => State::Held { expires },
            ("reserved", None) => State::Reserved,
            ("booked", None) => State::Booked,
            ("lapsed", None) => State::Lapsed,
            ("over", None) => State::Over,
            ("lost", None) => State::Lost,
            _ => return Err(corrupt("state")),
        };
        let currency = Currency::parse(&row.currency).ok_or_else(|| corrupt("currency"))?;
        let dates = Dates::from_iso(&row.start_date, &row.end_date).ok_or_else(|| corrupt("dates"))?;
        let price = Money { minor: row.price_minor, currency };
        Ok(Hold { claim: Claim { customer: row.customer, dates }, price, state, last_event: row.last_event })
    }
}

impl Resort {
    fn hold_proto(&self, stay: StayId) -> Option<proto::Hold> {
        let hold = self.holds.get(&stay)?;
        let (begins, ends) = self.listing.span(hold.claim.dates);
        let expires = if let State::Held { expires } = hold.state { Some(expires) } else { None };
        Some(proto::Hold {
            stay_id: stay.to_string(),
            resort_id: self.id.to_string(),
            resort_name: self.listing.name.clone(),
            dates: Some(hold.claim.dates.into()),
            price: Some(hold.price.into()),
            time_zone: self.listing.zone.iana_name().unwrap_or_default().to_owned(),
            begin_time: Some(begins.to_proto()),
            end_time: Some(ends.to_proto()),
            state: proto::HoldState::from(hold.state).into(),
            expire_time: expires.map(Timestamp::to_proto),
        })
    }
}

impl From<&Resort> for proto::Resort {
    fn from(resort: &Resort) -> Self {
        let occupied = resort.open().into_iter().map(|hold| proto::Occupancy {
            dates: Some(hold.claim.dates.into()),
            state: proto::HoldState::from(hold.state).into(),
        });
        proto::Resort {
            resort_id: resort.id.to_string(),
            name: resort.listing.name.clone(),
            kind: resort.listing.kind.clone(),
            nightly_rate: Some(resort.listing.nightly_rate.into()),
            time_zone: resort.listing.zone.iana_name().unwrap_or_default().to_owned(),
            offered: resort.offered.iter().map(|dates| (*dates).into()).collect(),
            occupied: occupied.collect(),
            create_time: Some(resort.created.to_proto()),
            update_time: Some(resort.updated.to_proto()),
        }
    }
}

impl From<State> for proto::HoldState {
    fn from(state: State) -> Self {
        match state {
            State::Held { .. } => proto::HoldState::Held,
            State::Reserved => proto::HoldState::Reserved,
            State::Booked => proto::HoldState::Booked,
            State::Lapsed | State::Over | State::Lost => proto::HoldState::Ended,
        }
    }
}
