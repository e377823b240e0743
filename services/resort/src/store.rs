//! Resorts, their offers and holds in tables, and the events that they publish.

use std::collections::BTreeMap;

use chassis::db::{self, prelude::*};
use chassis::values::{Currency, Dates, Money};
use chassis::{
    Change, Error, EventId, LoadRequest, Loaded, Page, Publication, Store, Timestamp, Tx, loaded, read, sql,
};
use contracts::resort::v1 as proto;
use diesel::dsl::{exists, not};
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::domain::{Claim, Command, Event, Hold, Listing, Resort, ResortId, State, StayId};

chassis::table! {
    /// A resort without its offers and holds.
    resorts (id) of Resort as ResortRow with version, wake_at {
        id: ResortId as SqlUuid,
        owner: String as Text,
        created_at: Timestamp as SqlTime,
        updated_at: Timestamp as SqlTime,
    }
    columns |resort| {
        name: String as Text = resort.listing.name.clone(),
        kind: String as Text = resort.listing.kind.clone(),
        nightly_rate_minor: i64 as BigInt = resort.listing.nightly_rate.minor,
        currency: Currency as Text = resort.listing.nightly_rate.currency,
        time_zone: String as Text = resort.listing.time_zone(),
    }
    fields |row, corrupt, offered: Vec<Dates>, holds: BTreeMap<StayId, Hold>| {
        listing: Listing {
            name: row.name,
            kind: row.kind,
            nightly_rate: Money { minor: row.nightly_rate_minor, currency: row.currency },
            zone: TimeZone::get(&row.time_zone).map_err(|_| corrupt("time zone"))?,
        },
        offered: offered,
        holds: holds,
    }
}

chassis::table! {
    /// Dates that a resort offers.
    offers (resort_id, start_date) as OfferRow {
        resort_id: ResortId as SqlUuid,
        start_date: Date as Text,
        end_date: Date as Text,
    }
}

chassis::table! {
    /// A hold.
    holds (resort_id, stay_id) of Hold as HoldRow given (resort_id: ResortId as SqlUuid, stay_id: StayId as SqlUuid) {
        last_event: Option<EventId> as Nullable<SqlUuid>,
    }
    columns |hold| {
        customer: String as Text = hold.claim.customer.clone(),
        start_date: Date as Text = hold.claim.dates.start,
        end_date: Date as Text = hold.claim.dates.end,
        price_minor: i64 as BigInt = hold.price.minor,
        currency: Currency as Text = hold.price.currency,
        state: String as Text = name(hold.state).to_owned(),
        is_open: bool as Bool = hold.is_open(),
        expires_at: Option<Timestamp> as Nullable<SqlTime> = hold.expires_at(),
    }
    fields |row, corrupt| {
        claim: Claim {
            customer: row.customer,
            dates: Dates::from_iso(&row.start_date, &row.end_date).ok_or_else(|| corrupt("dates"))?,
        },
        price: Money { minor: row.price_minor, currency: row.currency },
        state: match (row.state.as_str(), row.expires_at) {
            ("held", Some(expires)) => State::Held { expires },
            ("reserved", None) => State::Reserved,
            ("booked", None) => State::Booked,
            ("lapsed", None) => State::Lapsed,
            ("over", None) => State::Over,
            ("lost", None) => State::Lost,
            _ => return Err(corrupt("state")),
        },
    }
}
diesel::allow_tables_to_appear_in_same_query!(resorts, offers, holds);

/// The state in the column: the contract has one name for the last three.
fn name(state: State) -> &'static str {
    match state {
        State::Held { .. } => "held",
        State::Reserved => "reserved",
        State::Booked => "booked",
        State::Lapsed => "lapsed",
        State::Over => "over",
        State::Lost => "lost",
    }
}

/// The answer to a command: the resort and, for a command about a stay, the hold.
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
        let (ids, mentioned): (_, Vec<StayId>) =
            (request.ids(), request.commands().filter_map(Command::stay).collect());
        let open = holds::resort_id.eq_any(&ids).and(holds::is_open);
        let named = holds::stay_id.eq_any(&mentioned);
        // The version is read first: later reads are at least as new, so no decision on stale rows is written.
        let (resorts, held, offered) = db::try_join!(
            read!(tx, ResortRow in resorts where resorts::id.eq_any(&ids)),
            read!(tx, HoldRow in holds where open; and named, of mentioned),
            read!(tx, OfferRow in offers where offers::resort_id.eq_any(&ids); by (offers::resort_id, offers::start_date)),
        )?;
        let mut holds = db::grouped(held, |row| Ok((row.resort_id, (row.stay_id, row.read()?))))?;
        let mut offers = offers_of(offered)?;
        loaded!(resorts, |row, id| row.read(offers.take(id), holds.take(id))?)
    }

    async fn save(tx: Tx<'_>, changes: &[Change<'_, Self>]) -> Result<(), Error> {
        // The version of the resort guards its offers and holds too.
        let hold = |change: &Change<'_, Self>, stay| Some(HoldRow::of(change.state.holds.get(&stay)?, change.id, stay));
        let changed: Vec<HoldRow> = db::changed_parts(changes, Event::stay, hold);
        db::try_join!(db::save(tx, changes, ResortRow::of), db::upsert(tx, &changed))?;
        let is_offer = |event: &Event| matches!(event, Event::Registered(..) | Event::Offered(..));
        let offering: Vec<_> = changes.iter().filter(|change| change.events.iter().any(is_offer)).collect();
        if offering.is_empty() {
            return Ok(());
        }
        let ids: Vec<ResortId> = offering.iter().map(|change| change.id).collect();
        let spans = offering.iter().flat_map(|change| change.state.offered.iter().map(|dates| (change.id, dates)));
        let row = |(resort_id, Dates { start, end }): (ResortId, &Dates)| {
            let (start_date, end_date) = (start.to_string(), end.to_string());
            OfferRow { resort_id, start_date, end_date }
        };
        let rows: Vec<OfferRow> = spans.map(row).collect();
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
            let (resort, about) = (Some(proto::Resort::from(self)), Publication::about(self.id, self.id.uuid()));
            return match event {
                Event::Offered(..) => about.publish(&proto::DatesOffered { resort }),
                Event::Transferred(..) => about.publish(&proto::ResortTransferred { resort }),
                _ => about.publish(&proto::ResortRegistered { resort }),
            };
        };
        let (hold, about) = (self.hold_proto(stay), Publication::about(self.id, stay.uuid()));
        match event {
            Event::Held(..) => about.publish(&proto::DatesHeld { hold }),
            Event::Lapsed(_) => about.publish(&proto::HoldLapsed { hold }),
            Event::Reserved(..) => about.publish(&proto::DatesReserved { hold }),
            Event::Booked(..) => about.publish(&proto::DatesBooked { hold }),
            Event::Freed(..) => about.publish(&proto::DatesFreed { hold }),
            Event::Lost(..) => about.publish(&proto::HoldLost { hold }),
            // What was never held is not published.
            Event::Registered(..) | Event::Transferred(..) | Event::Offered(..) | Event::Barred(..) => None,
        }
    }

    fn last_event_of_part(&mut self, event: &Event) -> Option<&mut Option<EventId>> {
        self.holds.get_mut(&event.stay()?).map(|hold| &mut hold.last_event)
    }
}

fn offers_of(rows: Vec<OfferRow>) -> Result<db::Parts<ResortId, Vec<Dates>>, Error> {
    db::grouped(rows, |row| {
        let dates = Dates::from_iso(&row.start_date, &row.end_date);
        Ok((row.resort_id, dates.ok_or_else(|| db::corrupt("offers", &row.resort_id, "dates"))?))
    })
}

/// Filters of a list of resorts. All of them must match.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Of this kind.
    pub kind: Option<String>,
    /// A night costs at most this.
    pub max_nightly_rate: Option<Money>,
    /// All of these dates are offered, and nothing is open on them.
    pub free: Option<Dates>,
}

/// A page of resorts, in the order of their registration, without their holds.
pub async fn list(tx: Tx<'_>, filter: &Filter, page: &Page<ResortId>) -> Result<(Vec<proto::Resort>, String), Error> {
    let mut rows: Vec<ResortRow> = sql!(tx, |c| {
        let mut query = resorts::table.select(ResortRow::as_select()).into_boxed();
        if let Some(kind) = &filter.kind {
            query = query.filter(resorts::kind.eq(kind));
        }
        if let Some(most) = filter.max_nightly_rate {
            query = query.filter(resorts::currency.eq(most.currency));
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
    let order = (offers::resort_id, offers::start_date);
    let offered = read!(tx, OfferRow in offers where offers::resort_id.eq_any(&ids); of ids by order).await?;
    let mut offers = offers_of(offered)?;
    let resorts = rows.into_iter().map(|row| {
        let offered = offers.take(row.id);
        Ok((&row.read(offered, BTreeMap::new())?).into())
    });
    Ok((resorts.collect::<Result<_, Error>>()?, next))
}

impl Resort {
    fn hold_proto(&self, stay: StayId) -> Option<proto::Hold> {
        let hold = self.holds.get(&stay)?;
        let (begins, ends) = self.listing.span(hold.claim.dates);
        Some(proto::Hold {
            stay_id: stay.to_string(),
            resort_id: self.id.to_string(),
            resort_name: self.listing.name.clone(),
            dates: Some(hold.claim.dates.into()),
            price: Some(hold.price.into()),
            time_zone: self.listing.time_zone(),
            begin_time: Some(begins.to_proto()),
            end_time: Some(ends.to_proto()),
            state: shown(hold.state).into(),
            expire_time: hold.expires_at().map(Timestamp::to_proto),
        })
    }
}

impl From<&Resort> for proto::Resort {
    fn from(resort: &Resort) -> Self {
        let occupied = resort
            .open()
            .into_iter()
            .map(|hold| proto::Occupancy { dates: Some(hold.claim.dates.into()), state: shown(hold.state).into() });
        proto::Resort {
            resort_id: resort.id.to_string(),
            name: resort.listing.name.clone(),
            kind: resort.listing.kind.clone(),
            nightly_rate: Some(resort.listing.nightly_rate.into()),
            time_zone: resort.listing.time_zone(),
            offered: resort.offered.iter().map(|dates| (*dates).into()).collect(),
            occupied: occupied.collect(),
            create_time: Some(resort.created_at.to_proto()),
            update_time: Some(resort.updated_at.to_proto()),
            owner_id: resort.owner.clone(),
        }
    }
}

/// The state in the contract.
fn shown(state: State) -> proto::HoldState {
    match state {
        State::Held { .. } => proto::HoldState::Held,
        State::Reserved => proto::HoldState::Reserved,
        State::Booked => proto::HoldState::Booked,
        State::Lapsed | State::Over | State::Lost => proto::HoldState::Ended,
    }
}
