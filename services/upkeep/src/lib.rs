//! The upkeep of bikes: managers, their reports and points. A report counts once the bike has applied it.
//!
//! The rules are in [`domain`], the reactions to other contexts' events in [`policy`].

pub mod domain;
pub mod policy;
mod service;
mod store;

use chassis::{Context, Host, Personal, StartError};
use contracts::upkeep::v1::upkeep_service_server::UpkeepServiceServer;
use serde::Deserialize;

use crate::domain::Manager;

/// The context.
pub const CONTEXT: Context = Context {
    name: "upkeep",
    about: "managers of bikes: their reports, and the points that those earned",
    migrations: chassis::migrations!(),
    calls: &["bike"],
    personal: &[
        Personal::key("managers", "id", |subject| domain::manager_of(subject).uuid()),
        Personal::derived("reports", "manager", |subject| domain::manager_of(subject).uuid()),
        Personal::subject("managers", "subject"),
        Personal::subject("reports", "subject"),
    ],
    start,
};

/// `[upkeep]` in the configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Points that a report earns.
    pub points_per_report: i64,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { points_per_report: 1_000 }
    }
}

fn start(host: &mut Host) -> Result<(), StartError> {
    let settings: Settings = host.settings()?;
    let points = host.within("points_per_report", settings.points_per_report, 1..=1_000_000)?;
    let writer = host.writer::<Manager>();
    host.react(policy::policy(points), &writer);
    let loader = host.loader_of::<Manager>();
    let (database, runtime) = (host.database().clone(), host.runtime().clone());
    let service = service::Service { writer, loader, database, bike: host.peer("bike"), runtime, points };
    host.serve(UpkeepServiceServer::new(service).max_decoding_message_size(chassis::MAX_MESSAGE_BYTES));
    Ok(())
}
