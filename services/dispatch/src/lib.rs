//! Customers' requests for taxis: hailed, allocated to a driver, cancelled, under way, finished. With `driving`, the
//! taxi line.
//!
//! The rules are in [`domain`], the reactions to other contexts' events in [`policy`]. Customers can hail while
//! `driving` is down.

pub mod domain;
pub mod policy;
mod service;
mod store;

use chassis::{Context, Host, Personal, StartError};
use contracts::dispatch::v1::dispatch_service_server::DispatchServiceServer;
use serde::Deserialize;

use crate::domain::Hail;

/// The context.
pub const CONTEXT: Context = Context {
    name: "dispatch",
    about: "hails: customers' requests for taxis",
    migrations: chassis::migrations!(),
    calls: &[],
    personal: &[
        Personal::details(
            "hails",
            "customer",
            &["pickup", "destination", "payment_method", "start_code", "intervention_reason"],
            &["destination_latitude", "destination_longitude"],
            &["pickup_latitude", "pickup_longitude"],
        ),
        Personal::subject("hails", "driver"),
        Personal::subject("hails", "intervened_by"),
    ],
    start,
};

/// `[dispatch]` in the configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// How many open hails one customer may have.
    pub open_hails: usize,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { open_hails: 1 }
    }
}

fn start(host: &mut Host) -> Result<(), StartError> {
    let settings: Settings = host.settings()?;
    let open_hails = host.within("open_hails", settings.open_hails, 1..=100)?;
    let writer = host.writer::<Hail>();
    host.react(policy::policy(), &writer);
    let service = service::Service {
        loader: host.loader_of::<Hail>(),
        database: host.database().clone(),
        runtime: host.runtime().clone(),
        writer,
        open_hails,
    };
    host.serve(DispatchServiceServer::new(service).max_decoding_message_size(chassis::MAX_MESSAGE_BYTES));
    Ok(())
}
