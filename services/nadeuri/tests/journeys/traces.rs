//! Traces: a collector gets one trace over calls, outboxes, the bus and consumers, also between processes.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use contracts::payment::v1::PaymentState;
use contracts::rental::v1::ReservationState;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

use crate::runner::{Suite, journeys};
use crate::support::cluster::{Cluster, Setup};
use crate::support::{eventually, period};

pub fn add(suite: &mut Suite) {
    journeys! { suite.own:
        x9_one_trace_goes_through_calls_and_events,
    }
}

async fn x9_one_trace_goes_through_calls_and_events(setup: Setup) {
    let (collector, endpoint) = Collector::start().await;
    let app = Cluster::new(setup).with(&["--otlp", &endpoint]).started().await;
    let (admin, mina) = (app.admin(), app.by("mina"));
    let car = admin.new_car("Hyundai Casper", 54_000).await;
    let trip = mina.reserve(&car, period(1, 3)).await.unwrap();
    mina.rent(&trip).await.unwrap();
    mina.sees_page(&trip, ReservationState::Rented, PaymentState::Approved).await;
    eventually("all contexts have the event of the rental", async || {
        let flow = admin.flow(&trip.reservation_id).await;
        let is_notified = mina.messages(&trip).await.iter().any(|message| message.topic == "CAR_RENTED");
        (is_notified && flow.iter().any(|event| event.r#type.ends_with(".CarStatusChanged"))).then_some(())
    })
    .await;
    // At shutdown they export the remaining spans.
    app.down().await;

    let spans = collector.0.lock().unwrap();
    let rent = spans.iter().find(|(_, span)| span.name.ends_with("/RentCar")).expect("the call is traced");
    let in_trace: BTreeSet<(&str, &str)> = spans
        .iter()
        .filter(|(_, span)| span.trace_id == rent.1.trace_id)
        .map(|(service, span)| (service.as_str(), span.name.rsplit(['.', '/']).next().unwrap_or_default()))
        .collect();
    let expected = [
        ("rental", "RentCar"),
        ("payment", "CollectPayment"),
        ("rental", "PaymentApproved"),
        ("fleet", "CarRented"),
        ("notification", "CarRented"),
        ("mypage", "CarRented"),
        ("chronicle", "CarRented"),
        ("chronicle", "CarStatusChanged"),
    ];
    for (context, name) in expected {
        let service = if setup == Setup::PerContext { context } else { "nadeuri" };
        assert!(in_trace.contains(&(service, name)), "{context}: {name} is not in the trace of RentCar: {in_trace:?}");
    }
}

/// The spans that were exported, each with the name of its service.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<(String, Span)>>>);

impl Collector {
    /// Starts it; returns its endpoint too.
    async fn start() -> (Collector, String) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let collector = Collector::default();
        let server = tonic::transport::Server::builder().add_service(TraceServiceServer::new(collector.clone()));
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        (collector, endpoint)
    }
}

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let mut exported = self.0.lock().unwrap();
        for part in request.into_inner().resource_spans {
            let service = service_name(&part.resource.unwrap_or_default());
            let spans = part.scope_spans.into_iter().flat_map(|scope| scope.spans);
            exported.extend(spans.map(|span| (service.clone(), span)));
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

fn service_name(resource: &Resource) -> String {
    let name = resource.attributes.iter().find(|attribute| attribute.key == "service.name");
    match name.and_then(|attribute| attribute.value.as_ref()?.value.as_ref()) {
        Some(Value::StringValue(name)) => name.clone(),
        other => panic!("a service has no name: {other:?}"),
    }
}
