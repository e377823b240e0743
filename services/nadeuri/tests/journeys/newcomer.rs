//! Contexts that the product does not know: they live in this crate, have a store of their own, and join by subscribing.
//! One keeps a projection, and one sells something (`seller`).
//!
//! Beside a product of other processes they need only the broker. Within one process they are started with the product's
//! contexts, as those are.

mod seller;

use std::sync::Arc;
use std::time::Duration;

use chassis::access::{Guard, Limits};
use chassis::auth::Auth;
use chassis::bus::Bus;
use chassis::bus::local::Local;
use chassis::bus::rabbit::{Rabbit, Settings};
use chassis::context::{Environment, Running};
use chassis::db::{self, Database, Migrations, prelude::*};
use chassis::health::HealthCheck;
use chassis::identity::Identity;
use chassis::peer::{self, Peers};
use chassis::runtime::Runtime;
use chassis::sealing::SealingKeys;
use chassis::tls::Tls;
use chassis::{Context, Envelope, Error, Id, Projection, Subscription, Tx, server, sql};
use contracts::rental::v1::CarReturned;
use diesel_migrations::embed_migrations;
use lapin::options::{ExchangeDeleteOptions, QueuePurgeOptions};
use lapin::{Connection, ConnectionProperties};
use prost::Name as _;
use tokio::sync::oneshot;

use crate::runner::{Suite, journeys};
use crate::support::client::{Client, Places, Who};
use crate::support::cluster::{Cluster, Setup, contexts};
use crate::support::process::free_address;
use crate::support::{eventually, new_id, period};

pub fn add(suite: &mut Suite) {
    journeys! { suite.own:
        x7_a_new_context_joins_by_subscribing,
        x7_a_new_context_sells_something_and_is_paid_without_a_change_elsewhere,
    }
}

/// Gives customers a stamp for each car that they bring back.
static STAMPS: Context = Context {
    name: "stamps",
    about: "a stamp for each car that was brought back",
    migrations: Migrations {
        postgres: embed_migrations!("tests/journeys/newcomer/postgres"),
        sqlite: embed_migrations!("tests/journeys/newcomer/sqlite"),
    },
    calls: &[],
    personal: &[],
    start: |host| {
        host.projection::<Stamps>(None);
        Ok(())
    },
};

diesel::table! {
    use chassis::db::sql_types::*;
    stamps (reservation) { reservation -> SqlUuid, customer -> Text, }
}

chassis::rows! {
    /// A stamp.
    struct Row in stamps (reservation) { reservation: Id<()>, customer: String }
}

struct Stamps;

impl Projection for Stamps {
    fn subscription() -> Subscription {
        Subscription::Kinds(vec![CarReturned::full_name()])
    }

    async fn apply(tx: Tx<'_>, events: &[Envelope]) -> Result<(), Error> {
        let row = |event: &Envelope| {
            let malformed = || Error::Internal(format!("{} is malformed", event.event_id));
            let returned =
                event.decode::<CarReturned>().ok().and_then(|event| event.reservation).ok_or_else(malformed)?;
            let reservation = returned.reservation_id.parse().map_err(|_| malformed())?;
            Ok(Row { reservation, customer: returned.customer_id })
        };
        let rows = events.iter().map(row).collect::<Result<Vec<_>, Error>>()?;
        db::insert(tx, &rows).await?;
        Ok(())
    }

    async fn clear(tx: Tx<'_>) -> Result<(), Error> {
        sql!(tx, |c| diesel::delete(stamps::table).execute(c))?;
        Ok(())
    }
}

/// The newcomer's store, and those who use the product.
struct Newcomer<'a> {
    database: &'a Database,
    admin: &'a Client,
    mina: &'a Client,
}

async fn x7_a_new_context_joins_by_subscribing(setup: Setup) {
    joins(setup, &STAMPS, gets_what_it_subscribed_to).await;
}

async fn x7_a_new_context_sells_something_and_is_paid_without_a_change_elsewhere(setup: Setup) {
    joins(setup, &seller::INSURANCE, seller::sells_and_is_paid).await;
}

/// Starts a newcomer with the product, and makes the journey.
async fn joins(setup: Setup, context: &'static Context, journey: impl AsyncFnOnce(Newcomer<'_>)) {
    match setup {
        Setup::Embedded => within_one_process(context, journey).await,
        Setup::OneProcess | Setup::PerContext => beside_the_product(setup, context, journey).await,
    }
}

/// What all contexts of this process share.
fn environment(bus: impl Bus + 'static) -> Environment {
    let runtime = Runtime::real();
    Environment {
        bus: Arc::new(bus),
        peers: Peers::default(),
        identity: Identity::Named,
        limits: peer::Limits::default(),
        guard: Guard::new(
            Auth::Off,
            runtime.clock.clone(),
            Limits::default(),
            nadeuri::contexts::calls(nadeuri::contexts::ALL).collect(),
        ),
        settings: "".parse().unwrap(),
        sealing: SealingKeys::given(&[[7; 32]]),
        key_retention: Duration::from_secs(3_600),
        dead_letter_retention: None,
        erasure_delay: Duration::from_secs(600),
        runtime,
    }
}

async fn start(context: &'static Context, database: Database, environment: &Environment) -> Running {
    context.migrate(&database).await.unwrap();
    context.start(database, environment).unwrap()
}

/// The product runs as it is, in processes of its own; the newcomer is in this one, and knows nothing but the broker.
async fn beside_the_product(setup: Setup, context: &'static Context, journey: impl AsyncFnOnce(Newcomer<'_>)) {
    let app = Cluster::new(setup).started().await;
    let (broker, prefix) = app.broker().expect("it uses a broker");
    let subscriptions = vec![(context.name, context.subscription().unwrap())];
    let (url, tls) = (broker.to_owned(), Tls::default());
    let settings = Settings { url, tls, prefix: prefix.to_owned(), users: None };
    let environment = environment(Rabbit::new(settings, subscriptions, &Runtime::real()));
    let database = app.open_store(context.name).await;
    let newcomer = start(context, database.clone(), &environment).await;
    let is_up = async || newcomer.checks.iter().all(HealthCheck::is_up).then_some(());
    eventually("the newcomer hears events", is_up).await;
    let (admin, mina) = (app.admin(), app.by(&format!("mina-{}", new_id())));
    journey(Newcomer { database: &database, admin: &admin, mina: &mina }).await;
    newcomer.stop(Duration::from_secs(5)).await;
    unsubscribe(broker, prefix, context.name).await.unwrap();
    app.down().await;
}

/// Those who use the prefix next have no such context, and the newcomer's queues would fill up. They stay, for the reason
/// that [`Cluster::down`] has.
async fn unsubscribe(broker: &str, prefix: &str, context: &str) -> lapin::Result<()> {
    let connection = Connection::connect(broker, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    let inbox = format!("{prefix}.{context}");
    channel.exchange_delete(inbox.as_str().into(), ExchangeDeleteOptions::default()).await?;
    for partition in 0..chassis::envelope::PARTITIONS {
        let queue = format!("{inbox}.{partition:02}");
        channel.queue_purge(queue.into(), QueuePurgeOptions::default()).await?;
    }
    connection.close(200, "done".into()).await
}

/// All contexts of the product, unchanged, and the newcomer among them.
async fn within_one_process(newcomer: &'static Context, journey: impl AsyncFnOnce(Newcomer<'_>)) {
    let folder = tempfile::tempdir().unwrap();
    let store = format!("sqlite:{}", folder.path().join("{context}.db").display());
    let all: Vec<&'static Context> = nadeuri::contexts::ALL.iter().chain([newcomer]).collect();
    let subscriptions = nadeuri::contexts::subscriptions(all.iter().copied()).unwrap();
    let environment = environment(Local::new(subscriptions));
    let mut running = Vec::new();
    for context in all {
        let database = Database::open(&store, context.name, &environment.runtime).await.unwrap();
        running.push(start(context, database, &environment).await);
    }
    let address = free_address();
    let listener = server::listen(address).await.unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let stopped = async move { stopped.await.unwrap() };
    let settings = server::Settings { tls: Tls::default(), has_reflection: false, linger: Duration::ZERO };
    let serving = server::serve(listener, &running, environment.guard.clone(), settings, stopped);
    let making = async {
        let places = Places::new(contexts().map(|context| (context, address)).collect());
        let database = Database::open(&store, newcomer.name, &environment.runtime).await.unwrap();
        let (admin, mina) = (places.client(Who::admin()), places.client(Who::customer("mina")));
        journey(Newcomer { database: &database, admin: &admin, mina: &mina }).await;
        stop.send(()).unwrap();
    };
    let (served, ()) = tokio::join!(serving, making);
    served.unwrap();
    futures::future::join_all(running.into_iter().map(|context| context.stop(Duration::from_secs(5)))).await;
}

/// A customer brings two cars back, and does not bring back a third one.
async fn gets_what_it_subscribed_to(Newcomer { database, admin, mina }: Newcomer<'_>) {
    let mut earned = Vec::new();
    for is_back in [true, true, false] {
        let car = admin.new_car("Hyundai Casper", 54_000).await;
        let trip = mina.reserve(&car, period(0, 1)).await.unwrap();
        mina.rent(&trip).await.unwrap();
        if is_back {
            mina.bring_back(&trip).await.unwrap();
            earned.push((trip.reservation_id, trip.customer_id));
        }
    }
    earned.sort();
    let given = eventually("two stamps", async || {
        let reader = database.reader().await.unwrap();
        let rows: Vec<Row> =
            sql!(reader.tx(), |c| stamps::table.order(stamps::reservation).select(Row::as_select()).load(c)).unwrap();
        let stamps: Vec<_> = rows.into_iter().map(|row| (row.reservation.to_string(), row.customer)).collect();
        (stamps.len() >= earned.len()).then_some(stamps)
    });
    assert_eq!(given.await, earned);
}
