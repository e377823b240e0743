//! One gRPC server for the contexts of a process: their services, operations, health and reflection, behind the guard.

use std::net::SocketAddr;
use std::time::Duration;

use contracts::operations::v1::operations_service_server::OperationsServiceServer;
use tokio::net::TcpListener;
use tonic::server::NamedService;
use tonic::service::Routes;
use tonic::transport::server::TcpIncoming;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use crate::access::Guard;
use crate::context::Running;
use crate::health::HealthCheck;
use crate::operations::Operations;
use crate::runtime::supervise;

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

/// Listens at an address.
pub async fn listen(address: SocketAddr) -> Result<TcpListener, ServeError> {
    TcpListener::bind(address).await.map_err(|cause| ServeError::Listen { address, cause })
}

/// Serves until `stop` is done, then lets the calls under way finish. Health reports "not serving" for `linger` before
/// new calls are rejected, so that load balancers switch to other replicas.
pub async fn serve(
    listener: TcpListener,
    contexts: &[Running],
    guard: Guard,
    linger: Duration,
    stop: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let (reporter, health) = tonic_health::server::health_reporter();
    let mut routes = Routes::builder();
    contexts.iter().for_each(|context| context.add_services(&mut routes));
    routes.add_service(OperationsServiceServer::new(Operations::of(contexts)));
    routes.add_service(health);
    let mut names: Vec<&str> = contexts.iter().flat_map(Running::services).collect();
    names.extend([OperationsServiceServer::<Operations>::NAME, "grpc.health.v1.Health"]);
    routes.add_service(reflection(&names).build_v1()?);
    routes.add_service(reflection(&names).build_v1alpha()?);

    let watched: Vec<Watched> = contexts.iter().map(Watched::new).collect();
    let state = (reporter.clone(), watched.clone());
    let watching = tokio::spawn(supervise("server", "report of health", state, |(reporter, watched)| {
        Box::pin(watch(reporter, watched))
    }));
    let stopped = async {
        stop.await;
        watching.abort();
        report(&reporter, &watched, true).await;
        tokio::time::sleep(linger).await;
    };
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
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

async fn watch(reporter: &HealthReporter, watched: &[Watched]) {
    loop {
        report(reporter, watched, false).await;
        tokio::time::sleep(HEALTH_PERIOD).await;
    }
}

/// Reports the health of each context by its name and those of its services, of each check by `context.check`, and of
/// the process by "". `live` is healthy as long as there is an answer at all: a restart would not help a missing
/// dependency.
async fn report(reporter: &HealthReporter, watched: &[Watched], stopping: bool) {
    let status = |is_up: bool| if is_up && !stopping { ServingStatus::Serving } else { ServingStatus::NotServing };
    let mut all_up = true;
    for Watched { name, services, checks } in watched {
        let mut is_up = true;
        for check in checks {
            is_up &= check.is_up();
            reporter.set_service_status(format!("{name}.{}", check.name()), status(check.is_up())).await;
        }
        all_up &= is_up;
        for service in services.iter().chain([name]) {
            reporter.set_service_status(*service, status(is_up)).await;
        }
    }
    reporter.set_service_status("", status(all_up)).await;
    reporter.set_service_status("live", ServingStatus::Serving).await;
}
