//! A server of several nodes goes on when one of them dies: a RabbitMQ cluster whose leader is killed, and a PostgreSQL
//! whose primary is killed and whose standby is promoted. The product has one URL with all nodes.
//!
//! Each test prints for how long callers noticed it; `docs/evidence/failover.md` has the figures. They take minutes, so they
//! are not part of `cargo test`:
//!
//! ```sh
//! cargo xtask test -- -p nadeuri --test failover -- --nocapture
//! ```

#![expect(clippy::unwrap_used, reason = "what a helper can't do fails its test")]

#[path = "../faults/audit.rs"]
mod audit;
#[path = "../faults/bikes.rs"]
mod bikes;
#[path = "../faults/load.rs"]
mod load;
mod nodes;
#[path = "../faults/orders.rs"]
mod orders;
mod outage;
#[path = "../faults/rides.rs"]
mod rides;
#[path = "../faults/servers.rs"]
#[expect(dead_code, reason = "other tests kill a server as a whole")]
mod servers;
#[path = "../faults/stays.rs"]
mod stays;
#[path = "../support/mod.rs"]
mod support;

use std::time::Duration;

use load::Workload;
use outage::Probes;
use servers::Servers;
use support::cluster::{Cluster, real_servers};
use tokio::sync::Mutex;
use tokio::time::Instant;

/// The minimum number of finished flows before and after the fault.
const FLOWS: usize = 25;
/// Each test uses all CPU cores, so they run one after the other.
static ALONE: Mutex<()> = Mutex::const_new(());

/// For how long requests may not succeed, beyond the time until the standby is promoted. Attempts to connect have no pause
/// between them, so all of it is for a busy machine.
const AFTER_PROMOTION: Duration = Duration::from_secs(5);
/// How late an event may be when a node of the broker dies. The driver notices at once that a connection is lost; the
/// rest is the election of leaders, and a declaration of all queues of a context, while the load goes on.
const EVENT_DELAY: Duration = Duration::from_secs(20);

#[tokio::test]
async fn x6_the_primary_of_postgres_is_killed_and_its_standby_promoted() {
    let _alone = ALONE.lock().await;
    let (_, amqp) = real_servers().unwrap();
    let servers = Servers::of_nodes("failover", "postgres", 2).await;
    let cluster = Cluster::together().on_postgres(&servers.url).on_rabbitmq(&amqp).started().await;
    let (workload, probes) = (Workload::new(&cluster).await, Probes::new(&cluster).await);
    let faults = async {
        workload.wait_for_flows(FLOWS).await;
        let killed = Instant::now();
        servers.kill_node(1).await;
        servers.promote().await;
        let promoted = Instant::now();
        workload.wait_for_flows(FLOWS).await;
        workload.stop();
        (killed, promoted)
    };
    let ((killed, promoted), (), ()) = tokio::join!(faults, workload.run(), probes.run(&workload.stopped));
    println!("PostgreSQL: promoted after {} ms; {}", (promoted - killed).as_millis(), probes.summary());
    let gap = probes.gap();
    assert!(gap < promoted - killed + AFTER_PROMOTION, "no success for {gap:?}: {}", cluster.logs());
    audit::finish(workload, cluster).await;
}

#[tokio::test]
async fn x6_the_leader_of_a_rabbitmq_cluster_is_killed() {
    let _alone = ALONE.lock().await;
    let (postgres, _) = real_servers().unwrap();
    let servers = Servers::of_nodes("nodes", "rabbitmq", 3).await;
    let cluster = Cluster::together().on_postgres(&postgres).on_rabbitmq(&servers.url).started().await;
    let (workload, probes) = (Workload::new(&cluster).await, Probes::new(&cluster).await);
    let faults = async {
        workload.wait_for_flows(FLOWS).await;
        let (leader, queues) = servers.leader().await;
        servers.kill_node(leader).await;
        // The other two go on without it.
        workload.wait_for_flows(FLOWS).await;
        assert_ne!(servers.leader().await.0, leader);
        workload.stop();
        // It comes back while the last flows end.
        servers.start_node(leader).await;
        queues
    };
    let (queues, (), ()) = tokio::join!(faults, workload.run(), probes.run(&workload.stopped));
    println!("RabbitMQ: the leader of {queues} queues was killed; {}", probes.summary());
    assert_eq!(probes.refused(), Duration::ZERO, "no request needs the broker: {}", cluster.logs());
    let late = probes.delays().pop().expect("events have arrived");
    assert!(late < EVENT_DELAY, "an event arrived after {late:?}: {}", cluster.logs());
    audit::finish(workload, cluster).await;
}
