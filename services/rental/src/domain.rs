//! A car's calendar: its reservations and rentals by period, and the legal transitions. Pure: no clock, no database, no
//! network.
//!
//! The rule that two reservations never overlap concerns the whole calendar, so the calendar is the aggregate. It holds
//! the open reservations and those that a command is about, not its history.
//!
//! ```text
//! (none) --Reserve--> Reserved --Rent--> Rented --Return--> Returned (--Rate, once)
//!                        |                  |
//!                        +--Cancel, Lapse   +--TakeBack (the customer cancelled the payment), Cancel by staff
//!                        |   TakeBack       |
//!                        +--> Cancelled <---+
//! ```
//! A rental whose period is over and whose car is not back is overdue: the car is reserved for nobody, and whoever has it
//! next is told, and gets the money back when their period begins without it. Staff act in a customer's place, and say
//! why: their event comes before that of what they did.

mod messages;
mod region;

use std::collections::BTreeMap;
use std::time::Duration;

use chassis::values::{Intervention, Money, Period};
use chassis::{Aggregate, EventId, Quota, Timestamp};

pub use self::messages::{Command, Event, Refusal};
pub use self::region::{LATEST_START, Region, SHORTEST, Terms};

chassis::ids! {
    /// The id of a car, assigned by `fleet`.
    CarId = "car";
    /// The id of a reservation. It is the id of the flow.
    ReservationId = "reservation";
    /// The id of a payment, assigned by `payment`.
    PaymentId = "payment";
    /// The id of what is paid for a late return, made from its reservation. It is the id of its flow.
    LateFeeId = "late fee";
}

/// The late fee of a reservation.
pub fn late_fee_of(reservation: ReservationId) -> LateFeeId {
    LateFeeId::derived_from(reservation.uuid())
}

/// The resources of a customer: reservations that are not paid yet, and late fees that are not paid.
pub const UNPAID_RESERVATIONS: &str = "unpaid reservations";
/// See [`UNPAID_RESERVATIONS`].
pub const OWED_LATE_FEES: &str = "owed late fees";

/// How long before its begin the customer of a reservation is told that its car is not back.
pub const WARNED_BEFORE: Duration = Duration::from_secs(24 * 3_600);

/// Reservations and rentals of one car that can be open at once.
pub const MAX_OPEN: usize = 1_000;

/// What people call a car.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CarName {
    /// The model.
    pub model: String,
    /// The plate; empty if it is not known.
    pub plate: String,
}

/// The calendar of a car.
#[derive(Clone, Debug, PartialEq)]
pub struct Calendar {
    /// The car.
    pub car: CarId,
    /// The price of a day; `None` while only the car's retirement is known.
    pub daily_rate: Option<Money>,
    /// What people call the car.
    pub name: CarName,
    /// The subject of its owner; empty if it is not known.
    pub owner: String,
    /// The car is no longer rented out.
    pub retired: bool,
    /// Its reservations and rentals: all open ones, and those that a command is about.
    pub reservations: BTreeMap<ReservationId, Reservation>,
}

/// A car reserved for a customer for a period, and its outcome.
#[derive(Clone, Debug, PartialEq)]
pub struct Reservation {
    /// The subject of the customer.
    pub customer: String,
    /// The subject of the car's owner: of the last one while it was open; empty if it is not known.
    pub owner: String,
    /// The period.
    pub period: Period,
    /// The days that are paid for.
    pub days: u32,
    /// What people called the car when it was reserved.
    pub car: CarName,
    /// The IANA name of the time zone of the region; empty if it is not known.
    pub time_zone: String,
    /// The price.
    pub price: Money,
    /// What was kept of the price when it was cancelled.
    pub kept: Option<Money>,
    /// The period is over, and the car is not back.
    pub overdue: bool,
    /// The fee for a late return.
    pub late_fee: Option<LateFee>,
    /// What staff did about it last.
    pub intervention: Option<Intervention>,
    /// Its state.
    pub state: State,
    /// The stars given after the return.
    pub stars: Option<u8>,
    /// The payment that it was rented with.
    pub payment: Option<PaymentId>,
    /// When it was reserved.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// Its last published event: the cause of what its timer does.
    pub last_event: Option<EventId>,
}

/// The fee for a late return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LateFee {
    /// The amount.
    pub amount: Money,
    /// Whether it was paid.
    pub paid: bool,
}

/// States of a reservation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The car is reserved; the payment is awaited.
    Reserved {
        /// When it lapses.
        expires: Timestamp,
    },
    /// Paid: the car is the customer's.
    Rented,
    /// The car is back.
    Returned,
    /// The period is free again.
    Cancelled(Cause),
}

/// Why a reservation was cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The customer cancelled it.
    Customer,
    /// The customer cancelled the payment.
    Payment,
    /// It was not paid in time.
    Unpaid,
    /// Staff cancelled it.
    Staff,
    /// Its period began, and the customer before had not brought the car back.
    CarNotBack,
}

impl Reservation {
    /// Whether the car is reserved or rented for it.
    pub fn is_open(&self) -> bool {
        matches!(self.state, State::Reserved { .. } | State::Rented)
    }

    /// When it lapses, if it is not paid yet.
    pub fn expires(&self) -> Option<Timestamp> {
        if let State::Reserved { expires } = self.state { Some(expires) } else { None }
    }

    /// Whether its period is over and the car is not back.
    fn is_overdue(&self, now: Timestamp) -> bool {
        self.state == State::Rented && (self.overdue || self.period.end <= now)
    }
}

impl Aggregate for Calendar {
    const NAME: &'static str = "calendar";
    type Id = CarId;
    type Command = Command;
    type Event = Event;
    type Refusal = Refusal;

    fn decide(calendar: Option<&Calendar>, command: &Command, now: Timestamp) -> Result<Vec<Event>, Refusal> {
        let Some(calendar) = calendar else {
            return match command {
                Command::Register { car, rate, name, owner } => {
                    Ok(vec![Event::Registered(*car, *rate, name.clone(), owner.clone())])
                }
                Command::Retire(car) => Ok(vec![Event::Retired(*car)]),
                _ => Err(Refusal::NoSuchCar),
            };
        };
        match command {
            Command::Register { car, rate, name, owner } if calendar.daily_rate.is_none() => {
                Ok(vec![Event::Registered(*car, *rate, name.clone(), owner.clone())])
            }
            Command::Register { .. } => Ok(vec![]),
            Command::Transfer(_, owner) if *owner == calendar.owner => Ok(vec![]),
            Command::Transfer(_, owner) => {
                let open = calendar.reservations.iter().filter(|(_, reservation)| reservation.is_open());
                let handed_over = open.map(|(id, _)| Event::HandedOver(*id, owner.clone()));
                Ok([Event::Transferred(owner.clone())].into_iter().chain(handed_over).collect())
            }
            Command::Retire(_) if calendar.retired => Ok(vec![]),
            Command::Retire(_) if calendar.open().next().is_some() => Err(Refusal::CarInUse),
            Command::Retire(car) => Ok(vec![Event::Retired(*car)]),
            Command::Reserve { .. } => calendar.decide_reserve(command, now),
            Command::Cancel(id, by) => calendar.decide_cancel(*id, by.as_ref(), now),
            Command::Rent(id, payment) => calendar.decide_rent(*id, *payment, now),
            Command::Return(id, by, terms) => calendar.decide_return(*id, by.as_ref(), terms, now),
            Command::PayLateFee(id) => Ok(match calendar.reservation(*id)?.late_fee {
                Some(LateFee { paid: false, .. }) => vec![Event::LateFeePaid(*id, now)],
                _ => vec![],
            }),
            Command::Rate(id, stars) => match calendar.reservation(*id)? {
                Reservation { state: State::Returned, stars: None, .. } => Ok(vec![Event::Rated(*id, *stars, now)]),
                Reservation { state: State::Returned, .. } => Err(Refusal::AlreadyRated),
                _ => Err(Refusal::NotReturned),
            },
            Command::TakeBack(id, terms) => {
                let reservation = calendar.reservation(*id)?;
                Ok(match reservation.state {
                    State::Reserved { .. } => vec![Event::Cancelled(*id, Cause::Payment, None, now)],
                    State::Rented if now < reservation.period.start => {
                        vec![Event::Cancelled(*id, Cause::Payment, terms.kept(reservation, now), now)]
                    }
                    // The car was picked up, or could have been.
                    State::Rented | State::Returned => vec![Event::CancellationRefused(*id)],
                    State::Cancelled(_) => vec![],
                })
            }
            Command::Drop(id) => match calendar.reservation(*id)?.state {
                State::Reserved { .. } => Ok(vec![Event::Cancelled(*id, Cause::Payment, None, now)]),
                _ => Ok(vec![]),
            },
            Command::Lapse => Ok(calendar.decide_due(now)),
        }
    }

    fn evolve(calendar: Option<Calendar>, event: &Event) -> Calendar {
        let mut calendar = match (calendar, event) {
            (Some(calendar), _) => calendar,
            (None, Event::Registered(car, ..) | Event::Retired(car)) => Calendar {
                car: *car,
                daily_rate: None,
                name: CarName::default(),
                owner: String::new(),
                retired: false,
                reservations: BTreeMap::new(),
            },
            (None, event) => unreachable!("{event:?} can't be the first event of a calendar"),
        };
        match event {
            Event::Registered(_, rate, name, owner) => {
                (calendar.daily_rate, calendar.name) = (Some(*rate), name.clone());
                calendar.owner.clone_from(owner);
            }
            Event::Transferred(owner) => calendar.owner.clone_from(owner),
            Event::Retired(_) => calendar.retired = true,
            Event::Reserved(id, reservation) => {
                calendar.reservations.insert(*id, (**reservation).clone());
            }
            _ => {
                if let Some(reservation) = event.reservation().and_then(|id| calendar.reservations.get_mut(&id)) {
                    reservation.apply(event);
                }
            }
        }
        calendar
    }

    fn quotas(command: &Command) -> Vec<Quota<Refusal>> {
        let Command::Reserve { customer, unpaid, .. } = command else { return vec![] };
        let (subject, refusal) = (customer.clone(), Refusal::LateFeeOwed);
        let owed = Quota { resource: OWED_LATE_FEES, subject, limit: 1, takes: false, refusal };
        let (subject, refusal) = (customer.clone(), Refusal::TooManyReservations);
        vec![owed, Quota { resource: UNPAID_RESERVATIONS, subject, limit: *unpaid, takes: true, refusal }]
    }

    fn due_at(&self) -> Option<(Timestamp, Command)> {
        let is_missing = self.open().any(|reservation| reservation.overdue);
        let due = self.open().filter_map(|reservation| match reservation.state {
            State::Reserved { expires } if is_missing => Some(expires.min(reservation.period.start)),
            State::Reserved { expires } => Some(expires),
            State::Rented if reservation.overdue => None,
            State::Rented if is_missing => Some(reservation.period.start),
            State::Rented => Some(reservation.period.end),
            State::Returned | State::Cancelled(_) => None,
        });
        due.min().map(|at| (at, Command::Lapse))
    }
}

impl Calendar {
    fn reservation(&self, id: ReservationId) -> Result<&Reservation, Refusal> {
        self.reservations.get(&id).ok_or(Refusal::NoSuchReservation)
    }

    fn open(&self) -> impl Iterator<Item = &Reservation> {
        self.reservations.values().filter(|reservation| reservation.is_open())
    }

    fn lapsed(&self, now: Timestamp) -> impl Iterator<Item = ReservationId> {
        let is_lapsed = move |state| matches!(state, State::Reserved { expires } if expires <= now);
        self.reservations.iter().filter(move |(_, reservation)| is_lapsed(reservation.state)).map(|(id, _)| *id)
    }

    /// What is due by now.
    fn decide_due(&self, now: Timestamp) -> Vec<Event> {
        let mut events: Vec<Event> =
            self.lapsed(now).map(|id| Event::Cancelled(id, Cause::Unpaid, None, now)).collect();
        let open = || self.reservations.iter().filter(|(_, reservation)| reservation.is_open());
        let is_missing = |reservation: &Reservation| reservation.is_overdue(now);
        if !self.open().any(is_missing) {
            return events;
        }
        let lapsed: Vec<ReservationId> = self.lapsed(now).collect();
        let others = || open().filter(|(id, other)| !is_missing(other) && !lapsed.contains(id));
        let news: Vec<_> = open().filter(|(_, it)| is_missing(it) && !it.overdue).map(|(id, _)| *id).collect();
        if !news.is_empty() {
            let soon = others().filter(|(_, other)| now < other.period.start);
            let soon = soon.filter(|(_, other)| other.period.start < now + WARNED_BEFORE);
            let delayed: Vec<Event> = soon.map(|(id, _)| Event::Delayed(*id)).collect();
            events.extend(news.into_iter().map(|id| Event::Overdue(id, now)).chain(delayed));
        }
        let begun = others().filter(|(_, other)| other.period.start <= now);
        events.extend(begun.map(|(id, _)| Event::Cancelled(*id, Cause::CarNotBack, None, now)));
        events
    }

    fn decide_reserve(&self, command: &Command, now: Timestamp) -> Result<Vec<Event>, Refusal> {
        let Command::Reserve { id, customer, period, days, currency, expected_price, pay_within, time_zone, .. } =
            command
        else {
            return Ok(vec![]);
        };
        if self.reservations.contains_key(id) {
            return Ok(vec![]);
        }
        let rate = self.daily_rate.filter(|_| !self.retired).ok_or(Refusal::CarRetired)?;
        if rate.currency != *currency {
            return Err(Refusal::CurrencyNotServed(rate.currency, *currency));
        }
        if self.open().any(|other| other.period.overlaps(period)) {
            return Err(Refusal::PeriodTaken);
        }
        if self.open().any(|other| other.is_overdue(now)) {
            return Err(Refusal::CarOverdue);
        }
        if self.open().count() >= MAX_OPEN {
            return Err(Refusal::CalendarFull);
        }
        let price = rate.times(*days).ok_or(Refusal::PriceTooHigh)?;
        if expected_price.is_some_and(|expected| expected != price) {
            return Err(Refusal::PriceChanged(price));
        }
        let reservation = Reservation {
            customer: customer.clone(),
            owner: self.owner.clone(),
            period: *period,
            days: *days,
            car: self.name.clone(),
            time_zone: time_zone.clone(),
            price,
            kept: None,
            overdue: false,
            late_fee: None,
            intervention: None,
            // A customer who has not paid by the end of the period did not use the car.
            state: State::Reserved { expires: (now + *pay_within).min(period.end) },
            stars: None,
            payment: None,
            created_at: now,
            updated_at: now,
            last_event: None,
        };
        Ok(vec![Event::Reserved(*id, Box::new(reservation))])
    }

    fn decide_return(
        &self,
        id: ReservationId,
        by: Option<&Intervention>,
        terms: &Terms,
        now: Timestamp,
    ) -> Result<Vec<Event>, Refusal> {
        let reservation = self.reservation(id)?;
        match reservation.state {
            State::Rented if now < reservation.period.start => Err(Refusal::NotBegun),
            State::Rented => {
                let intervened = by.map(|by| Event::Intervened(id, by.clone()));
                let late = terms.late_fee(reservation, now).map(|fee| Event::LateFeeCharged(id, fee, now));
                Ok(intervened.into_iter().chain([Event::Returned(id, now)]).chain(late).collect())
            }
            State::Returned => Ok(vec![]),
            State::Reserved { .. } => Err(Refusal::NotRented),
            State::Cancelled(_) => Err(Refusal::ReservationCancelled),
        }
    }

    fn decide_cancel(
        &self,
        id: ReservationId,
        by: Option<&Intervention>,
        now: Timestamp,
    ) -> Result<Vec<Event>, Refusal> {
        match (self.reservation(id)?.state, by) {
            (State::Reserved { .. } | State::Rented, Some(by)) => {
                Ok(vec![Event::Intervened(id, by.clone()), Event::Cancelled(id, Cause::Staff, None, now)])
            }
            (state, _) => self.decide_own_cancel(id, state, now),
        }
    }

    fn decide_own_cancel(&self, id: ReservationId, state: State, now: Timestamp) -> Result<Vec<Event>, Refusal> {
        match state {
            State::Reserved { .. } => Ok(vec![Event::Cancelled(id, Cause::Customer, None, now)]),
            State::Cancelled(_) => Ok(vec![]),
            State::Rented => Err(Refusal::AlreadyRented),
            State::Returned => Err(Refusal::AlreadyReturned),
        }
    }

    fn decide_rent(&self, id: ReservationId, payment: PaymentId, now: Timestamp) -> Result<Vec<Event>, Refusal> {
        Ok(match self.reservation(id)?.state {
            State::Reserved { .. } => vec![Event::Rented(id, payment, now)],
            State::Rented | State::Returned => vec![],
            State::Cancelled(_) => vec![Event::RentRefused(id)],
        })
    }
}

impl Reservation {
    fn apply(&mut self, event: &Event) {
        match event {
            Event::HandedOver(_, owner) => self.owner.clone_from(owner),
            Event::Intervened(_, intervention) => self.intervention = Some(intervention.clone()),
            Event::Cancelled(_, cause, kept, now) => {
                (self.state, self.updated_at) = (State::Cancelled(*cause), *now);
                (self.kept, self.overdue) = (*kept, false);
            }
            Event::Overdue(_, now) => (self.overdue, self.updated_at) = (true, *now),
            Event::Rented(_, payment, now) => {
                (self.state, self.updated_at) = (State::Rented, *now);
                self.payment = Some(*payment);
            }
            Event::Returned(_, now) => {
                (self.state, self.updated_at, self.overdue) = (State::Returned, *now, false);
            }
            Event::LateFeeCharged(_, amount, _) => self.late_fee = Some(LateFee { amount: *amount, paid: false }),
            Event::LateFeePaid(_, now) => {
                self.updated_at = *now;
                if let Some(fee) = &mut self.late_fee {
                    fee.paid = true;
                }
            }
            Event::Rated(_, stars, now) => (self.stars, self.updated_at) = (Some(*stars), *now),
            Event::Registered(..)
            | Event::Transferred(_)
            | Event::Retired(_)
            | Event::Delayed(_)
            | Event::Reserved(..)
            | Event::RentRefused(_)
            | Event::CancellationRefused(_) => {}
        }
    }
}
