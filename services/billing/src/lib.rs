//! Bills of bike rides: the fee of each ride, and whether it is settled.
//!
//! The rules are in [`domain`], the reactions to other contexts' events in [`policy`]. No context waits for `billing`:
//! while it is down, bikes are rented and returned, and the bills follow later.

pub mod domain;
pub mod policy;
mod service;
mod store;

use chassis::values::{Currency, Money};
use chassis::{Context, Host, Personal, StartError};
use contracts::billing::v1::billing_service_server::BillingServiceServer;
use serde::Deserialize;

use crate::domain::{Bill, Tariff};

/// The context.
pub const CONTEXT: Context = Context {
    name: "billing",
    about: "bills of bike rides",
    migrations: chassis::migrations!(),
    calls: &[],
    personal: &[Personal::subject("bills", "customer")],
    start,
};

/// `[billing]` in the configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// What a whole minute costs, in the currency's minor unit; 0 if rides are free.
    pub fee_per_minute: i64,
    /// The currency, three letters of ISO 4217: that of the deposits.
    pub currency: Currency,
    /// The minimum of billed minutes, for shorter rides.
    pub least_minutes: u32,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { fee_per_minute: 100, currency: Currency::WON, least_minutes: 1 }
    }
}

fn start(host: &mut Host) -> Result<(), StartError> {
    let settings: Settings = host.settings()?;
    host.within("fee_per_minute", settings.fee_per_minute, 0..=Money::MAX_MINOR)?;
    host.within("least_minutes", settings.least_minutes, 0..=1_440)?;
    let per_minute = Money { minor: settings.fee_per_minute, currency: settings.currency };
    let tariff = Tariff { per_minute, least_minutes: settings.least_minutes };
    let writer = host.writer::<Bill>();
    host.react(policy::policy(tariff), &writer);
    let service = service::Service { loader: host.loader_of::<Bill>(), database: host.database().clone() };
    host.serve(BillingServiceServer::new(service).max_decoding_message_size(chassis::MAX_MESSAGE_BYTES));
    Ok(())
}
