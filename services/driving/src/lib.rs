//! Drives of taxis: offered to drivers, accepted by one, started, finished, and paid for. The core of the taxi line.
//!
//! The rules are in [`domain`] and [`shift`], the reactions to other contexts' events in [`policy`], how a fare is charged in
//! `collection`. With `dispatch` down drives can still be accepted, with `payment` down they can still be finished.

mod collection;
pub mod domain;
pub mod policy;
mod service;
pub mod shift;
mod store;

use std::sync::Arc;
use std::time::Duration;

use chassis::values::{Currency, Money};
use chassis::{Context, Host, Personal, StartError};
use contracts::driving::v1::driving_service_server::DrivingServiceServer;
use serde::Deserialize;

use crate::collection::Collection;
use crate::domain::{Command, Drive, Limits, Tariff};
use crate::shift::{Shift, shift_of};

/// The context.
pub const CONTEXT: Context = Context {
    name: "driving",
    about: "drives of taxis: offered, accepted, started, finished, their fares",
    migrations: chassis::migrations!(),
    calls: &["payment"],
    personal: &[
        Personal::details(
            "drives",
            "customer",
            &["pickup", "destination", "payment_method", "start_code", "intervention_reason"],
            &["destination_latitude", "destination_longitude"],
            &["latitude", "longitude"],
        ),
        Personal::subject("drives", "driver"),
        Personal::subject("drives", "intervened_by"),
        Personal::key("shifts", "id", |driver| shift_of(driver).uuid()),
        Personal::subject("shifts", "driver"),
        Personal::subject("declined", "driver"),
    ],
    start,
};

/// `[driving]` in the configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The currency of the fares, three letters of ISO 4217.
    pub currency: Currency,
    /// What a minute costs, in the currency's minor unit.
    pub fare_per_minute: i64,
    /// How long a drive is offered before it lapses, in seconds.
    pub offered_seconds: u64,
    /// How long after its acceptance a drive that has not started is overdue, in seconds.
    pub accepted_seconds: u64,
    /// How long after its start a drive that is not finished is overdue, in seconds.
    pub started_seconds: u64,
    /// How long after the acceptance a driver may say that the customer did not come, in seconds.
    pub no_show_seconds: u64,
    /// Attempts to charge a fare, with growing pauses of up to 5 minutes, before it is given up: by default about a
    /// day.
    pub charge_attempts: u32,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            currency: Currency::WON,
            fare_per_minute: 1_000,
            offered_seconds: 1_800,
            accepted_seconds: 3_600,
            started_seconds: 10_800,
            no_show_seconds: 600,
            charge_attempts: 300,
        }
    }
}

fn start(host: &mut Host) -> Result<(), StartError> {
    let settings: Settings = host.settings()?;
    host.within("fare_per_minute", settings.fare_per_minute, 1..=Money::MAX_MINOR)?;
    host.within("offered_seconds", settings.offered_seconds, 1..=86_400)?;
    host.within("accepted_seconds", settings.accepted_seconds, 1..=604_800)?;
    host.within("started_seconds", settings.started_seconds, 1..=604_800)?;
    host.within("no_show_seconds", settings.no_show_seconds, 0..=86_400)?;
    host.within("charge_attempts", settings.charge_attempts, 1..=10_000)?;
    let per_minute = Money { minor: settings.fare_per_minute, currency: settings.currency };
    let tariff = Tariff { per_minute };
    let writer = host.writer::<Drive>();
    let limits = Limits {
        offered: Duration::from_secs(settings.offered_seconds),
        accepted: Duration::from_secs(settings.accepted_seconds),
        started: Duration::from_secs(settings.started_seconds),
        no_show: Duration::from_secs(settings.no_show_seconds),
    };
    host.react(policy::policy(limits), &writer);
    let loader = host.loader_of::<Drive>();
    let (payment, attempts) = (host.peer("payment"), settings.charge_attempts);
    let collection = Collection { writer: writer.clone(), loader: loader.clone(), payment, attempts };
    let (due, by_writer) = (collection.clone(), chassis::timers::by_writer(&writer));
    host.on_due::<Drive>(Arc::new(move |id, command| match command {
        Command::Collect => {
            let collection = due.clone();
            Box::pin(async move { collection.collect(id).await })
        }
        command => by_writer(id, command),
    }));
    let (shift_writer, shifts) = (host.writer::<Shift>(), host.loader_of::<Shift>());
    let (database, runtime) = (host.database().clone(), host.runtime().clone());
    let service =
        service::Service { writer, loader, database, collection, shift_writer, shifts, runtime, tariff, limits };
    host.serve(DrivingServiceServer::new(service).max_decoding_message_size(chassis::MAX_MESSAGE_BYTES));
    Ok(())
}
