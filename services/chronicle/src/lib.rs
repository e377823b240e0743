//! The chronicle: every event, in the order of arrival.
//!
//! It is a projection of all events that is never cleared ([`projection`]): other projections are rebuilt from it, and
//! people read the events of a flow in it, without the secrets of customers. Its table is in `store`, the order of a flow's
//! events in `causality`, the gRPC service in `service`.
//!
//! Events are kept forever, unless `retention_days` is set. What was removed is missing in projections that are rebuilt
//! after that. Positions are never used again, so readers go on after the last one that they got.

mod causality;
pub mod projection;
mod service;
mod store;

use std::time::Duration;

use chassis::{Context, Host, Personal, StartError};
use contracts::chronicle::v1::chronicle_service_server::ChronicleServiceServer;
use serde::Deserialize;

use crate::projection::Chronicle;

/// The context.
pub const CONTEXT: Context = Context {
    name: "chronicle",
    about: "every event that happened: the story of each flow, the source of every view",
    migrations: chassis::migrations!(),
    calls: &[],
    personal: &[Personal::events("events", "position")],
    start,
};

/// `[chronicle]` in the configuration.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// How long events are kept, in days; forever if it is not set.
    pub retention_days: Option<i64>,
}

/// How long events wait for others: nobody but readers of past events waits for them.
const GATHER: Duration = Duration::from_millis(20);

/// Starts the context.
pub fn start(host: &mut Host) -> Result<(), StartError> {
    let Settings { retention_days } = host.settings()?;
    host.prune("pruning of events", retention_days, |tx, before, limit| Box::pin(store::prune(tx, before, limit)))?;
    host.gather(GATHER);
    // It can't be rebuilt from a history: it is the history.
    host.projection::<Chronicle>(None);
    let service = service::Service::new(host.database().clone(), host.tasks().clone(), host.sealing());
    host.serve(ChronicleServiceServer::new(service).max_decoding_message_size(chassis::MAX_MESSAGE_BYTES));
    Ok(())
}
