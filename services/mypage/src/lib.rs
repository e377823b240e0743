//! What customers see of their own: car rentals with their payment, in one place, a moment behind the events.
//!
//! It has no rules and owns nothing. What it makes of the events of `rental` and `payment` is in [`view`]; `history`
//! gets the same events from the chronicle when the view is made anew.

mod history;
mod service;
mod store;
pub mod view;

use chassis::{Context, Host, StartError, View};
use contracts::mypage::v1::mypage_service_server::MypageServiceServer;

use crate::history::FromChronicle;
use crate::view::CarRentals;

/// The context.
pub const CONTEXT: Context = Context {
    name: "mypage",
    about: "views for customers: their car rentals with payment",
    migrations: chassis::migrations!(),
    interest: CarRentals::interest,
    calls: &["chronicle"],
    start,
};

/// Starts the context.
pub fn start(host: &mut Host) -> Result<(), StartError> {
    let history = FromChronicle::new(host.edge("chronicle"), CarRentals::interest());
    host.view::<CarRentals>(Some(Box::new(history)));
    let finder = host.finder(|tx, ids| {
        Box::pin(async move {
            let found = store::read(tx, &ids).await?;
            Ok(found.into_iter().map(|row| (row.id, row)).collect())
        })
    });
    let service = service::Service { finder, database: host.database().clone() };
    host.serve(MypageServiceServer::new(service).max_decoding_message_size(chassis::MAX_MESSAGE_BYTES));
    Ok(())
}
