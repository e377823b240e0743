//! The cars that the company rents out: registered, looked up, removed. Their status follows `rental`'s events.
//!
//! The rules are in [`domain`], the reactions to other contexts' events in [`policy`].

pub mod domain;
pub mod policy;
mod service;
mod store;

use chassis::{Context, Host, Personal, StartError};
use contracts::fleet::v1::fleet_service_server::FleetServiceServer;

use crate::domain::Car;

/// The context.
pub const CONTEXT: Context = Context {
    name: "fleet",
    about: "cars: registration, status, price, average stars",
    migrations: chassis::migrations!(),
    calls: &["rental"],
    personal: &[Personal::subject("cars", "owner")],
    start,
};

fn start(host: &mut Host) -> Result<(), StartError> {
    let writer = host.writer::<Car>();
    host.react(policy::policy(), &writer);
    let loader = host.loader(|tx, ids| Box::pin(store::read(tx, ids)));
    let (database, runtime) = (host.database().clone(), host.runtime().clone());
    let service = service::Service { writer, loader, database, rental: host.peer("rental"), runtime };
    host.serve(FleetServiceServer::new(service).max_decoding_message_size(chassis::MAX_MESSAGE_BYTES));
    Ok(())
}
