//! Read models for customers: a summary of each of their flows, eventually consistent with the events.
//!
//! The summaries have no rules and own no data. `summary` applies events to them; each kind of summary has a module;
//! `registry` lists the kinds. `history` gets past events from the chronicle for a rebuild.
//!
//! It is also where the erasure of a customer begins, because the summaries show whether the customer has open flows:
//! `domain` and `store` have the erasure, and [`PERSONAL`] what the summaries show of people.

mod bike_rides;
mod car_rentals;
mod domain;
mod history;
mod orders;
mod registry;
mod service;
mod stays;
mod store;
mod summary;
mod taxi_rides;
mod wallets;

use chassis::{Context, Host, Id, Loader, Personal, Projection, StartError};
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
    personal: PERSONAL,
    start,
};

/// What it stores about people.
const PERSONAL: &[Personal] = &[
    Personal::key("wallets", "id", |owner| wallets::id_of(owner).uuid()),
    Personal::subject("wallets", "customer"),
    Personal::details("car_rentals", "customer", &["intervention_reason"], &[], &[]),
    Personal::subject("car_rentals", "intervened_by"),
    Personal::details(
        "taxi_rides",
        "customer",
        &["pickup", "destination", "intervention_reason"],
        &["pickup_latitude", "pickup_longitude", "destination_latitude", "destination_longitude"],
        &[],
    ),
    Personal::subject("taxi_rides", "driver"),
    Personal::subject("taxi_rides", "intervened_by"),
    Personal::subject("stays", "customer"),
    Personal::subject("bike_rides", "customer"),
    Personal::details("orders", "customer", &["address"], &[], &[]),
    Personal::subject("requested_erasures", "admin"),
];

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
        erasures: host.writer(),
        sealing: host.sealing(),
        runtime: host.runtime().clone(),
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
