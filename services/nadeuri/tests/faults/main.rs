//! What breaks while customers go about their business: processes, the broker, the database, each killed as a crash
//! does it, and started again. Afterwards nothing is lost and nothing was done twice.
//!
//! Servers that are killed are the test's own: `NADEURI_XTASK` starts them beneath `NADEURI_TEST_SERVERS`.

#![expect(clippy::unwrap_used, reason = "what a helper can't do fails its test")]

#[path = "../support/mod.rs"]
mod support;

mod audit;
mod bikes;
mod load;
mod orders;
mod rides;
mod servers;
mod stays;

use std::time::Duration;

use load::Town;
use servers::Servers;
use support::below;
use support::cluster::{Cluster, Setup, real_servers};
use tokio::sync::Mutex;

/// Flows that customers finish between two faults, at least: there must be something to break.
const FLOWS_BETWEEN_FAULTS: usize = 25;

/// Each of them takes all cores there are: they run one after the other.
static ALONE: Mutex<()> = Mutex::const_new(());

#[tokio::test]
async fn one_process_on_sqlite_is_killed_again_and_again() {
    let _alone = ALONE.lock().await;
    kill_the_process(Cluster::new(Setup::Embedded)).await;
}

#[tokio::test]
async fn one_process_on_postgres_and_rabbitmq_is_killed_again_and_again() {
    let _alone = ALONE.lock().await;
    kill_the_process(Cluster::new(Setup::OneProcess)).await;
}

async fn kill_the_process(cluster: Cluster) {
    let mut cluster = cluster.started().await;
    let town = Town::new(&cluster).await;
    let faults = async {
        for _ in 0..3 {
            town.flows(FLOWS_BETWEEN_FAULTS).await;
            cluster.kill("rental");
            cluster.up().await;
        }
        town.flows(FLOWS_BETWEEN_FAULTS).await;
        town.close();
    };
    tokio::join!(faults, town.live());
    finish(town, cluster).await;
}

#[tokio::test]
async fn contexts_in_their_own_processes_are_killed_one_after_the_other() {
    let _alone = ALONE.lock().await;
    let mut cluster = Cluster::new(Setup::PerContext).started().await;
    let town = Town::new(&cluster).await;
    let faults = async {
        for context in [
            "payment", "ride", "product", "rental", "driving", "wallet", "resort", "order", "bike", "stay", "delivery",
            "dispatch", "billing", "voucher", "product",
        ] {
            town.flows(FLOWS_BETWEEN_FAULTS / 2).await;
            cluster.kill(context);
            cluster.start(context).await;
        }
        town.flows(FLOWS_BETWEEN_FAULTS).await;
        town.close();
    };
    tokio::join!(faults, town.live());
    finish(town, cluster).await;
}

#[tokio::test]
async fn the_broker_is_killed() {
    let _alone = ALONE.lock().await;
    let (postgres, _) = real_servers().unwrap();
    let servers = Servers::up("broker", "rabbitmq").await;
    let cluster = Cluster::together().on_postgres(&postgres).on_rabbitmq(&servers.url);
    kill_the_server(cluster, servers, 1).await;
}

#[tokio::test]
async fn the_database_is_killed() {
    let _alone = ALONE.lock().await;
    let (_, amqp) = real_servers().unwrap();
    let servers = Servers::up("database", "postgres").await;
    let cluster = Cluster::together().on_postgres(&servers.url).on_rabbitmq(&amqp);
    kill_the_server(cluster, servers, 2).await;
}

async fn kill_the_server(cluster: Cluster, servers: Servers, times: usize) {
    let cluster = cluster.started().await;
    let town = Town::new(&cluster).await;
    let faults = async {
        for _ in 0..times {
            town.flows(FLOWS_BETWEEN_FAULTS).await;
            servers.kill().await;
            // For a moment it is away, not only new: calls come meanwhile.
            tokio::time::sleep(Duration::from_millis(200 + below(400))).await;
            servers.start().await;
        }
        town.flows(FLOWS_BETWEEN_FAULTS).await;
        town.close();
    };
    tokio::join!(faults, town.live());
    finish(town, cluster).await;
}

async fn finish(town: Town, cluster: Cluster) {
    audit::check(&town, &cluster).await;
    cluster.down().await;
}
