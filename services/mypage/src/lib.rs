//! What customers see of their own: each flow of each line of business on a page, a moment behind the events.
//!
//! It has no rules and owns nothing. How events become pages is in `pages`, what each kind of page shows in the module of
//! its name; `history` gets the same events from the chronicle when the pages are made anew.

mod bike_rides;
mod car_rentals;
mod history;
mod orders;
mod pages;
mod service;
mod stays;
mod taxi_rides;
mod wallets;

use chassis::{Context, Host, StartError, Projection};
use contracts::mypage::v1::mypage_service_server::MypageServiceServer;

use crate::history::FromChronicle;
use crate::pages::{Page, Pages};

/// The context.
pub const CONTEXT: Context = Context {
    name: "mypage",
    about: "views for customers: each line's flows, with what belongs to them, in one place",
    migrations: chassis::migrations!(),
    subscription: Pages::subscription,
    calls: &["chronicle"],
    start,
};

/// Starts the context.
pub fn start(host: &mut Host) -> Result<(), StartError> {
    let history = FromChronicle::new(host.peer("chronicle"), Pages::subscription());
    host.projection::<Pages>(Some(Box::new(history)));
    let service = service::Service {
        car_rentals: loader(host),
        taxi_rides: loader(host),
        stays: loader(host),
        bike_rides: loader(host),
        wallets: loader(host),
        orders: loader(host),
        database: host.database().clone(),
    };
    host.serve(MypageServiceServer::new(service).max_decoding_message_size(chassis::MAX_MESSAGE_BYTES));
    Ok(())
}

fn loader<P: Page + Clone>(host: &mut Host) -> chassis::Loader<pages::FlowId, P> {
    host.loader(|tx, flows| {
        Box::pin(async move {
            let found = P::read(tx, &flows).await?;
            Ok(found.into_iter().map(|page| (page.flow(), page)).collect())
        })
    })
}
