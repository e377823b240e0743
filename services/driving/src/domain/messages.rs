//! What a drive is asked, what happened to it, and why it refuses.

use std::time::Duration;

use chassis::Timestamp;
use chassis::error::RefusalCode;
use chassis::values::{Currency, Intervention, Money};

use super::{By, Cause, HailId, Limits, MAX_DECLINED, MAX_WRONG_CODES, PaymentId, Tariff, Trip};

/// Commands of a drive.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// A customer hailed a taxi.
    Offer {
        /// The hail.
        hail: HailId,
        /// The customer's trip.
        trip: Trip,
        /// For how long drivers may accept it.
        open_for: Duration,
    },
    /// The customer cancelled the hail.
    CallOff(HailId),
    /// The timer is due: end the offer if nobody accepted it in time.
    Lapse,
    /// A driver accepts it.
    Accept(String, Limits),
    /// A driver declines it.
    Decline(String),
    /// The driver won't come: offer it to others.
    Release(By, Limits),
    /// The customer did not come, or staff end it.
    Cancel(By, Limits),
    /// The customer boarded, and told the driver this code.
    Start(By, String, Limits),
    /// The driver has brought the customer there.
    Finish {
        /// Who says so.
        by: By,
        /// What it costs.
        tariff: Tariff,
        /// The fare that staff set.
        fare: Option<Money>,
    },
    /// The fare was paid.
    Paid(PaymentId),
    /// The card was declined.
    Refused,
    /// The fare could not be charged.
    Postpone {
        /// The attempt, counted from 0: two that ran at the same time count as one.
        attempt: u32,
        /// Attempts before it is given up.
        attempts: u32,
    },
    /// Try to charge a fare again that was given up.
    Retry,
    /// The timer is due: charge the fare. Decides nothing: `payment` is called first.
    Collect,
}

/// Events of a drive.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Drivers may accept it, until the second time.
    Offered(HailId, Trip, Timestamp, Timestamp),
    /// The cancellation arrived before the hail.
    Barred(HailId, Timestamp),
    /// Staff act in the driver's place: what they did follows.
    Intervened(Intervention),
    /// A driver accepted it; it is overdue from the second time on.
    Accepted(String, Timestamp, Timestamp),
    /// A driver declines it.
    Declined(String),
    /// This driver won't come; others may accept it, until the second time.
    Released(String, Timestamp, Timestamp),
    /// The driver gave a wrong start code.
    CodeRefused,
    /// The customer boarded; it is overdue from the second time on.
    Started(Timestamp, Timestamp),
    /// The customer has arrived: it costs this; from the second time on the timer charges it.
    Finished(Money, Timestamp, Timestamp),
    /// It was cancelled.
    Cancelled(Cause, Timestamp),
    /// The customer cancelled too late.
    CancellationRefused,
    /// No driver accepted it in time.
    Lapsed(Timestamp),
    /// The fare was paid.
    FarePaid(PaymentId, Timestamp),
    /// A fare that the customer owed was paid.
    ArrearsPaid(PaymentId, Timestamp),
    /// The card was declined.
    FareRefused(Timestamp),
    /// The next attempt to charge the fare is due at this time.
    FarePostponed(Timestamp),
    /// There are no more attempts to charge the fare.
    FareUncollected(Timestamp),
    /// The fare is charged again, from this time on.
    FareReopened(Timestamp),
}

/// Why a command of a drive is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum Refusal {
    #[error("there is no such drive")]
    NoSuchDrive,
    #[error("a driver has taken it already")]
    DriveTaken,
    #[error("the customer is the driver: nobody drives themselves")]
    OwnHail,
    #[error("you have another drive: finish or release it first")]
    AlreadyDriving,
    #[error("the customer may still come: a no-show is some minutes after the acceptance")]
    CustomerMayCome(Duration),
    #[error("{MAX_WRONG_CODES} start codes were wrong: staff can start the drive, or release it")]
    TooManyStartCodes,
    #[error("the drive has started")]
    DriveStarted,
    #[error("the fare must be in {0}, the currency of the tariff")]
    OtherCurrency(Currency),
    #[error("nobody has accepted it yet")]
    DriveNotAccepted,
    #[error("the drive was cancelled")]
    DriveCancelled,
    #[error("no driver took it in time, so it is no longer offered")]
    DriveLapsed,
    #[error("the drive has not started yet")]
    DriveNotStarted,
    #[error("the drive is not finished, so it has no fare yet")]
    DriveNotFinished,
    #[error("the drive is finished already")]
    DriveFinished,
    #[error("{MAX_DECLINED} drivers have declined it, which is the most that are noted")]
    TooManyDeclined,
}

impl chassis::Refusal for Refusal {
    fn code(&self) -> RefusalCode {
        match self {
            Refusal::NoSuchDrive => RefusalCode::NotFound,
            Refusal::OtherCurrency(_) => RefusalCode::Invalid,
            _ => RefusalCode::Precondition,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Refusal::NoSuchDrive => "DRIVE_NOT_FOUND",
            Refusal::DriveTaken => "DRIVE_TAKEN",
            Refusal::OwnHail => "OWN_HAIL",
            Refusal::AlreadyDriving => "ALREADY_DRIVING",
            Refusal::CustomerMayCome(_) => "CUSTOMER_MAY_COME",
            Refusal::TooManyStartCodes => "TOO_MANY_START_CODES",
            Refusal::DriveStarted => "DRIVE_STARTED",
            Refusal::OtherCurrency(_) => "OTHER_CURRENCY",
            Refusal::DriveNotAccepted => "DRIVE_NOT_ACCEPTED",
            Refusal::DriveCancelled => "DRIVE_CANCELLED",
            Refusal::DriveLapsed => "DRIVE_LAPSED",
            Refusal::DriveNotStarted => "DRIVE_NOT_STARTED",
            Refusal::DriveNotFinished => "DRIVE_NOT_FINISHED",
            Refusal::DriveFinished => "DRIVE_FINISHED",
            Refusal::TooManyDeclined => "TOO_MANY_DECLINED",
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        if let Refusal::CustomerMayCome(wait) = self { Some(*wait) } else { None }
    }
}

impl Event {
    pub(super) fn time(&self) -> Option<Timestamp> {
        match self {
            Event::Offered(_, _, now, _)
            | Event::Barred(_, now)
            | Event::Accepted(_, now, _)
            | Event::Released(_, now, _)
            | Event::Started(now, _)
            | Event::Finished(_, now, _)
            | Event::Cancelled(_, now)
            | Event::ArrearsPaid(_, now)
            | Event::Lapsed(now)
            | Event::FarePaid(_, now)
            | Event::FareRefused(now)
            | Event::FareUncollected(now) => Some(*now),
            Event::Intervened(_)
            | Event::Declined(_)
            | Event::CodeRefused
            | Event::CancellationRefused
            | Event::FarePostponed(_)
            | Event::FareReopened(_) => None,
        }
    }
}
