//! Bikes: their places, their riders, and whether they can be rented.
//!
//! The rules are in [`domain`], the reactions to other contexts' events in [`policy`]. `ride` takes a bike by a call
//! and gives it back by an event. `upkeep` reports inspections.

pub mod domain;
pub mod policy;
mod service;
mod store;

use chassis::{Context, Host, Personal, StartError};
use contracts::bike::v1::bike_service_server::BikeServiceServer;

use crate::domain::Bike;

/// The context.
pub const CONTEXT: Context = Context {
    name: "bike",
    about: "bikes: status, place, battery",
    migrations: chassis::migrations!(),
    calls: &[],
    personal: &[Personal::subject("takings", "customer"), Personal::subject("bikes", "owner")],
    start,
};

fn start(host: &mut Host) -> Result<(), StartError> {
    let writer = host.writer::<Bike>();
    host.react(policy::policy(), &writer);
    let loader = host.loader_of::<Bike>();
    let service =
        service::Service { writer, loader, database: host.database().clone(), runtime: host.runtime().clone() };
    host.serve(BikeServiceServer::new(service).max_decoding_message_size(chassis::MAX_MESSAGE_BYTES));
    Ok(())
}
