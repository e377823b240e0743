//! Cars reserved for a period, paid for, rented, returned and rated. The core of the car rental line.
//!
//! The rules are in [`domain`], the reactions to other contexts' events in [`policy`]. It copies what it needs of the
//! cars from `fleet`'s events, so customers can reserve while `fleet` is down.

pub mod domain;
pub mod policy;
mod service;
mod store;

use std::sync::Arc;
use std::time::Duration;

use chassis::values::{Currency, Money};
use chassis::{Context, Host, Personal, StartError, timers};
use contracts::rental::v1::rental_service_server::RentalServiceServer;
use jiff::tz::TimeZone;
use serde::Deserialize;

use crate::domain::{Calendar, Region, Terms};

/// The context.
pub const CONTEXT: Context = Context {
    name: "rental",
    about: "reservations, rentals and ratings of cars",
    migrations: chassis::migrations!(),
    calls: &["payment"],
    personal: &[
        Personal::details("reservations", "customer", &["intervention_reason"], &[], &[]),
        Personal::subject("reservations", "intervened_by"),
        Personal::subject("reservations", "owner"),
        Personal::subject("calendars", "owner"),
    ],
    start,
};

/// `[rental]` in the configuration: the country and region that it rents cars out in.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The country, two letters of ISO 3166-1.
    pub country: String,
    /// The currency of the prices, three letters of ISO 4217.
    pub currency: Currency,
    /// The time zone that decides what a day is, by its IANA name.
    pub time_zone: String,
    /// How long a reservation waits for its payment, in minutes.
    pub pay_within_minutes: u64,
    /// The longest period, in days that are paid for.
    pub longest_days: u32,
    /// How far in the future a period may end, in days.
    pub horizon_days: u64,
    /// How many reservations one customer may have that are not paid.
    pub unpaid_reservations: usize,
    /// A paid rental is cancelled at no cost until so many hours before its period.
    pub free_cancellation_hours: u64,
    /// The share of the price that is kept of a cancellation after that, in percent.
    pub cancellation_fee_percent: u32,
    /// The fee for each hour begun that a car comes back late, in the minor unit of the currency.
    pub late_fee_per_hour: i64,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            country: "KR".to_owned(),
            currency: Currency::WON,
            time_zone: "Asia/Seoul".to_owned(),
            pay_within_minutes: 24 * 60,
            longest_days: 90,
            horizon_days: 730,
            unpaid_reservations: 5,
            free_cancellation_hours: 12,
            cancellation_fee_percent: 50,
            late_fee_per_hour: 10_000,
        }
    }
}

impl Settings {
    fn region(&self) -> Result<Region, String> {
        let days = |days: u64| Duration::from_secs(days.saturating_mul(86_400));
        let is_country = self.country.len() == 2 && self.country.bytes().all(|letter| letter.is_ascii_uppercase());
        if !is_country {
            return Err(format!("country {:?} must be two letters such as KR", self.country));
        }
        Ok(Region {
            country: self.country.clone(),
            currency: self.currency,
            zone: TimeZone::get(&self.time_zone)
                .map_err(|_| format!("time_zone {:?} must be an IANA name such as Asia/Seoul", self.time_zone))?,
            pay_within: Duration::from_secs(self.pay_within_minutes.saturating_mul(60)),
            longest_days: self.longest_days,
            horizon: days(self.horizon_days),
            unpaid_reservations: self.unpaid_reservations,
            terms: Terms {
                free_until: Duration::from_secs(self.free_cancellation_hours.saturating_mul(3_600)),
                kept_percent: self.cancellation_fee_percent,
                late_fee: Money { minor: self.late_fee_per_hour, currency: self.currency },
            },
        })
    }
}

fn start(host: &mut Host) -> Result<(), StartError> {
    let settings: Settings = host.settings()?;
    // Upper bounds: a year for waits, ten years for plans.
    host.within("pay_within_minutes", settings.pay_within_minutes, 1..=525_600)?;
    host.within("longest_days", settings.longest_days, 1..=3_650)?;
    host.within("horizon_days", settings.horizon_days, 1..=3_650)?;
    host.within("unpaid_reservations", settings.unpaid_reservations, 1..=1_000)?;
    host.within("free_cancellation_hours", settings.free_cancellation_hours, 0..=8_760)?;
    host.within("cancellation_fee_percent", settings.cancellation_fee_percent, 0..=100)?;
    host.within("late_fee_per_hour", settings.late_fee_per_hour, 0..=Money::MAX_MINOR)?;
    let region = settings.region().map_err(|cause| host.bad_settings(cause))?;
    let writer = host.writer::<Calendar>();
    host.react(policy::policy(region.terms), &writer);
    host.on_due::<Calendar>(timers::by_writer(&writer));
    let service = service::Service {
        loader: host.loader(|tx, ids| Box::pin(store::read(tx, ids))),
        database: host.database().clone(),
        payment: host.peer("payment"),
        runtime: host.runtime().clone(),
        region: Arc::new(region),
        writer,
    };
    host.serve(RentalServiceServer::new(service).max_decoding_message_size(chassis::MAX_MESSAGE_BYTES));
    Ok(())
}
