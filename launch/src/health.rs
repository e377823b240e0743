//! Waiting until a server says by the health protocol of gRPC that it serves.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use tonic::Request;
use tonic::transport::Endpoint;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::Server;

/// How long it may take: on a new broker hundreds of queues are made first, and many may start at once on few cores.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often it is asked.
const LOOK: Duration = Duration::from_millis(5);
/// How long an answer may take.
const DEADLINE: Duration = Duration::from_secs(10);

impl Server {
    /// Waits until `part` of it serves: a context, what a context needs (`rental.store`), or all of it if empty. Returns
    /// where it listens.
    ///
    /// # Errors
    ///
    /// If it ended, or takes too long.
    pub async fn ready(&mut self, part: &str) -> anyhow::Result<SocketAddr> {
        let waited = tokio::time::timeout(PATIENCE, self.wait_until_serving(part)).await;
        waited.with_context(|| format!("the server does not serve; it said:\n{}", self.said()))?
    }

    async fn wait_until_serving(&mut self, part: &str) -> anyhow::Result<SocketAddr> {
        let address = loop {
            match self.address()? {
                Some(address) => break address,
                None => tokio::time::sleep(LOOK).await,
            }
        };
        let mut health = HealthClient::new(Endpoint::from_shared(format!("http://{address}"))?.connect_lazy());
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
