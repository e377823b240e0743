//! Deliveries of orders: prepared, started by a courier, completed. Supports the order line.
//!
//! The rules are in [`domain`], the reactions to orders' events in [`policy`]. `delivery` decides whether a delivery
//! has started, and so whether an order can still be cancelled. With `order` down, deliveries go on.

pub mod domain;
pub mod policy;
mod service;
mod store;

use chassis::{Context, Host, Personal, StartError};
use contracts::delivery::v1::delivery_service_server::DeliveryServiceServer;

use crate::domain::Delivery;

/// The context.
pub const CONTEXT: Context = Context {
    name: "delivery",
    about: "deliveries of orders: prepared, started by a courier, completed",
    migrations: chassis::migrations!(),
    calls: &[],
    personal: &[
        Personal::details("deliveries", "customer", &["address"], &[], &[]),
        Personal::subject("deliveries", "courier"),
    ],
    start,
};

fn start(host: &mut Host) -> Result<(), StartError> {
    let writer = host.writer::<Delivery>();
    host.react(policy::policy(), &writer);
    let loader = host.loader_of::<Delivery>();
    let service = service::Service { writer, loader, database: host.database().clone() };
    host.serve(DeliveryServiceServer::new(service).max_decoding_message_size(chassis::MAX_MESSAGE_BYTES));
    Ok(())
}
