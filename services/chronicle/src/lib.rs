//! The chronicle: every event, in the order of arrival.
//!
//! It is a projection of all events that is never cleared ([`projection`]): other projections are rebuilt from it, and
//! people read the events of a flow in it. Its table is in `store`, the order of a flow's events in `causality`, the gRPC
//! service in `service`.

mod causality;
pub mod projection;
mod service;
mod store;

use chassis::{Context, Host, StartError};
use contracts::chronicle::v1::chronicle_service_server::ChronicleServiceServer;

use crate::projection::Chronicle;

/// The context.
pub const CONTEXT: Context = Context {
    name: "chronicle",
    about: "every event that happened: the story of each flow, the source of every view",
    migrations: chassis::migrations!(),
    calls: &[],
    start,
};

/// Starts the context.
pub fn start(host: &mut Host) -> Result<(), StartError> {
    // It can't be rebuilt from a history: it is the history.
    host.projection::<Chronicle>(None);
    let service = service::Service::new(host.database().clone(), host.tasks().clone());
    host.serve(ChronicleServiceServer::new(service).max_decoding_message_size(chassis::MAX_MESSAGE_BYTES));
    Ok(())
}
