//! Waiting until a server is ready, by the gRPC health checking protocol.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use tonic::Request;
use tonic::transport::Endpoint;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::Server;

/// The limit. It is long: on a new broker hundreds of queues are declared first, and many servers may start on few
/// cores.
const PATIENCE: Duration = Duration::from_secs(120);
/// The pause between two polls.
const LOOK: Duration = Duration::from_millis(5);
/// The deadline of a health check.
const DEADLINE: Duration = Duration::from_secs(10);

impl Server {
    /// Waits until the health check `part` passes: a context, a dependency of a context (`rental.store`), or everything
    /// if empty. Returns the address of the server.
    ///
    /// # Errors
    ///
    /// If the server ended, or the limit is exceeded.
    pub async fn ready(&mut self, part: &str) -> anyhow::Result<SocketAddr> {
        self.ready_at(part, |address| Ok(Endpoint::from_shared(format!("http://{address}"))?)).await
    }

    /// The same for a server that needs an endpoint of its own, as for TLS.
    ///
    /// # Errors
    ///
    /// If the server ended, the limit is exceeded, or there is no endpoint.
    pub async fn ready_at(
        &mut self,
        part: &str,
        endpoint: impl Fn(SocketAddr) -> anyhow::Result<Endpoint>,
    ) -> anyhow::Result<SocketAddr> {
        let waited = tokio::time::timeout(PATIENCE, self.wait_until_serving(part, endpoint)).await;
        waited.with_context(|| format!("the server is not ready; its log:\n{}", self.output()))?
    }

    async fn wait_until_serving(
        &mut self,
        part: &str,
        endpoint: impl Fn(SocketAddr) -> anyhow::Result<Endpoint>,
    ) -> anyhow::Result<SocketAddr> {
        let address = loop {
            match self.address()? {
                Some(address) => break address,
                None => tokio::time::sleep(LOOK).await,
            }
        };
        let mut health = HealthClient::new(endpoint(address)?.connect_lazy());
        loop {
            self.ensure_running()?;
            let mut request = Request::new(HealthCheckRequest { service: part.to_owned() });
            request.set_timeout(DEADLINE);
            let answer = health.check(request).await;
            if answer.is_ok_and(|answer| answer.into_inner().status() == ServingStatus::Serving) {
                return Ok(address);
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}
