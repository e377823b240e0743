//! Payments for purchases: requested, charged, refunded, settled. Serves every line of business.
//!
//! The rules are in [`domain`], the reactions to other contexts' events in [`policy`], the external system in
//! [`processor`].

pub mod domain;
pub mod policy;
pub mod processor;
mod service;
mod store;

use std::sync::Arc;
use std::time::Duration;

use chassis::{Context, Host, Personal, StartError};
use contracts::payment::v1::payment_service_server::PaymentServiceServer;
use serde::Deserialize;

use crate::domain::Payment;
use crate::processor::{Processor, Sandbox, SingleFlight};

/// The context.
pub const CONTEXT: Context = Context {
    name: "payment",
    about: "payments: requested, approved, refused, cancelled, refunded",
    migrations: chassis::migrations!(),
    calls: &[],
    personal: &[
        Personal::details("payments", "customer", &["method", "next_method", "intervention_reason"], &[], &[]),
        Personal::subject("payments", "intervened_by"),
    ],
    start: |host| start(host, Arc::new(Sandbox::default())),
};

/// `[payment]` in the configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The deadline of calls to the processor, in milliseconds.
    pub processor_deadline_ms: u64,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { processor_deadline_ms: 3_000 }
    }
}

/// Starts the context with this processor.
pub fn start(host: &mut Host, processor: Arc<dyn Processor>) -> Result<(), StartError> {
    let settings: Settings = host.settings()?;
    let writer = host.writer::<Payment>();
    host.react(policy::policy(), &writer);
    let loader = host.loader_of::<Payment>();
    host.within("processor_deadline_ms", settings.processor_deadline_ms, 1..=60_000)?;
    let deadline = Duration::from_millis(settings.processor_deadline_ms);
    let processor = Arc::new(SingleFlight::new(processor, deadline));
    let (database, runtime) = (host.database().clone(), host.runtime().clone());
    let service = service::Service { writer, loader, database, processor, runtime };
    let due = service.clone();
    host.on_due::<Payment>(Arc::new(move |id, _| {
        let service = due.clone();
        Box::pin(async move { service.take_step(id).await })
    }));
    host.serve(PaymentServiceServer::new(service).max_decoding_message_size(chassis::MAX_MESSAGE_BYTES));
    Ok(())
}
