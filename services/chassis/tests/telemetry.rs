//! What a collector receives: one trace through an RPC and its consequences, with its logs, and the metrics.

#![expect(clippy::unwrap_used, reason = "what a helper can't do fails its test")]

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chassis::access::{Calls, Guard, Limits};
use chassis::auth::Auth;
use chassis::breaker::Position;
use chassis::clock::{Clock, Timestamp};
use chassis::envelope::Envelope;
use chassis::telemetry::{Format, Meters, Settings, Telemetry, TelemetryError, consumed, current_traceparent};
use contracts::RPCS;
use http::{Request, Response};
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_server::{LogsService, LogsServiceServer};
use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsServiceRequest, ExportLogsServiceResponse};
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{ExportMetricsServiceRequest, ExportMetricsServiceResponse};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::trace::v1::Span;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::util::{ServiceExt as _, service_fn};
use tower::{Layer as _, Service as _};
use uuid::Uuid;

#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Heard>>);

#[derive(Default)]
struct Heard {
    spans: Vec<Span>,
    logs: Vec<LogRecord>,
    metrics: Vec<String>,
    services: Vec<String>,
}

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: tonic::Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, Status> {
        let mut received = self.0.lock().unwrap();
        for resource in request.into_inner().resource_spans {
            let attributes = resource.resource.unwrap().attributes;
            received.services.extend(attributes.iter().map(|a| format!("{}={:?}", a.key, a.value)));
            received.spans.extend(resource.scope_spans.into_iter().flat_map(|scope| scope.spans));
        }
        Ok(tonic::Response::new(Default::default()))
    }
}

#[tonic::async_trait]
impl LogsService for Collector {
    async fn export(
        &self,
        request: tonic::Request<ExportLogsServiceRequest>,
    ) -> Result<tonic::Response<ExportLogsServiceResponse>, Status> {
        let scopes = request.into_inner().resource_logs.into_iter().flat_map(|resource| resource.scope_logs);
        self.0.lock().unwrap().logs.extend(scopes.flat_map(|scope| scope.log_records));
        Ok(tonic::Response::new(Default::default()))
    }
}

#[tonic::async_trait]
impl MetricsService for Collector {
    async fn export(
        &self,
        request: tonic::Request<ExportMetricsServiceRequest>,
    ) -> Result<tonic::Response<ExportMetricsServiceResponse>, Status> {
        let scopes = request.into_inner().resource_metrics.into_iter().flat_map(|resource| resource.scope_metrics);
        self.0.lock().unwrap().metrics.extend(scopes.flat_map(|scope| scope.metrics).map(|metric| metric.name));
        Ok(tonic::Response::new(Default::default()))
    }
}

async fn collector() -> (Collector, String) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let collector = Collector::default();
    let server = tonic::transport::Server::builder()
        .add_service(TraceServiceServer::new(collector.clone()))
        .add_service(LogsServiceServer::new(collector.clone()))
        .add_service(MetricsServiceServer::new(collector.clone()));
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    (collector, endpoint)
}

fn settings(endpoint: Option<String>) -> Settings {
    let (service, instance, filter) = ("rental".to_owned(), "rental-0".to_owned(), "warn".to_owned());
    Settings { service, instance, endpoint, format: Format::Json, filter }
}

fn event(traceparent: Option<String>) -> Envelope {
    Envelope {
        event_id: Uuid::from_u128(1),
        kind: "nadeuri.rental.v1.CarReserved".to_owned(),
        source: "rental".to_owned(),
        subject: "car-1".to_owned(),
        at: Timestamp::from_micros(0),
        correlation_id: Uuid::from_u128(2),
        causation_id: None,
        sequence: 1,
        traceparent,
        body: Vec::new(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_trace_goes_through_a_call_and_what_follows_from_it() {
    assert_eq!(current_traceparent(), None, "nothing is traced without a collector");
    let bad = Telemetry::start(&settings(Some("localhost:4317".into()))).unwrap_err();
    assert!(matches!(bad, TelemetryError::Endpoint(_)));
    let (collector, endpoint) = collector().await;
    let telemetry = Telemetry::start(&settings(Some(endpoint))).unwrap();
    assert!(matches!(Telemetry::start(&settings(None)), Err(TelemetryError::Started)));

    let handler = service_fn(async |_| {
        tracing::warn!("in the handler");
        let inside = event(current_traceparent());
        consumed(&inside).unwrap();
        let failed = Status::internal("a bug").into_http::<Body>();
        Ok::<Response<Body>, Infallible>(failed)
    });
    let mut service = Guard::new(Auth::Off, Clock::system(), Limits::default(), Calls::default()).layer(handler);
    let caller = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let request = || {
        Request::post(RPCS[0].path)
            .header("content-type", "application/grpc")
            .header("traceparent", caller)
            .body(Body::empty())
            .unwrap()
    };
    let response = service.ready().await.unwrap().call(request()).await.unwrap();
    assert_eq!(Status::from_header_map(response.headers()).unwrap().code(), Code::Internal);
    drop(service.call(request()));
    record_each_meter();
    telemetry.shutdown(Duration::from_secs(5)).await;

    let received = collector.0.lock().unwrap();
    let method = RPCS[0].path.trim_start_matches('/');
    let [server, cancelled] = &*received.spans.iter().filter(|span| span.name == method).collect::<Vec<_>>() else {
        panic!("two calls, two spans: {:?}", received.spans)
    };
    let attribute = |span: &Span, key: &str| {
        let found = span.attributes.iter().find(|attribute| attribute.key == key);
        found.map(|attribute| format!("{:?}", attribute.value)).unwrap_or_default()
    };
    assert_eq!(hex(&server.trace_id), "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(hex(&server.parent_span_id), "00f067aa0ba902b7");
    assert_eq!((server.kind, server.status.as_ref().unwrap().code), (2, 2), "a server's, which failed");
    assert!(attribute(server, "rpc.response.status_code").contains("INTERNAL"));
    assert!(attribute(server, "error.type").contains("INTERNAL"));
    assert!(attribute(cancelled, "rpc.response.status_code").contains("CANCELLED"));

    let consumer = received.spans.iter().find(|span| span.name == "process nadeuri.rental.v1.CarReserved").unwrap();
    assert_eq!((&consumer.trace_id, &consumer.parent_span_id), (&server.trace_id, &server.span_id));
    let [log] = &*received.logs else { panic!("one log: {:?}", received.logs) };
    assert_eq!((&log.trace_id, &log.span_id), (&server.trace_id, &server.span_id));
    assert!(
        received
            .services
            .iter()
            .any(|attribute| attribute.starts_with("service.name=") && attribute.contains("rental"))
    );
    assert_each_meter(&received.metrics);
}

fn record_each_meter() {
    let events = [event(None)];
    Meters::outbox("rental", 3, Some(Duration::from_secs(2)));
    Meters::published("rental", &events);
    Meters::consumed("fleet", &events, Timestamp::from_micros(1_000_000));
    Meters::dead_letter("fleet");
    Meters::peer_call("rental", "payment", Position::Open, true);
    Meters::pool("rental", 1, 8);
}

fn assert_each_meter(received: &[String]) {
    for name in [
        "rpc.server.call.duration",
        "nadeuri.outbox.depth",
        "nadeuri.outbox.age",
        "nadeuri.events.published",
        "nadeuri.events.consumed",
        "nadeuri.consumer.lag",
        "nadeuri.dead_letters",
        "nadeuri.peer.calls",
        "nadeuri.breaker.state",
        "nadeuri.pool.used",
        "nadeuri.pool.size",
    ] {
        assert!(received.iter().any(|metric| metric == name), "{name} among {received:?}");
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
