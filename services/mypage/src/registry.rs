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
    Registered::of::<Wallet>().without_flows(),
    Registered::of::<Order>(),
];

/// Applies events to the summaries of a kind.
type Apply = for<'t> fn(Tx<'t>, &'t [Envelope]) -> BoxFuture<'t, Result<(), Error>>;

/// The open flows of a customer.
type Open = for<'t> fn(Tx<'t>, &'t str) -> BoxFuture<'t, Result<Vec<String>, Error>>;

/// What the projection does with one kind.
struct Registered {
    events: fn() -> Vec<String>,
    apply: Apply,
    clear: for<'t> fn(Tx<'t>) -> BoxFuture<'t, Result<(), Error>>,
    open: Option<Open>,
}

impl Registered {
    const fn of<S: Summary>() -> Registered {
        Registered {
            events: || S::rules().events(),
            apply: |tx, events| Box::pin(summary::apply::<S>(tx, events)),
            clear: |tx| Box::pin(S::clear(tx)),
            open: Some(|tx, customer| Box::pin(summary::open::<S>(tx, customer))),
        }
    }

    /// A kind that shows no flow, which could be open.
    const fn without_flows(self) -> Registered {
        Registered { open: None, ..self }
    }
}

/// The projection of all summaries: a rebuild rebuilds all of them.
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

/// The open flows of a customer, of all kinds.
pub async fn open(tx: Tx<'_>, customer: &str) -> Result<Vec<String>, Error> {
    let open = try_join_all(ALL.iter().filter_map(|kind| kind.open).map(|open| open(tx, customer))).await?;
    Ok(open.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::summary::testing::{envelope, paid};
    use chassis::db::{Database, Durability, Unit};
    use chassis::runtime::Runtime;
    use chassis::{Fields, Page};
    use contracts::mypage::v1 as proto;
    use contracts::order::v1 as order;
    use contracts::payment::v1::{PaymentApproved, PaymentSettled, PaymentState};
    use futures::executor::block_on;

    fn placed(number: u8) -> Envelope {
        let price = contracts::money::v1::Money { currency_code: "KRW".into(), amount_minor: 240_000 };
        let order = order::Order {
            order_id: format!("00000000-0000-4000-8000-{number:012}"),
            customer_id: "ann".into(),
            price: Some(price),
            create_time: Some(prost_types::Timestamp { seconds: number.into(), nanos: 0 }),
            ..order::Order::default()
        };
        envelope(&order::OrderPlaced { order: Some(order) }, 1)
    }

    async fn apply(database: &Database, events: Vec<Envelope>) -> Result<(), Error> {
        let unit: Unit<'static, _> = Box::new(|tx| Box::pin(async move { Summaries::apply(tx, &events).await }));
        database.write(Durability::Full, unit).await
    }

    /// The sizes of the customer's pages of at most two orders, and the orders.
    fn listed(database: &Database, customer: Option<&str>) -> (Vec<usize>, Vec<proto::Order>) {
        let (mut sizes, mut orders, mut token) = (Vec::new(), Vec::new(), String::new());
        loop {
            let page = Page::parse(&mut Fields::new(), 2, &token, &[]).expect("it is right");
            let reader = block_on(database.reader()).expect("it is open");
            let (found, next) = block_on(Order::list(reader.tx(), customer, &page)).expect("it can be read");
            sizes.push(found.len());
            orders.extend(found.into_iter().map(proto::Order::from));
            if next.is_empty() {
                return (sizes, orders);
            }
            token = next;
        }
    }

    #[test]
    fn summaries_are_written_listed_newest_first_and_cleared() {
        let (store, runtime) = ("sqlite:file:registry?mode=memory&cache=shared", Runtime::real());
        let database = block_on(Database::open(store, "mypage", &runtime)).expect("it can be opened");
        block_on(crate::CONTEXT.migrate(&database)).expect("it can be migrated");
        let payment = |state| paid("order", state);
        // The customer of an order is unknown until its first event arrives.
        let approved = envelope(&PaymentApproved { payment: payment(PaymentState::Approved) }, 2);
        block_on(apply(&database, vec![placed(2), approved, placed(3)])).expect("they can be written");
        assert_eq!(listed(&database, None).1.len(), 2);
        let settled = envelope(&PaymentSettled { payment: payment(PaymentState::Settled) }, 3);
        block_on(apply(&database, vec![settled, placed(1)])).expect("they can be written");
        let (sizes, orders) = listed(&database, Some("ann"));
        let seconds = orders.iter().map(|order| order.create_time.map(|time| time.seconds));
        assert_eq!((sizes, seconds.flatten().collect()), (vec![2, 1], vec![3, 2, 1]));
        assert_eq!((orders[2].payment_id.as_str(), orders[2].payment_state()), ("pay", PaymentState::Settled));
        assert_eq!(listed(&database, Some("bob")), (vec![0], vec![]));
        let clear: Unit<'static, _> = Box::new(|tx| Box::pin(Summaries::clear(tx)));
        block_on(database.write(Durability::Full, clear)).expect("they can be removed");
        assert_eq!(listed(&database, None), (vec![0], vec![]));
    }
}
