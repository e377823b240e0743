//! Orders of products: paid when they are placed, confirmed when they have their stock, delivered, or cancelled and
//! refunded. The core of the order line.
//!
//! The rules are in [`domain`], the reactions to other contexts' events in [`policy`]. It copies what it needs of the
//! products ([`offer`]) from `product`'s events, so customers can order while `product` and `delivery` are down.

pub mod domain;
pub mod offer;
pub mod policy;
mod service;
mod store;

use std::time::Duration;

use chassis::{Context, Host, Personal, StartError, timers};
use contracts::order::v1::order_service_server::OrderServiceServer;
use serde::Deserialize;

use crate::domain::Order;
use crate::offer::Offer;

/// The context.
pub const CONTEXT: Context = Context {
    name: "order",
    about: "orders: paid, confirmed, delivered, cancelled",
    migrations: chassis::migrations!(),
    calls: &["payment"],
    personal: &[
        Personal::details("orders", "customer", &["address", "intervention_reason"], &[], &[]),
        Personal::subject("orders", "intervened_by"),
    ],
    start,
};

/// `[order]` in the configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// How long a draft waits for its payment, in seconds.
    pub pay_within_seconds: u64,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { pay_within_seconds: 1_800 }
    }
}

fn start(host: &mut Host) -> Result<(), StartError> {
    let settings: Settings = host.settings()?;
    // Upper bound: a year, which no time arithmetic overflows.
    host.within("pay_within_seconds", settings.pay_within_seconds, 1..=31_536_000)?;
    let (writer, offers) = (host.writer::<Order>(), host.writer::<Offer>());
    host.react(policy::orders(), &writer);
    host.react(policy::offers(), &offers);
    host.on_due::<Order>(timers::by_writer(&writer));
    let service = service::Service {
        writer,
        loader: host.loader_of::<Order>(),
        offers: host.loader_of::<Offer>(),
        database: host.database().clone(),
        payment: host.peer("payment"),
        runtime: host.runtime().clone(),
        pay_within: Duration::from_secs(settings.pay_within_seconds),
    };
    host.serve(OrderServiceServer::new(service).max_decoding_message_size(chassis::MAX_MESSAGE_BYTES));
    Ok(())
}
