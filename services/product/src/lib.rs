//! Products that the company sells, and their stock. Supports the order line.
//!
//! The rules are in [`domain`], the reactions to orders' events in [`policy`]. No context waits for `product`: `order`
//! accepts orders while it is down, and learns from its events whether there was stock.

pub mod domain;
pub mod policy;
mod service;
mod store;

use chassis::{Context, Host, Personal, StartError};
use contracts::product::v1::product_service_server::ProductServiceServer;

use crate::domain::Product;

/// The context.
pub const CONTEXT: Context = Context {
    name: "product",
    about: "products and their stock: added, taken by orders, restored",
    migrations: chassis::migrations!(),
    calls: &[],
    personal: &[Personal::subject("products", "owner")],
    start,
};

fn start(host: &mut Host) -> Result<(), StartError> {
    let writer = host.writer::<Product>();
    host.react(policy::policy(), &writer);
    let loader = host.loader_of::<Product>();
    let (database, runtime) = (host.database().clone(), host.runtime().clone());
    let service = service::Service { writer, loader, database, runtime };
    host.serve(ProductServiceServer::new(service).max_decoding_message_size(chassis::MAX_MESSAGE_BYTES));
    Ok(())
}
