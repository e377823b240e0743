//! An Envoy that is configured by the control plane like a pod of the gateway, and its view of the replicas.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::process::Child;

/// A running Envoy.
pub struct Envoy {
    child: Child,
    admin: SocketAddr,
}

/// The timeout of requests to the admin interface.
const ANSWER_SECONDS: u64 = 10;

/// The health flag of a replica that outlier detection has ejected.
const EJECTED: &str = "/failed_outlier_check";

impl Envoy {
    /// Starts an Envoy with the control plane at `ads`, and its files in `folder`.
    pub fn start(program: &Path, ads: SocketAddr, admin: SocketAddr, folder: &Path) -> Result<Envoy> {
        let config = folder.join("envoy.json");
        std::fs::write(&config, bootstrap(ads, admin))?;
        let mut command = Command::new(program);
        command.arg("--config-path").arg(config).args(["--disable-hot-restart", "--concurrency", "1"]);
        command.args(["--log-level", "error"]);
        Ok(Envoy { child: Child::spawn(&mut command, &folder.join("envoy.log"))?, admin })
    }

    /// Fails if it ended.
    pub fn ensure_running(&mut self) -> Result<()> {
        self.child.ensure_running()
    }

    /// Whether a replica of a context is ejected from load balancing.
    pub fn is_ejected(&self, context: &str, replica: SocketAddr) -> Result<bool> {
        let line = format!("{}::{replica}::health_flags::", cluster(context));
        let all = self.ask("/clusters")?;
        let flags = all.lines().find_map(|known| known.strip_prefix(&line));
        Ok(flags.with_context(|| format!("Envoy knows no replica {replica} of {context}"))?.contains(EJECTED))
    }

    /// A counter of a context's cluster.
    pub fn count(&self, context: &str, counter: &str) -> Result<u64> {
        let name = format!("cluster.{};.{counter}: ", cluster(context));
        let other = format!("cluster.{}.{counter}: ", cluster(context));
        let all = self.ask("/stats")?;
        let value = all.lines().find_map(|line| line.strip_prefix(&name).or_else(|| line.strip_prefix(&other)));
        value.map_or(Ok(0), |value| value.trim().parse().context("it is a number"))
    }

    /// Requests a path of the admin interface.
    fn ask(&self, path: &str) -> Result<String> {
        let answer = minreq::get(format!("http://{}{path}", self.admin)).with_timeout(ANSWER_SECONDS).send();
        let answer = answer.context("Envoy doesn't answer")?;
        ensure!(answer.status_code == 200, "Envoy answers {} to {path}", answer.status_code);
        Ok(answer.as_str()?.to_owned())
    }
}

/// The name that Istio gives to the replicas of a context.
fn cluster(context: &str) -> String {
    format!("outbound|50051||{context}.nadeuri.svc.cluster.local")
}

/// The bootstrap config of an Envoy in a pod of the gateway, without certificates.
fn bootstrap(ads: SocketAddr, admin: SocketAddr) -> String {
    let address = |at: SocketAddr| format!(r#"{{"address": "{}", "port_value": {}}}"#, at.ip(), at.port());
    include_str!("envoy.json").replace("\"ADMIN\"", &address(admin)).replace("\"ADS\"", &address(ads))
}
