//! Messages to customers about their flows. Serves every line of business, and decides nothing.
//!
//! The events that lead to messages are in [`policy`], the texts in a module for each line of business, the attempts to
//! deliver them in [`domain`], the external system in [`carrier`].

mod bikes;
pub mod carrier;
mod cars;
mod delivery;
pub mod domain;
mod orders;
mod payments;
pub mod policy;
mod service;
mod stays;
mod store;
mod taxis;
mod template;
mod text;

use std::sync::Arc;
use std::time::Duration;

use chassis::{Context, Host, Personal, StartError};
use contracts::notification::v1::notification_service_server::NotificationServiceServer;
use serde::Deserialize;

use crate::carrier::{Carrier, LogCarrier};
use crate::delivery::Delivery;
use crate::domain::Message;

/// The context.
pub const CONTEXT: Context = Context {
    name: "notification",
    about: "messages to customers: written once for an event, delivered, listed",
    migrations: chassis::migrations!(),
    calls: &[],
    personal: &[Personal::details("messages", "customer", &["text"], &[], &[])],
    start: |host| start(host, Arc::new(LogCarrier)),
};

/// `[notification]` in the configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// How long the carrier may take, in milliseconds.
    pub carrier_deadline_ms: u64,
    /// How long messages are kept, in days; forever if it is not set. One that is still to be delivered stays.
    pub retention_days: Option<i64>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { carrier_deadline_ms: 3_000, retention_days: None }
    }
}

/// How long events wait for others: a message is delivered a moment later anyway.
const GATHER: Duration = Duration::from_millis(20);

/// Starts the context with this carrier.
pub fn start(host: &mut Host, carrier: Arc<dyn Carrier>) -> Result<(), StartError> {
    let settings: Settings = host.settings()?;
    let writer = host.writer::<Message>();
    host.react(policy::policy(), &writer);
    host.gather(GATHER);
    let loader = host.loader_of::<Message>();
    host.within("carrier_deadline_ms", settings.carrier_deadline_ms, 1..=60_000)?;
    let deadline = Duration::from_millis(settings.carrier_deadline_ms);
    host.prune("pruning of messages", settings.retention_days, |tx, before, limit| {
        Box::pin(store::prune(tx, before, limit))
    })?;
    let sealing = host.sealing();
    let delivery = Delivery { writer, loader, sealing: sealing.clone(), carrier, deadline };
    host.on_due::<Message>(Arc::new(move |id, _| {
        let delivery = delivery.clone();
        Box::pin(async move { delivery.attempt(id).await })
    }));
    let service = service::Service { database: host.database().clone(), sealing };
    host.serve(NotificationServiceServer::new(service).max_decoding_message_size(chassis::MAX_MESSAGE_BYTES));
    Ok(())
}
