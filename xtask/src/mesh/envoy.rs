//! An Envoy that asks the control plane what to do, as one of the entrance's pods would, and tells how its replicas are.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::child::Child;

/// A running Envoy.
pub struct Envoy {
    child: Child,
    admin: SocketAddr,
}

/// What the admin interface says of a replica whose answers were too often none.
const EJECTED: &str = "/failed_outlier_check";

impl Envoy {
    /// Starts one that asks at `ads`, with its files in `folder`.
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

    /// Whether it takes part in the load of a context, as things are.
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

    /// An answer of the admin interface.
    fn ask(&self, path: &str) -> Result<String> {
        let mut stream = TcpStream::connect(self.admin).context("Envoy doesn't answer")?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        write!(stream, "GET {path} HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n")?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let (head, body) = answer.split_once("\r\n\r\n").context("it is HTTP")?;
        ensure!(head.starts_with("HTTP/1.1 200"), "Envoy answers {head}");
        Ok(if head.contains("transfer-encoding: chunked") { unchunked(body) } else { body.to_owned() })
    }
}

/// The name that Istio gives to the replicas of a context.
fn cluster(context: &str) -> String {
    format!("outbound|50051||{context}.nadeuri.svc.cluster.local")
}

/// A body without the lengths of its chunks.
fn unchunked(mut body: &str) -> String {
    let mut whole = String::new();
    while let Some((length, rest)) = body.split_once("\r\n") {
        let Ok(length @ 1..) = usize::from_str_radix(length, 16) else { break };
        whole += rest.get(..length).unwrap_or(rest);
        body = rest.get(length + 2..).unwrap_or_default();
    }
    whole
}

/// What an Envoy is started with in a pod of the entrance, but for certificates.
fn bootstrap(ads: SocketAddr, admin: SocketAddr) -> String {
    let address =
        |at: SocketAddr| format!(r#"{{"socket_address": {{"address": "{}", "port_value": {}}}}}"#, at.ip(), at.port());
    format!(
        r#"{{
  "node": {{
    "id": "router~192.0.2.1~gateway.nadeuri~nadeuri.svc.cluster.local",
    "cluster": "gateway.nadeuri",
    "metadata": {{"NAMESPACE": "nadeuri", "CLUSTER_ID": "Kubernetes", "LABELS": {{"app.kubernetes.io/name": "gateway"}}}}
  }},
  "admin": {{"address": {}}},
  "dynamic_resources": {{
    "ads_config": {{"api_type": "GRPC", "transport_api_version": "V3", "grpc_services": [{{"envoy_grpc": {{"cluster_name": "xds"}}}}]}},
    "lds_config": {{"ads": {{}}, "resource_api_version": "V3"}},
    "cds_config": {{"ads": {{}}, "resource_api_version": "V3"}}
  }},
  "static_resources": {{"clusters": [{{
    "name": "xds",
    "type": "STATIC",
    "connect_timeout": "1s",
    "typed_extension_protocol_options": {{"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {{
      "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
      "explicit_http_config": {{"http2_protocol_options": {{}}}}
    }}}},
    "load_assignment": {{"cluster_name": "xds", "endpoints": [{{"lb_endpoints": [{{"endpoint": {{"address": {}}}}}]}}]}}
  }}]}}
}}
"#,
        address(admin),
        address(ads)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_one_body() {
        assert_eq!(unchunked("4\r\na::b\r\n3\r\n::c\r\n0\r\n\r\n"), "a::b::c");
    }
}
