//! One gRPC server for the contexts of a process: their services, operations, health and reflection, behind the guard.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use contracts::operations::v1::operations_service_server::OperationsServiceServer;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tonic::server::NamedService;
use tonic::service::Routes;
use tonic::transport::server::TcpIncoming;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use crate::access::Guard;
use crate::connection;
use crate::context::Running;
use crate::health::HealthCheck;
use crate::operations::Operations;
use crate::runtime::supervise;
use crate::tls::Tls;

/// Concurrent calls on one connection.
const STREAMS_PER_CONNECTION: u32 = 1024;
/// How often health is checked.
const HEALTH_PERIOD: Duration = Duration::from_millis(250);

/// The server can't start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address can't be listened on.
    #[error("can't listen on {address}: {cause}; choose another address with --listen")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        cause: std::io::Error,
    },
    /// The descriptors of the contracts can't be served.
    #[error("the contracts can't be reflected: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// Serving failed.
    #[error("the server failed: {0}")]
    Serve(#[from] tonic::transport::Error),
}

/// How a server serves.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its TLS.
    pub tls: Tls,
    /// Whether tools can ask what there is to call.
    pub has_reflection: bool,
    /// How long calls are accepted after a stop, while health reports "not serving", so that load balancers switch to
    /// other replicas.
    pub linger: Duration,
}

/// Listens at an address.
pub async fn listen(address: SocketAddr) -> Result<TcpListener, ServeError> {
    TcpListener::bind(address).await.map_err(|cause| ServeError::Listen { address, cause })
}

/// Serves until `stop` is done, then ends the streams and lets the calls under way finish.
pub async fn serve(
    listener: TcpListener,
    contexts: &[Running],
    guard: Guard,
    settings: Settings,
    stop: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let (reporter, health) = tonic_health::server::health_reporter();
    let mut routes = Routes::builder();
    contexts.iter().for_each(|context| context.add_services(&mut routes));
    routes.add_service(OperationsServiceServer::new(Operations::of(contexts)));
    routes.add_service(health);
    let mut names: Vec<&str> = contexts.iter().flat_map(Running::services).collect();
    names.extend([OperationsServiceServer::<Operations>::NAME, "grpc.health.v1.Health"]);
    if settings.has_reflection {
        routes.add_service(reflection(&names).build_v1()?);
        routes.add_service(reflection(&names).build_v1alpha()?);
    }

    let watched: Vec<Watched> = contexts.iter().map(Watched::new).collect();
    let report = Report { reporter, watched, reported: HashMap::new() };
    let (halt, halted) = oneshot::channel();
    let reporting = tokio::spawn(supervise("server", "report of health", (report, halted), |(report, halted)| {
        Box::pin(report.until(halted))
    }));
    let streams = guard.clone();
    let stopped = async {
        stop.await;
        // The report of this change is its last one.
        let _ = halt.send(());
        let _ = reporting.await;
        tokio::time::sleep(settings.linger).await;
        streams.end_streams();
    };
    let incoming = connection::limited(TcpIncoming::from(listener).with_nodelay(Some(true)), settings.tls);
    let server = tonic::transport::Server::builder()
        .max_concurrent_streams(STREAMS_PER_CONNECTION)
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(4 << 20)
        .http2_keepalive_interval(Some(Duration::from_secs(30)))
        .layer(guard)
        .add_routes(routes.routes());
    server.serve_with_incoming_shutdown(incoming, stopped).await?;
    Ok(())
}

fn reflection<'a>(names: &[&str]) -> tonic_reflection::server::Builder<'a> {
    let builder = tonic_reflection::server::Builder::configure();
    let builder = builder.register_encoded_file_descriptor_set(contracts::DESCRIPTORS);
    let builder = builder.register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET);
    // The details of errors, so that clients of reflection can decode their reasons.
    let builder = builder.register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET);
    names.iter().fold(builder, |builder, name| builder.with_service_name(*name))
}

/// A context's names and health checks.
#[derive(Clone)]
struct Watched {
    name: &'static str,
    services: Vec<&'static str>,
    checks: Vec<HealthCheck>,
}

impl Watched {
    fn new(context: &Running) -> Watched {
        Watched { name: context.name, services: context.services().collect(), checks: context.checks.clone() }
    }
}

/// Reports health when it changes: a report wakes everybody who watches it.
struct Report {
    reporter: HealthReporter,
    watched: Vec<Watched>,
    reported: HashMap<String, ServingStatus>,
}

impl Report {
    async fn until(&mut self, halted: &mut oneshot::Receiver<()>) {
        loop {
            self.report(false).await;
            if tokio::time::timeout(HEALTH_PERIOD, &mut *halted).await.is_ok() {
                return self.report(true).await;
            }
        }
    }

    /// Reports the health of each context by its name and those of its services, of each check by `context.check`, and
    /// of the process by "". `live` is healthy as long as there is an answer at all: a restart would not help a missing
    /// dependency.
    async fn report(&mut self, stopping: bool) {
        let status = |is_up: bool| if is_up && !stopping { ServingStatus::Serving } else { ServingStatus::NotServing };
        let mut found = vec![("live".to_owned(), ServingStatus::Serving)];
        let mut all_up = true;
        for Watched { name, services, checks } in &self.watched {
            let mut is_up = true;
            for check in checks {
                is_up &= check.is_up();
                found.push((format!("{name}.{}", check.name()), status(check.is_up())));
            }
            all_up &= is_up;
            found.extend(services.iter().chain([name]).map(|service| ((*service).to_owned(), status(is_up))));
        }
        found.push((String::new(), status(all_up)));
        for (service, status) in found {
            if self.reported.get(&service) != Some(&status) {
                self.reporter.set_service_status(service.as_str(), status).await;
                self.reported.insert(service, status);
            }
        }
    }
}
