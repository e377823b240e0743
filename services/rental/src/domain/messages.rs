//! What a calendar is asked, what happened to it, and why it refuses.

use std::time::Duration;

use chassis::Timestamp;
use chassis::error::RefusalCode;
use chassis::values::{Currency, Intervention, Money, Period};

use super::{CarId, CarName, Cause, MAX_OPEN, PaymentId, Reservation, ReservationId, Terms};

/// Commands of a calendar.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// The company has a new car.
    Register {
        /// The car.
        car: CarId,
        /// The price of a day.
        rate: Money,
        /// What people call it.
        name: CarName,
        /// Its owner.
        owner: String,
    },
    /// The car has another owner.
    Transfer(CarId, String),
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
        /// The IANA name of the time zone of the region.
        time_zone: String,
        /// How many unpaid reservations the customer may have.
        unpaid: usize,
    },
    /// The customer cancels the reservation, or staff do in their place.
    Cancel(ReservationId, Option<Intervention>),
    /// It was paid.
    Rent(ReservationId, PaymentId),
    /// The car is back; the customer says so, or staff in their place.
    Return(ReservationId, Option<Intervention>, Terms),
    /// The late fee was paid.
    PayLateFee(ReservationId),
    /// The customer rates the rental with stars.
    Rate(ReservationId, u8),
    /// The customer wants the money back.
    TakeBack(ReservationId, Terms),
    /// The customer cancelled the payment before paying.
    Drop(ReservationId),
    /// The timer is due: cancel the reservations that were not paid in time, note the rentals that are overdue, and
    /// cancel the reservations that begin without their car.
    Lapse,
}

/// Events of a calendar.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The car was registered.
    Registered(CarId, Money, CarName, String),
    /// The car has another owner.
    Transferred(String),
    /// So has an open reservation of it.
    HandedOver(ReservationId, String),
    /// The car is no longer rented out.
    Retired(CarId),
    /// The car is reserved for a customer.
    Reserved(ReservationId, Box<Reservation>),
    /// Staff act in the customer's place: what they did follows.
    Intervened(ReservationId, Intervention),
    /// The period is free again; so much of a paid price is kept.
    Cancelled(ReservationId, Cause, Option<Money>, Timestamp),
    /// The period is over, and the car is not back.
    Overdue(ReservationId, Timestamp),
    /// The car of a reservation that begins soon is not back.
    Delayed(ReservationId),
    /// The car is the customer's.
    Rented(ReservationId, PaymentId, Timestamp),
    /// It was paid after it was cancelled: the money goes back.
    RentRefused(ReservationId),
    /// The car is back.
    Returned(ReservationId, Timestamp),
    /// It came late, which costs so much.
    LateFeeCharged(ReservationId, Money, Timestamp),
    /// The late fee was paid.
    LateFeePaid(ReservationId, Timestamp),
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
    #[error("you have reservations that are not paid, as many as one customer may have: pay or cancel one first")]
    TooManyReservations,
    #[error("you owe a fee for a late return: pay it through `payment`, then reserve")]
    LateFeeOwed,
    #[error("the customer before has not brought the car back")]
    CarOverdue,
    #[error("the period has not begun: cancel the payment, which takes the rental back")]
    NotBegun,
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
            Refusal::TooManyReservations => "TOO_MANY_RESERVATIONS",
            Refusal::LateFeeOwed => "LATE_FEE_OWED",
            Refusal::CarOverdue => "CAR_OVERDUE",
            Refusal::NotBegun => "NOT_BEGUN",
        }
    }
}

impl Event {
    /// The reservation that the event is about.
    pub fn reservation(&self) -> Option<ReservationId> {
        match self {
            Event::Registered(..) | Event::Transferred(_) | Event::Retired(_) => None,
            Event::Reserved(id, _)
            | Event::HandedOver(id, _)
            | Event::Intervened(id, _)
            | Event::Overdue(id, _)
            | Event::Delayed(id)
            | Event::LateFeeCharged(id, ..)
            | Event::LateFeePaid(id, _)
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
            Command::Register { .. } | Command::Transfer(..) | Command::Retire(_) | Command::Lapse => None,
            Command::Reserve { id, .. }
            | Command::Cancel(id, _)
            | Command::Rent(id, _)
            | Command::Return(id, ..)
            | Command::PayLateFee(id)
            | Command::Rate(id, _)
            | Command::TakeBack(id, _)
            | Command::Drop(id) => Some(*id),
        }
    }
}
