//! Stays reserved at a resort, paid for, cancelled, completed. The core of the resort line.
//!
//! The rules are in [`domain`], the reactions to other contexts' events in [`policy`]. Only `resort` knows whether the
//! nights are free: it is called before there is a reservation.

pub mod domain;
pub mod policy;
mod service;
mod store;

use std::time::Duration;

use chassis::{Context, Host, Personal, StartError, timers};
use contracts::stay::v1::stay_service_server::StayServiceServer;
use serde::Deserialize;

use crate::domain::{Stay, Terms};

/// The context.
pub const CONTEXT: Context = Context {
    name: "stay",
    about: "reservations of stays: paid, cancelled, completed",
    migrations: chassis::migrations!(),
    calls: &["resort"],
    personal: &[
        Personal::details("stays", "customer", &["intervention_reason"], &[], &[]),
        Personal::subject("stays", "intervened_by"),
    ],
    start,
};

/// `[stay]` in the configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// How long a reservation waits for its payment, in seconds; at most until the end of the day of arrival.
    pub pay_within_seconds: u64,
    /// How long before its start a paid stay can be cancelled at the latest, in hours.
    pub cancel_until_hours: u64,
    /// How many stays one customer may have that are not paid.
    pub unpaid_stays: usize,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { pay_within_seconds: 1_800, cancel_until_hours: 24, unpaid_stays: 5 }
    }
}

fn start(host: &mut Host) -> Result<(), StartError> {
    let settings: Settings = host.settings()?;
    // Upper bound: a year, which no time arithmetic overflows.
    host.within("pay_within_seconds", settings.pay_within_seconds, 1..=31_536_000)?;
    host.within("cancel_until_hours", settings.cancel_until_hours, 0..=8_760)?;
    let terms = Terms {
        pay_within: Duration::from_secs(settings.pay_within_seconds),
        cancel_until: Duration::from_secs(settings.cancel_until_hours * 3_600),
        unpaid: host.within("unpaid_stays", settings.unpaid_stays, 1..=1_000)?,
    };
    let writer = host.writer::<Stay>();
    host.react(policy::policy(), &writer);
    host.on_due::<Stay>(timers::by_writer(&writer));
    let loader = host.loader_of::<Stay>();
    let (database, runtime, resort) = (host.database().clone(), host.runtime().clone(), host.peer("resort"));
    let service = service::Service { writer, loader, database, resort, runtime, terms };
    host.serve(StayServiceServer::new(service).max_decoding_message_size(chassis::MAX_MESSAGE_BYTES));
    Ok(())
}
