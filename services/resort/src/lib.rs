//! Resorts that are let by the night, and which of their nights are taken. Supports the resort line.
//!
//! The rules are in [`domain`], the reactions to other contexts' events in [`policy`]. `stay` calls `resort` before it
//! makes a reservation, because the resort keeps the rule that a night is sold once.

pub mod domain;
pub mod policy;
mod service;
mod store;

use std::time::Duration;

use chassis::{Context, Host, Personal, StartError, timers};
use contracts::resort::v1::resort_service_server::ResortServiceServer;
use jiff::tz::TimeZone;
use serde::Deserialize;

use crate::domain::{Limits, Resort};

/// The context.
pub const CONTEXT: Context = Context {
    name: "resort",
    about: "resorts: what they offer, which of their nights are held, reserved, booked",
    migrations: chassis::migrations!(),
    calls: &[],
    personal: &[Personal::subject("holds", "customer"), Personal::subject("resorts", "owner")],
    start,
};

/// `[resort]` in the configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The time zone of resorts that give none, by its IANA name.
    pub time_zone: String,
    /// How long dates are held for a reservation in progress, in seconds.
    pub hold_seconds: u64,
    /// The longest stay, in nights.
    pub longest_nights: u32,
    /// How far in the future a stay may end, in days.
    pub horizon_days: u32,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { time_zone: "Asia/Seoul".to_owned(), hold_seconds: 120, longest_nights: 30, horizon_days: 730 }
    }
}

fn start(host: &mut Host) -> Result<(), StartError> {
    let settings: Settings = host.settings()?;
    let zone = TimeZone::get(&settings.time_zone).map_err(|_| {
        host.bad_settings(format!("time_zone {:?} must be an IANA name such as Asia/Seoul", settings.time_zone))
    })?;
    host.within("hold_seconds", settings.hold_seconds, 1..=86_400)?;
    host.within("longest_nights", settings.longest_nights, 1..=3_650)?;
    host.within("horizon_days", settings.horizon_days, 1..=3_650)?;
    let hold_for = Duration::from_secs(settings.hold_seconds);
    let limits = Limits { hold_for, longest_nights: settings.longest_nights, horizon_days: settings.horizon_days };
    let writer = host.writer::<Resort>();
    host.react(policy::policy(), &writer);
    host.on_due::<Resort>(timers::by_writer(&writer));
    let loader = host.loader_of::<Resort>();
    let (database, runtime) = (host.database().clone(), host.runtime().clone());
    let service = service::Service { writer, loader, database, runtime, zone, limits };
    host.serve(ResortServiceServer::new(service).max_decoding_message_size(chassis::MAX_MESSAGE_BYTES));
    Ok(())
}
