//! Read models for customers: a summary of each of their flows, eventually consistent with the events.
//!
//! It has no rules and owns no data. `summary` applies events to summaries; each kind of summary has a module;
//! `registry` lists the kinds. `history` gets past events from the chronicle for a rebuild.

mod bike_rides;
mod car_rentals;
mod history;
mod orders;
mod registry;
mod service;
mod stays;
mod summary;
mod taxi_rides;
mod wallets;

use chassis::{Context, Host, Id, Loader, Projection, StartError};
use contracts::mypage::v1::mypage_service_server::MypageServiceServer;

use crate::history::FromChronicle;
use crate::registry::Summaries;
use crate::summary::Summary;

/// The context.
pub const CONTEXT: Context = Context {
    name: "mypage",
    about: "views for customers: each line's flows, with what belongs to them, in one place",
    migrations: chassis::migrations!(),
    calls: &["chronicle"],
    start,
};

/// Starts the context.
pub fn start(host: &mut Host) -> Result<(), StartError> {
    let history = FromChronicle::new(host.peer("chronicle"), Summaries::subscription());
    host.projection::<Summaries>(Some(Box::new(history)));
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

fn loader<S: Summary>(host: &mut Host) -> Loader<Id<S>, S> {
    host.loader(|tx, ids| {
        Box::pin(async move {
            let found = S::read(tx, &ids).await?;
            Ok(found.into_iter().map(|summary| (summary.id(), summary)).collect())
        })
    })
}
