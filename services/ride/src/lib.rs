//! Rides with bikes, from rent to return. The core of the bike line.
//!
//! The rules are in [`domain`], the reactions to other contexts' events in [`policy`]. Only `bike` knows whether a bike
//! is free: it is called before a ride starts. A return calls no other context, so it works while all of them are down.

pub mod domain;
pub mod policy;
mod service;
mod store;

use std::time::Duration;

use chassis::{Context, Host, Personal, StartError, timers};
use contracts::ride::v1::ride_service_server::RideServiceServer;
use serde::Deserialize;

use crate::domain::Rider;

/// The context.
pub const CONTEXT: Context = Context {
    name: "ride",
    about: "rides with bikes: rent and return",
    migrations: chassis::migrations!(),
    calls: &["bike"],
    personal: &[
        Personal::key("riders", "id", |customer| domain::rider_of(customer).uuid()),
        Personal::derived("rides", "rider", |customer| domain::rider_of(customer).uuid()),
        Personal::derived("bills", "rider", |customer| domain::rider_of(customer).uuid()),
        Personal::subject("riders", "customer"),
        Personal::details("rides", "customer", &["intervention_reason"], &[], &[]),
        Personal::subject("rides", "intervened_by"),
    ],
    start,
};

/// `[ride]` in the configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// How many bikes one customer may ride at once: families rent together.
    pub bikes_at_once: usize,
    /// After so many minutes a ride that was not ended is overdue: staff look after it.
    pub overdue_minutes: u64,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { bikes_at_once: 5, overdue_minutes: 24 * 60 }
    }
}

fn start(host: &mut Host) -> Result<(), StartError> {
    let settings: Settings = host.settings()?;
    let at_once = host.within("bikes_at_once", settings.bikes_at_once, 1..=100)?;
    host.within("overdue_minutes", settings.overdue_minutes, 0..=525_600)?;
    let overdue_after = Duration::from_secs(settings.overdue_minutes * 60);
    let writer = host.writer::<Rider>();
    host.react(policy::policy(), &writer);
    host.on_due::<Rider>(timers::by_writer(&writer));
    let riders = host.loader_of::<Rider>();
    let rides = host.loader(|tx, ids| Box::pin(store::read(tx, ids)));
    let (database, runtime, bike) = (host.database().clone(), host.runtime().clone(), host.peer("bike"));
    let service = service::Service { writer, riders, rides, database, bike, runtime, at_once, overdue_after };
    host.serve(RideServiceServer::new(service).max_decoding_message_size(chassis::MAX_MESSAGE_BYTES));
    Ok(())
}
