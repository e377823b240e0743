//! The kinds of summaries, each listed once, and the projection that keeps them all.

use std::collections::BTreeSet;

use chassis::{Envelope, Error, Projection, Subscription, Tx};
use futures::future::{BoxFuture, try_join_all};

use crate::bike_rides::BikeRide;
use crate::car_rentals::CarRental;
use crate::orders::Order;
use crate::stays::Stay;
use crate::summary::{self, Summary};
use crate::taxi_rides::TaxiRide;
use crate::wallets::Wallet;

/// All kinds.
const ALL: [Registered; 6] = [
    Registered::of::<CarRental>(),
    Registered::of::<TaxiRide>(),
    Registered::of::<Stay>(),
    Registered::of::<BikeRide>(),
    Registered::of::<Wallet>(),
    Registered::of::<Order>(),
];

/// What the projection does with one kind.
struct Registered {
    events: fn() -> Vec<String>,
    apply: for<'t> fn(Tx<'t>, &'t [Envelope]) -> BoxFuture<'t, Result<(), Error>>,
    clear: for<'t> fn(Tx<'t>) -> BoxFuture<'t, Result<(), Error>>,
}

impl Registered {
    const fn of<S: Summary>() -> Registered {
        Registered {
            events: || S::rules().events(),
            apply: |tx, events| Box::pin(summary::apply::<S>(tx, events)),
            clear: |tx| Box::pin(S::clear(tx)),
        }
    }
}

/// The projection of all summaries: a rebuild makes all of them again.
pub enum Summaries {}

impl Projection for Summaries {
    fn subscription() -> Subscription {
        let events: BTreeSet<String> = ALL.iter().flat_map(|kind| (kind.events)()).collect();
        Subscription::Kinds(events.into_iter().collect())
    }

    async fn apply(tx: Tx<'_>, events: &[Envelope]) -> Result<(), Error> {
        try_join_all(ALL.iter().map(|kind| (kind.apply)(tx, events))).await.map(drop)
    }

    async fn clear(tx: Tx<'_>) -> Result<(), Error> {
        try_join_all(ALL.iter().map(|kind| (kind.clear)(tx))).await.map(drop)
    }
}
