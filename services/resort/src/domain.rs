//! A resort: the nights that it offers, the nights that are taken, and the legal transitions. Pure: no clock, no
//! database, no network.
//!
//! A resort is let as a whole, so a night of it is sold once: the aggregate guarantees that. It consists of the open
//! holds and those that a command is about, not of its history.
//!
//! ```text
//! (none) --Hold--> Held --Keep--> Reserved --Book--> Booked --Free--> Over
//!                  |  ^
//!             Lapse|  |Hold, Keep, Book: if the nights are free still
//!                  v  |
//!                 Lapsed --Keep, Book: if another has them--> Lost
//! ```
//! `Free` ends any of them for good, also one that is not known yet: late events do not open it again.

use std::collections::BTreeMap;
use std::time::Duration;

use chassis::error::RefusalCode;
use chassis::values::{Dates, Money};
use chassis::{Aggregate, EventId, Timestamp};
use jiff::civil::Date;
use jiff::tz::TimeZone;

chassis::ids! {
    /// The id of a resort.
    ResortId = "resort";
    /// The id of a stay, assigned by `stay`. It is the id of the flow.
    StayId = "stay";
}

/// Holds of one resort that can be open at once.
pub const MAX_OPEN: usize = 1_000;
/// Spans of dates that one resort can offer.
pub const MAX_OFFERED: usize = 100;

/// A resort.
#[derive(Clone, Debug, PartialEq)]
pub struct Resort {
    /// Its id.
    pub id: ResortId,
    /// What its owner publishes about it.
    pub listing: Listing,
    /// The subject of its owner; empty if it is older than owners.
    pub owner: String,
    /// The dates that can be reserved: in order, with gaps between them.
    pub offered: Vec<Dates>,
    /// All open holds, and those that a command is about.
    pub holds: BTreeMap<StayId, Hold>,
    /// When it was registered.
    pub created_at: Timestamp,
    /// When it, or what it offers, last changed.
    pub updated_at: Timestamp,
}

/// What its owner publishes about a resort.
#[derive(Clone, Debug, PartialEq)]
pub struct Listing {
    /// Its name.
    pub name: String,
    /// The kind of resort.
    pub kind: String,
    /// The price of a night.
    pub nightly_rate: Money,
    /// Its time zone, which decides when a date begins.
    pub zone: TimeZone,
}

/// Dates that are held for a stay.
#[derive(Clone, Debug, PartialEq)]
pub struct Hold {
    /// The customer and the dates.
    pub claim: Claim,
    /// The rate at the time of the hold, times the nights.
    pub price: Money,
    /// Its state.
    pub state: State,
    /// Its last published event: the cause of what its timer does.
    pub last_event: Option<EventId>,
}

/// The customer and the dates of a stay.
#[derive(Clone, Debug, PartialEq)]
pub struct Claim {
    /// The subject of the customer.
    pub customer: String,
    /// From the first night to the morning of departure.
    pub dates: Dates,
}

/// States of a hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// A reservation is in progress.
    Held {
        /// When the hold lapses.
        expires: Timestamp,
    },
    /// Reserved, not paid yet.
    Reserved,
    /// Paid.
    Booked,
    /// The hold expired; no reservation so far.
    Lapsed,
    /// The stay was cancelled, or is over.
    Over,
    /// The reservation came after other stays had taken the nights.
    Lost,
}

/// After this time nobody waits any more for the reservation that a hold was made for: the calls between the contexts end
/// sooner. If its customer tries again, the hold makes way.
pub const ABANDONED_AFTER: Duration = Duration::from_secs(10);

/// Limits of holds, from the settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How long a hold waits for its reservation.
    pub hold_for: Duration,
    /// The longest stay, in nights.
    pub longest_nights: u32,
    /// How far in the future a stay may end, in days.
    pub horizon_days: u32,
}

/// Commands of a resort.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Staff register a resort that offers these dates, and own it.
    Register(ResortId, Listing, Vec<Dates>, String),
    /// It has another owner.
    Transfer(String),
    /// It offers further dates.
    Offer(Dates),
    /// A reservation is in progress, of a customer who was shown this price.
    Hold(StayId, Claim, Limits, Option<Money>),
    /// The stay is reserved, for this price.
    Keep(StayId, Claim, Money),
    /// The stay is paid, with this price.
    Book(StayId, Claim, Money),
    /// The stay was cancelled, or is over.
    Free(StayId, Claim, Money),
    /// The timer is due: end the holds that have expired.
    Lapse,
}

/// Events of a resort.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// It was registered.
    Registered(ResortId, Listing, Vec<Dates>, String, Timestamp),
    /// It has another owner.
    Transferred(String, Timestamp),
    /// It offers these dates as well.
    Offered(Dates, Timestamp),
    /// Dates are held.
    Held(StayId, Hold),
    /// The hold expired.
    Lapsed(StayId),
    /// The stay was reserved.
    Reserved(StayId, Hold),
    /// The stay was paid.
    Booked(StayId, Hold),
    /// The dates are free again, for good.
    Freed(StayId, Hold),
    /// The same, for a stay without a hold.
    Barred(StayId, Hold),
    /// Other stays have the dates.
    Lost(StayId, Hold),
}

/// Why a command of a resort is refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum Refusal {
    #[error("there is no such resort")]
    NoSuchResort,
    #[error("a resort can offer {MAX_OFFERED} spans of dates at most")]
    TooManyOffers,
    #[error("the first night is over where the resort is")]
    DatesPast,
    #[error("a stay can have {0} nights at most")]
    StayTooLong(u32),
    #[error("a stay must be over within {0} days from now")]
    DatesTooFar(u32),
    #[error("the resort does not offer all of these dates")]
    DatesNotOffered,
    #[error("another stay has one of these nights already")]
    DatesTaken,
    #[error("the resort has {MAX_OPEN} open stays, which is the most")]
    CalendarFull,
    #[error("the price would be more than an amount can be")]
    PriceTooHigh,
    #[error("the price is {} {} now, in its smallest unit", .0.minor, .0.currency)]
    PriceChanged(Money),
    #[error("the stay is known with other dates or another customer")]
    DatesDiffer,
    #[error("the stay was cancelled or is over")]
    HoldEnded,
}

impl chassis::Refusal for Refusal {
    fn code(&self) -> RefusalCode {
        match self {
            Refusal::NoSuchResort => RefusalCode::NotFound,
            Refusal::DatesPast | Refusal::StayTooLong(_) | Refusal::DatesTooFar(_) => RefusalCode::Invalid,
            _ => RefusalCode::Precondition,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Refusal::NoSuchResort => "RESORT_NOT_FOUND",
            Refusal::TooManyOffers => "TOO_MANY_OFFERS",
            Refusal::DatesPast => "DATES_PAST",
            Refusal::StayTooLong(_) => "STAY_TOO_LONG",
            Refusal::DatesTooFar(_) => "DATES_TOO_FAR",
            Refusal::DatesNotOffered => "DATES_NOT_OFFERED",
            Refusal::DatesTaken => "DATES_TAKEN",
            Refusal::CalendarFull => "CALENDAR_FULL",
            Refusal::PriceTooHigh => "PRICE_TOO_HIGH",
            Refusal::PriceChanged(_) => "PRICE_CHANGED",
            Refusal::DatesDiffer => "DATES_DIFFER",
            Refusal::HoldEnded => "HOLD_ENDED",
        }
    }
}

impl Hold {
    /// Whether it keeps its dates from other stays.
    pub fn is_open(&self) -> bool {
        matches!(self.state, State::Held { .. } | State::Reserved | State::Booked)
    }

    /// When it lapses, if it does.
    pub fn expires_at(&self) -> Option<Timestamp> {
        if let State::Held { expires } = self.state { Some(expires) } else { None }
    }
}

impl Listing {
    /// The IANA name of its time zone.
    pub fn time_zone(&self) -> String {
        self.zone.iana_name().unwrap_or_default().to_owned()
    }

    /// The current date at the resort.
    fn today(&self, now: Timestamp) -> Date {
        let now = jiff::Timestamp::from_microsecond(now.micros()).unwrap_or(jiff::Timestamp::MAX);
        now.to_zoned(self.zone.clone()).date()
    }

    /// When a date begins at the resort.
    fn start_of(&self, date: Date) -> Timestamp {
        let start = self.zone.to_zoned(date.into()).map_or(jiff::Timestamp::MAX, |zoned| zoned.timestamp());
        Timestamp::from_micros(start.as_microsecond())
    }

    /// From the start of the first date to the end of the day of departure, at the resort.
    pub fn span(&self, dates: Dates) -> (Timestamp, Timestamp) {
        let after = dates.end.tomorrow().unwrap_or(Date::MAX);
        (self.start_of(dates.start), self.start_of(after))
    }

    /// The price of the dates, or why they can't be held now.
    fn price(&self, dates: Dates, limits: &Limits, now: Timestamp) -> Result<Money, Refusal> {
        let today = self.today(now);
        if dates.start < today {
            return Err(Refusal::DatesPast);
        }
        if dates.nights() > limits.longest_nights {
            return Err(Refusal::StayTooLong(limits.longest_nights));
        }
        let days_ahead = today.until(dates.end).map_or(i32::MAX, |span| span.get_days());
        if i64::from(days_ahead) > i64::from(limits.horizon_days) {
            return Err(Refusal::DatesTooFar(limits.horizon_days));
        }
        self.nightly_rate.times(dates.nights()).ok_or(Refusal::PriceTooHigh)
    }
}

impl Aggregate for Resort {
    const NAME: &'static str = "resort";
    type Id = ResortId;
    type Command = Command;
    type Event = Event;
    type Refusal = Refusal;

    fn decide(resort: Option<&Resort>, command: &Command, now: Timestamp) -> Result<Vec<Event>, Refusal> {
        let Some(resort) = resort else {
            return match command {
                Command::Register(id, listing, offered, owner) => {
                    Ok(vec![Event::Registered(*id, listing.clone(), merged(offered), owner.clone(), now)])
                }
                _ => Err(Refusal::NoSuchResort),
            };
        };
        match command {
            Command::Register(..) => Ok(vec![]),
            Command::Transfer(owner) if *owner == resort.owner => Ok(vec![]),
            Command::Transfer(owner) => Ok(vec![Event::Transferred(owner.clone(), now)]),
            Command::Offer(dates) => resort.decide_offer(*dates, now),
            Command::Hold(stay, claim, limits, expected) => resort.decide_hold(*stay, claim, limits, *expected, now),
            Command::Keep(stay, claim, price) => Ok(resort.decide_claim(*stay, claim, *price, State::Reserved)),
            Command::Book(stay, claim, price) => Ok(resort.decide_claim(*stay, claim, *price, State::Booked)),
            Command::Free(stay, claim, price) => Ok(resort.decide_free(*stay, claim, *price)),
            Command::Lapse => Ok(resort.lapsed(now).map(Event::Lapsed).collect()),
        }
    }

    fn evolve(resort: Option<Resort>, event: &Event) -> Resort {
        let mut resort = match (resort, event) {
            (_, Event::Registered(id, listing, offered, owner, now)) => Resort {
                id: *id,
                listing: listing.clone(),
                owner: owner.clone(),
                offered: offered.clone(),
                holds: BTreeMap::new(),
                created_at: *now,
                updated_at: *now,
            },
            (Some(resort), _) => resort,
            (None, event) => unreachable!("{event:?} can't be the first event of a resort"),
        };
        match event {
            Event::Registered(..) => {}
            Event::Transferred(owner, now) => (resort.owner, resort.updated_at) = (owner.clone(), *now),
            Event::Offered(dates, now) => {
                resort.offered.push(*dates);
                resort.offered = merged(&resort.offered);
                resort.updated_at = *now;
            }
            Event::Held(stay, hold)
            | Event::Reserved(stay, hold)
            | Event::Booked(stay, hold)
            | Event::Freed(stay, hold)
            | Event::Barred(stay, hold)
            | Event::Lost(stay, hold) => {
                resort.holds.insert(*stay, hold.clone());
            }
            Event::Lapsed(stay) => {
                if let Some(hold) = resort.holds.get_mut(stay) {
                    hold.state = State::Lapsed;
                }
            }
        }
        resort
    }

    fn due_at(&self) -> Option<(Timestamp, Command)> {
        self.holds.values().filter_map(Hold::expires_at).min().map(|at| (at, Command::Lapse))
    }
}

impl Resort {
    /// The open holds, the earliest dates first.
    pub fn open(&self) -> Vec<&Hold> {
        let mut open: Vec<&Hold> = self.holds.values().filter(|hold| hold.is_open()).collect();
        open.sort_by_key(|hold| hold.claim.dates.start);
        open
    }

    fn lapsed(&self, now: Timestamp) -> impl Iterator<Item = StayId> {
        let is_lapsed = move |hold: &Hold| matches!(hold.state, State::Held { expires } if expires <= now);
        self.holds.iter().filter(move |(_, hold)| is_lapsed(hold)).map(|(stay, _)| *stay)
    }

    /// The other stays that have one of the nights, each with its hold.
    fn takers(&self, stay: StayId, dates: Dates) -> impl Iterator<Item = (StayId, &Hold)> {
        let takes = move |hold: &Hold| hold.is_open() && hold.claim.dates.overlaps(&dates);
        let takers = self.holds.iter().filter(move |(other, hold)| **other != stay && takes(hold));
        takers.map(|(other, hold)| (*other, hold))
    }

    fn decide_offer(&self, dates: Dates, now: Timestamp) -> Result<Vec<Event>, Refusal> {
        if self.offered.iter().any(|offered| offered.contains(&dates)) {
            return Ok(vec![]);
        }
        let all: Vec<Dates> = self.offered.iter().copied().chain([dates]).collect();
        if merged(&all).len() > MAX_OFFERED {
            return Err(Refusal::TooManyOffers);
        }
        Ok(vec![Event::Offered(dates, now)])
    }

    fn decide_hold(
        &self,
        stay: StayId,
        claim: &Claim,
        limits: &Limits,
        expected: Option<Money>,
        now: Timestamp,
    ) -> Result<Vec<Event>, Refusal> {
        match self.holds.get(&stay) {
            Some(hold) if hold.claim != *claim => return Err(Refusal::DatesDiffer),
            Some(hold) if hold.is_open() => return Ok(vec![]),
            Some(Hold { state: State::Over | State::Lost, .. }) => return Err(Refusal::HoldEnded),
            _ => {}
        }
        let price = self.listing.price(claim.dates, limits, now)?;
        if !self.offered.iter().any(|offered| offered.contains(&claim.dates)) {
            return Err(Refusal::DatesNotOffered);
        }
        // If the reservation of such a hold comes after all, it is lost, as one whose hold has lapsed.
        let is_abandoned = |hold: &Hold| {
            let since = hold.expires_at().map(|expires| expires - limits.hold_for);
            hold.claim.customer == claim.customer && since.is_some_and(|since| since + ABANDONED_AFTER <= now)
        };
        let takers: Vec<(StayId, &Hold)> = self.takers(stay, claim.dates).collect();
        if takers.iter().any(|(_, hold)| !is_abandoned(hold)) {
            return Err(Refusal::DatesTaken);
        }
        if expected.is_some_and(|expected| expected != price) {
            return Err(Refusal::PriceChanged(price));
        }
        if self.open().len() - takers.len() >= MAX_OPEN {
            return Err(Refusal::CalendarFull);
        }
        let state = State::Held { expires: now + limits.hold_for };
        let held = Event::Held(stay, self.hold(stay, claim, price, state));
        Ok(takers.iter().map(|(abandoned, _)| Event::Lapsed(*abandoned)).chain([held]).collect())
    }

    /// The stay is reserved or booked. It keeps the dates of its hold, unless the hold had lapsed and another stay has
    /// taken them.
    fn decide_claim(&self, stay: StayId, claim: &Claim, price: Money, state: State) -> Vec<Event> {
        let known = self.holds.get(&stay).map(|hold| hold.state);
        let is_news = match known {
            None | Some(State::Held { .. } | State::Lapsed) => true,
            Some(State::Reserved) => state == State::Booked,
            Some(State::Booked | State::Over | State::Lost) => false,
        };
        if !is_news {
            return vec![];
        }
        if self.takers(stay, claim.dates).next().is_some() {
            return vec![Event::Lost(stay, self.hold(stay, claim, price, State::Lost))];
        }
        let hold = self.hold(stay, claim, price, state);
        vec![if state == State::Booked { Event::Booked(stay, hold) } else { Event::Reserved(stay, hold) }]
    }

    fn decide_free(&self, stay: StayId, claim: &Claim, price: Money) -> Vec<Event> {
        let over = self.hold(stay, claim, price, State::Over);
        match self.holds.get(&stay) {
            Some(hold) if hold.is_open() => vec![Event::Freed(stay, over)],
            None | Some(Hold { state: State::Lapsed, .. }) => vec![Event::Barred(stay, over)],
            Some(_) => vec![],
        }
    }

    /// The hold in another state; made from the claim if there was none, or if the claim differs.
    fn hold(&self, stay: StayId, claim: &Claim, price: Money, state: State) -> Hold {
        let last_event = self.holds.get(&stay).and_then(|hold| hold.last_event);
        Hold { claim: claim.clone(), price, state, last_event }
    }
}

/// The same dates, in order, with gaps between the spans.
fn merged(spans: &[Dates]) -> Vec<Dates> {
    let mut sorted = spans.to_vec();
    sorted.sort_by_key(|dates| dates.start);
    let mut merged: Vec<Dates> = Vec::with_capacity(sorted.len());
    for dates in sorted {
        match merged.last_mut() {
            Some(last) if dates.start <= last.end => last.end = last.end.max(dates.end),
            _ => merged.push(dates),
        }
    }
    merged
}

impl Event {
    /// The stay that the command or event is about.
    pub fn stay(&self) -> Option<StayId> {
        match self {
            Event::Registered(..) | Event::Transferred(..) | Event::Offered(..) => None,
            Event::Held(stay, _)
            | Event::Lapsed(stay)
            | Event::Reserved(stay, _)
            | Event::Booked(stay, _)
            | Event::Freed(stay, _)
            | Event::Barred(stay, _)
            | Event::Lost(stay, _) => Some(*stay),
        }
    }
}

impl Command {
    /// The stay that the command or event is about.
    pub fn stay(&self) -> Option<StayId> {
        match self {
            Command::Register(..) | Command::Transfer(_) | Command::Offer(_) | Command::Lapse => None,
            Command::Hold(stay, ..) | Command::Keep(stay, ..) | Command::Book(stay, ..) | Command::Free(stay, ..) => {
                Some(*stay)
            }
        }
    }
}
