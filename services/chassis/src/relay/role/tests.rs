//! Replicas of one store: one relays, the others wake it, and one of them takes over when it is gone.

use std::time::Duration;

use crate::db::Database;
use crate::relay::role::Role;
use crate::runtime::Runtime;

/// How long something that must happen may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Two stores of each kind: on PostgreSQL two schemas of one database.
async fn stores(test: &str) -> Vec<[Database; 2]> {
    let server = std::env::var("NADEURI_TEST_POSTGRES").expect("needs PostgreSQL: run `cargo xtask test`");
    let (name, runtime) = (format!("relay_{test}_{}", std::process::id()), Runtime::real());
    let folder = std::env::temp_dir().join(&name);
    let sqlite = |number: &str| format!("sqlite:{}", folder.join(number).display());
    let postgres = |number: &str| format!("{server}{name}?schema=s{number}");
    let mut stores = Vec::new();
    for urls in [["1", "2"].map(sqlite), ["1", "2"].map(postgres)] {
        let [first, second] = urls;
        let open = async |url: String| Database::open(&url, "tally", &runtime).await.expect("it opens");
        stores.push([open(first).await, open(second).await]);
    }
    stores
}

async fn open(database: &Database) -> Role {
    let mut role = Role::open(database).await.expect("the store answers");
    role.take_lock().await.expect("the store answers");
    role
}

/// Whether somebody notifies the holder of the lock.
async fn is_notified(role: &mut Role) -> bool {
    tokio::time::timeout(PATIENCE, role.notified()).await.is_ok_and(|outcome| outcome.is_ok())
}

#[tokio::test]
async fn one_replica_relays_and_another_wakes_it() {
    for [store, other] in stores("wakes").await {
        let (mut holder, mut standby) = (open(&store).await, open(&store).await);
        assert!(holder.is_holder() && holder.access().is_ok());
        assert!(!standby.is_holder());
        // A notification of another store is for another relay.
        let mut of_another = open(&other).await;
        assert!(of_another.is_holder());
        of_another.notify().await.expect("the store answers");
        assert!(is_notified(&mut of_another).await);
        standby.notify().await.expect("the store answers");
        assert!(is_notified(&mut holder).await);
    }
}

#[tokio::test]
async fn another_replica_takes_over_when_the_relay_is_gone() {
    for [store, _] in stores("takes_over").await {
        let (holder, mut standby) = (open(&store).await, open(&store).await);
        assert!(standby.has_replicas());
        drop(holder);
        // PostgreSQL releases the lock when it notices that the connection was closed.
        let taken = tokio::time::timeout(PATIENCE, async {
            while !standby.is_holder() {
                tokio::task::yield_now().await;
                standby.take_lock().await.expect("the store answers");
            }
        });
        taken.await.expect("it takes the lock");
        assert!(standby.access().is_ok());
    }
}
