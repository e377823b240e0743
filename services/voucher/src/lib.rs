//! Vouchers: issued for paid stays, sent, redeemed at the resort, deactivated. Serves the resort line.
//!
//! The rules are in [`domain`], the reactions to other contexts' events in [`policy`]. The code of a voucher is a
//! secret: only its customer sees it. Logs and printed values do not contain it.

pub mod code;
pub mod domain;
pub mod policy;
mod service;
mod store;

use chassis::{Context, Host, Personal, StartError};
use contracts::voucher::v1::voucher_service_server::VoucherServiceServer;

use crate::domain::Voucher;

/// The context.
pub const CONTEXT: Context = Context {
    name: "voucher",
    about: "vouchers of paid stays: issued, sent, redeemed, deactivated",
    migrations: chassis::migrations!(),
    calls: &[],
    personal: &[Personal::subject("vouchers", "customer")],
    start,
};

fn start(host: &mut Host) -> Result<(), StartError> {
    let writer = host.writer::<Voucher>();
    host.react(policy::policy(host.runtime().ids.clone()), &writer);
    let loader = host.loader_of::<Voucher>();
    let service = service::Service { writer, loader, database: host.database().clone() };
    host.serve(VoucherServiceServer::new(service).max_decoding_message_size(chassis::MAX_MESSAGE_BYTES));
    Ok(())
}
