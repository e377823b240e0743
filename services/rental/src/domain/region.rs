//! The region in which cars are rented out: its time, how long a period may be, and what it costs to keep to none.

use std::time::Duration;

use chassis::Timestamp;
use chassis::values::{Currency, Money, Period};
use jiff::tz::TimeZone;

use super::Reservation;

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
    /// How many unpaid reservations one customer may have.
    pub unpaid_reservations: usize,
    /// What a cancellation and a late return cost.
    pub terms: Terms,
}

/// What a cancellation and a late return cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// A paid rental is cancelled at no cost until so long before its period.
    pub free_until: Duration,
    /// The share of the price that is kept after that, in percent.
    pub kept_percent: u32,
    /// The fee for each hour begun after the period.
    pub late_fee: Money,
}

impl Terms {
    /// What is kept of the price of a rental that is cancelled now, before its period.
    pub(super) fn kept(&self, reservation: &Reservation, now: Timestamp) -> Option<Money> {
        if now + self.free_until <= reservation.period.start {
            return None;
        }
        let minor = reservation.price.minor * i64::from(self.kept_percent) / 100;
        (minor > 0).then_some(Money { minor, ..reservation.price })
    }

    /// The fee for a car that comes back now.
    pub(super) fn late_fee(&self, reservation: &Reservation, now: Timestamp) -> Option<Money> {
        let late = now.since(reservation.period.end);
        let hours = late.as_secs().div_ceil(3_600).max(u64::from(!late.is_zero()));
        let fee = self.late_fee.times(u32::try_from(hours).unwrap_or(u32::MAX));
        let fee = fee.unwrap_or(Money { minor: Money::MAX_MINOR, ..self.late_fee });
        (fee.minor > 0).then_some(fee)
    }
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
