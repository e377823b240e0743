//! A car's calendar: its reservations and rentals by period, and the legal transitions. Pure: no clock, no database, no
//! network.
//!
//! The rule that two reservations never overlap concerns the whole calendar, so the calendar is the aggregate. It holds
//! the open reservations and those that a command is about, not its history.
//!
//! ```text
//! (none) --Reserve--> Reserved --Rent--> Rented --Return--> Returned (--Rate, once)
//!                        |                  |
//!                        +--Cancel, Lapse   +--TakeBack (the customer cancelled the payment)
//!                        |   TakeBack       |
//!                        +--> Cancelled <---+
//! ```

use std::collections::BTreeMap;
use std::time::Duration;

use chassis::error::RefusalCode;
use chassis::values::{Currency, Money, Period};
use chassis::{Aggregate, EventId, Timestamp};
use jiff::tz::TimeZone;

chassis::ids! {
    /// The id of a car, assigned by `fleet`.
    CarId = "car";
    /// The id of a reservation. It is the id of the flow.
    ReservationId = "reservation";
    /// The id of a payment, assigned by `payment`.
    PaymentId = "payment";
}

/// Reservations and rentals of one car that can be open at once.
pub const MAX_OPEN: usize = 1_000;

/// The country and region in which the company rents cars out, and their settings.
#[derive(Clone, Debug)]
pub struct Region {
    /// The country, two letters of ISO 3166-1.
    pub country: String,
    /// The currency of the prices.
    pub currency: Currency,
    /// The time zone that decides when a day begins.
    pub zone: TimeZone,
    /// How long a reservation waits for its payment.
    pub pay_within: Duration,
    /// The longest period, in days that are paid for.
    pub longest_days: u32,
    /// How far in the future a period may end.
    pub horizon: Duration,
}

/// How far in the past a period may begin: the customer may be at the car already.
pub const LATEST_START: Duration = Duration::from_secs(3_600);

/// The shortest period: shorter ones would fill a calendar and serve nobody.
pub const SHORTEST: Duration = Duration::from_secs(1_800);

impl Region {
    /// The days that a period is paid for, or why it can't be reserved.
    pub fn days(&self, period: &Period, now: Timestamp) -> Result<u32, String> {
        if period.start < now - LATEST_START {
            return Err("must not have begun more than an hour ago".to_owned());
        }
        if period.end <= now {
            return Err("must not be over".to_owned());
        }
        if period.end > now + self.horizon {
            return Err(format!("must end within {} days from now", self.horizon.as_secs() / 86_400));
        }
        if period.end.since(period.start) < SHORTEST {
            return Err(format!("must be at least {} minutes long", SHORTEST.as_secs() / 60));
        }
        // Days of the region, as they are paid for: one of them may have 23 or 25 hours.
        let days = period.days(&self.zone).ok_or_else(|| "must be a valid period".to_owned())?;
        if days > self.longest_days {
            return Err(format!("must not be longer than {} days", self.longest_days));
        }
        Ok(days)
    }
}

/// The calendar of a car.
#[derive(Clone, Debug, PartialEq)]
pub struct Calendar {
    /// The car.
    pub car: CarId,
    /// The price of a day; `None` while only the car's retirement is known.
    pub daily_rate: Option<Money>,
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
    /// The period.
    pub period: Period,
    /// The days that are paid for.
    pub days: u32,
    /// The price.
    pub price: Money,
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
}

/// Commands of a calendar.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// The company has a new car.
    Register(CarId, Money),
    /// Take the car out for good, if nothing is open.
    Retire(CarId),
    /// A customer reserves the car.
    Reserve {
        /// The id of the new reservation.
        id: ReservationId,
        /// The subject of the customer.
        customer: String,
        /// The period.
        period: Period,
        /// The days that are paid for.
        days: u32,
        /// The currency that the region rents out in.
        currency: Currency,
        /// The price that the customer was shown.
        expected_price: Option<Money>,
        /// How long it waits for its payment.
        pay_within: Duration,
    },
    /// The customer cancels the reservation.
    Cancel(ReservationId),
    /// It was paid.
    Rent(ReservationId, PaymentId),
    /// The car is back.
    Return(ReservationId),
    /// The customer rates the rental with stars.
    Rate(ReservationId, u8),
    /// The customer wants the money back.
    TakeBack(ReservationId),
    /// The customer cancelled the payment before paying.
    Drop(ReservationId),
    /// The timer is due: cancel the reservations that were not paid in time.
    Lapse,
}

/// Events of a calendar.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The car was registered.
    Registered(CarId, Money),
    /// The car is no longer rented out.
    Retired(CarId),
    /// The car is reserved for a customer.
    Reserved(ReservationId, Reservation),
    /// The period is free again.
    Cancelled(ReservationId, Cause, Timestamp),
    /// The car is the customer's.
    Rented(ReservationId, PaymentId, Timestamp),
    /// It was paid after it was cancelled: the money goes back.
    RentRefused(ReservationId),
    /// The car is back.
    Returned(ReservationId, Timestamp),
    /// It was rated with stars.
    Rated(ReservationId, u8, Timestamp),
    /// The customer wanted the money back too late.
    CancellationRefused(ReservationId),
}

/// Why a command of a calendar is refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum Refusal {
    #[error("there is no such car")]
    NoSuchCar,
    #[error("there is no such reservation")]
    NoSuchReservation,
    #[error("the car is no longer rented out")]
    CarRetired,
    #[error("a reservation or rental of the car is open")]
    CarInUse,
    #[error("the car is reserved for a part of that period already")]
    PeriodTaken,
    #[error("the car's price is in {0}, but here cars are rented out in {1}")]
    CurrencyNotServed(Currency, Currency),
    #[error("the car has {MAX_OPEN} open reservations, which is the most")]
    CalendarFull,
    #[error("the price would be more than an amount can be")]
    PriceTooHigh,
    #[error("the price is {} {} now, in its smallest unit", .0.minor, .0.currency)]
    PriceChanged(Money),
    #[error("the reservation was cancelled")]
    ReservationCancelled,
    #[error("the car is rented already; cancel the payment instead")]
    AlreadyRented,
    #[error("the car was returned already")]
    AlreadyReturned,
    #[error("the car is not rented: the reservation is not paid yet")]
    NotRented,
    #[error("stars can be given after the return")]
    NotReturned,
    #[error("stars were given already")]
    AlreadyRated,
}

impl chassis::Refusal for Refusal {
    fn code(&self) -> RefusalCode {
        match self {
            Refusal::NoSuchCar | Refusal::NoSuchReservation => RefusalCode::NotFound,
            _ => RefusalCode::Precondition,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Refusal::NoSuchCar => "CAR_NOT_FOUND",
            Refusal::NoSuchReservation => "RESERVATION_NOT_FOUND",
            Refusal::CarRetired => "CAR_RETIRED",
            Refusal::CarInUse => "CAR_IN_USE",
            Refusal::PeriodTaken => "PERIOD_TAKEN",
            Refusal::CurrencyNotServed(..) => "CURRENCY_NOT_SERVED",
            Refusal::CalendarFull => "CALENDAR_FULL",
            Refusal::PriceTooHigh => "PRICE_TOO_HIGH",
            Refusal::PriceChanged(_) => "PRICE_CHANGED",
            Refusal::ReservationCancelled => "RESERVATION_CANCELLED",
            Refusal::AlreadyRented => "ALREADY_RENTED",
            Refusal::AlreadyReturned => "ALREADY_RETURNED",
            Refusal::NotRented => "NOT_RENTED",
            Refusal::NotReturned => "NOT_RETURNED",
            Refusal::AlreadyRated => "ALREADY_RATED",
        }
    }
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
                Command::Register(car, rate) => Ok(vec![Event::Registered(*car, *rate)]),
                Command::Retire(car) => Ok(vec![Event::Retired(*car)]),
                _ => Err(Refusal::NoSuchCar),
            };
        };
        match command {
            Command::Register(car, rate) if calendar.daily_rate.is_none() => Ok(vec![Event::Registered(*car, *rate)]),
            Command::Register(..) => Ok(vec![]),
            Command::Retire(_) if calendar.retired => Ok(vec![]),
            Command::Retire(_) if calendar.open().next().is_some() => Err(Refusal::CarInUse),
            Command::Retire(car) => Ok(vec![Event::Retired(*car)]),
            Command::Reserve { .. } => calendar.decide_reserve(command, now),
            Command::Cancel(id) => calendar.decide_cancel(*id, now),
            Command::Rent(id, payment) => calendar.decide_rent(*id, *payment, now),
            Command::Return(id) => match calendar.reservation(*id)?.state {
                State::Rented => Ok(vec![Event::Returned(*id, now)]),
                State::Returned => Ok(vec![]),
                State::Reserved { .. } => Err(Refusal::NotRented),
                State::Cancelled(_) => Err(Refusal::ReservationCancelled),
            },
            Command::Rate(id, stars) => match calendar.reservation(*id)? {
                Reservation { state: State::Returned, stars: None, .. } => Ok(vec![Event::Rated(*id, *stars, now)]),
                Reservation { state: State::Returned, .. } => Err(Refusal::AlreadyRated),
                _ => Err(Refusal::NotReturned),
            },
            Command::TakeBack(id) => match calendar.reservation(*id)?.state {
                State::Reserved { .. } | State::Rented => Ok(vec![Event::Cancelled(*id, Cause::Payment, now)]),
                State::Returned => Ok(vec![Event::CancellationRefused(*id)]),
                State::Cancelled(_) => Ok(vec![]),
            },
            Command::Drop(id) => match calendar.reservation(*id)?.state {
                State::Reserved { .. } => Ok(vec![Event::Cancelled(*id, Cause::Payment, now)]),
                _ => Ok(vec![]),
            },
            Command::Lapse => Ok(calendar.lapsed(now).map(|id| Event::Cancelled(id, Cause::Unpaid, now)).collect()),
        }
    }

    fn evolve(calendar: Option<Calendar>, event: &Event) -> Calendar {
        let mut calendar = match (calendar, event) {
            (Some(calendar), _) => calendar,
            (None, Event::Registered(car, _) | Event::Retired(car)) => {
                Calendar { car: *car, daily_rate: None, retired: false, reservations: BTreeMap::new() }
            }
            (None, event) => unreachable!("{event:?} can't be the first event of a calendar"),
        };
        match event {
            Event::Registered(_, rate) => calendar.daily_rate = Some(*rate),
            Event::Retired(_) => calendar.retired = true,
            Event::Reserved(id, reservation) => {
                calendar.reservations.insert(*id, reservation.clone());
            }
            _ => {
                if let Some(reservation) = event.reservation().and_then(|id| calendar.reservations.get_mut(&id)) {
                    reservation.apply(event);
                }
            }
        }
        calendar
    }

    fn due_at(&self) -> Option<(Timestamp, Command)> {
        let expiries = self.reservations.values().filter_map(Reservation::expires);
        expiries.min().map(|at| (at, Command::Lapse))
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

    fn decide_reserve(&self, command: &Command, now: Timestamp) -> Result<Vec<Event>, Refusal> {
        let Command::Reserve { id, customer, period, days, currency, expected_price, pay_within } = command else {
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
        if self.open().count() >= MAX_OPEN {
            return Err(Refusal::CalendarFull);
        }
        let price = rate.times(*days).ok_or(Refusal::PriceTooHigh)?;
        if expected_price.is_some_and(|expected| expected != price) {
            return Err(Refusal::PriceChanged(price));
        }
        let reservation = Reservation {
            customer: customer.clone(),
            period: *period,
            days: *days,
            price,
            // A customer who has not paid by the end of the period did not use the car.
            state: State::Reserved { expires: (now + *pay_within).min(period.end) },
            stars: None,
            payment: None,
            created_at: now,
            updated_at: now,
            last_event: None,
        };
        Ok(vec![Event::Reserved(*id, reservation)])
    }

    fn decide_cancel(&self, id: ReservationId, now: Timestamp) -> Result<Vec<Event>, Refusal> {
        match self.reservation(id)?.state {
            State::Reserved { .. } => Ok(vec![Event::Cancelled(id, Cause::Customer, now)]),
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
            Event::Cancelled(_, cause, now) => (self.state, self.updated_at) = (State::Cancelled(*cause), *now),
            Event::Rented(_, payment, now) => {
                (self.state, self.updated_at) = (State::Rented, *now);
                self.payment = Some(*payment);
            }
            Event::Returned(_, now) => (self.state, self.updated_at) = (State::Returned, *now),
            Event::Rated(_, stars, now) => (self.stars, self.updated_at) = (Some(*stars), *now),
            Event::Registered(..)
            | Event::Retired(_)
            | Event::Reserved(..)
            | Event::RentRefused(_)
            | Event::CancellationRefused(_) => {}
        }
    }
}

impl Event {
    /// The reservation that the event is about.
    pub fn reservation(&self) -> Option<ReservationId> {
        match self {
            Event::Registered(..) | Event::Retired(_) => None,
            Event::Reserved(id, _)
            | Event::Cancelled(id, ..)
            | Event::Rented(id, ..)
            | Event::RentRefused(id)
            | Event::Returned(id, _)
            | Event::Rated(id, ..)
            | Event::CancellationRefused(id) => Some(*id),
        }
    }
}

impl Command {
    /// The reservation that the command is about.
    pub fn reservation(&self) -> Option<ReservationId> {
        match self {
            Command::Register(..) | Command::Retire(_) | Command::Lapse => None,
            Command::Reserve { id, .. }
            | Command::Cancel(id)
            | Command::Rent(id, _)
            | Command::Return(id)
            | Command::Rate(id, _)
            | Command::TakeBack(id)
            | Command::Drop(id) => Some(*id),
        }
    }
}
