//! Wallets: deposits and points of customers and managers, as a double-entry ledger. Serves every line of business.
//!
//! Entries and accounts are in [`ledger`], the rules of a wallet in [`domain`], the reactions to other contexts' events
//! in [`policy`], the check of the ledger in [`check`].

pub mod domain;
pub mod ledger;
pub mod policy;
mod service;
mod store;

pub use store::check;

use chassis::values::Currency;
use chassis::{Context, Host, Personal, StartError};
use contracts::wallet::v1::wallet_service_server::WalletServiceServer;
use serde::Deserialize;

use crate::domain::Wallet;

/// The context.
pub const CONTEXT: Context = Context {
    name: "wallet",
    about: "deposits and points, as a double-entry ledger: top ups, bills, rewards, conversions",
    migrations: chassis::migrations!(),
    calls: &["payment"],
    personal: &[
        Personal::key("wallets", "id", |owner| domain::wallet_of(owner).uuid()),
        Personal::derived("entries", "wallet", |owner| domain::wallet_of(owner).uuid()),
        Personal::derived("bills", "wallet", |owner| domain::wallet_of(owner).uuid()),
        Personal::subject("wallets", "owner"),
    ],
    start,
};

/// `[wallet]` in the configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The currency of the ledger, three letters of ISO 4217. A wallet keeps the currency in which it was opened and
    /// refuses money in another: don't change the setting once wallets exist.
    pub currency: Currency,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { currency: Currency::WON }
    }
}

fn start(host: &mut Host) -> Result<(), StartError> {
    let Settings { currency } = host.settings()?;
    let writer = host.writer::<Wallet>();
    host.react(policy::policy(currency), &writer);
    let loader = host.loader_of::<Wallet>();
    let (database, runtime) = (host.database().clone(), host.runtime().clone());
    let service = service::Service { writer, loader, database, payment: host.peer("payment"), runtime, currency };
    host.serve(WalletServiceServer::new(service).max_decoding_message_size(chassis::MAX_MESSAGE_BYTES));
    Ok(())
}
