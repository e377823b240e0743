//! Fault tests: under load, processes, the broker or the database are killed with SIGKILL and started again. Afterwards
//! nothing is lost and nothing was done twice. And a context that is not what it was publishes events of others.
//!
//! Each test starts the servers that it kills, with `NADEURI_XTASK`, in a folder beneath `NADEURI_TEST_SERVERS`.

#![expect(clippy::unwrap_used, reason = "what a helper can't do fails its test")]

#[path = "../support/mod.rs"]
mod support;

mod audit;
mod bikes;
mod forgery;
mod load;
mod orders;
mod rides;
mod servers;
mod stays;

use std::time::Duration;

use load::Workload;
use servers::Servers;
use support::below;
use support::cluster::{Cluster, Setup, real_servers};
use tokio::sync::Mutex;

/// The minimum number of finished flows between two faults, so that each fault hits running flows.
const FLOWS_BETWEEN_FAULTS: usize = 25;

/// Each test uses all CPU cores, so they run one after the other.
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
    let workload = Workload::new(&cluster).await;
    let faults = async {
        for _ in 0..3 {
            workload.wait_for_flows(FLOWS_BETWEEN_FAULTS).await;
            cluster.kill("rental");
            cluster.up().await;
        }
        workload.wait_for_flows(FLOWS_BETWEEN_FAULTS).await;
        workload.stop();
    };
    tokio::join!(faults, workload.run());
    audit::finish(workload, cluster).await;
}

#[tokio::test]
async fn contexts_in_their_own_processes_are_killed_one_after_the_other() {
    let _alone = ALONE.lock().await;
    let mut cluster = Cluster::new(Setup::PerContext).started().await;
    let workload = Workload::new(&cluster).await;
    let faults = async {
        for context in [
            "payment", "ride", "product", "rental", "driving", "wallet", "resort", "order", "bike", "stay", "delivery",
            "dispatch", "billing", "voucher", "product",
        ] {
            workload.wait_for_flows(FLOWS_BETWEEN_FAULTS / 2).await;
            cluster.kill(context);
            cluster.start(context).await;
        }
        workload.wait_for_flows(FLOWS_BETWEEN_FAULTS).await;
        workload.stop();
    };
    tokio::join!(faults, workload.run());
    audit::finish(workload, cluster).await;
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
    let workload = Workload::new(&cluster).await;
    let faults = async {
        for _ in 0..times {
            workload.wait_for_flows(FLOWS_BETWEEN_FAULTS).await;
            servers.kill().await;
            // It stays down for a moment, so that calls fail meanwhile.
            tokio::time::sleep(Duration::from_millis(200 + below(400))).await;
            servers.start().await;
        }
        workload.wait_for_flows(FLOWS_BETWEEN_FAULTS).await;
        workload.stop();
    };
    tokio::join!(faults, workload.run());
    audit::finish(workload, cluster).await;
}
