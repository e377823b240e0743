//! The client against a fake server that fails on demand.

#![expect(clippy::unwrap_used, reason = "what the server within the test can't do fails the test")]

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};
use std::time::Duration;

use client::{Client, Error, Options, Violation};
use contracts::chronicle::v1::{Event, WatchEventsRequest, WatchEventsResponse};
use contracts::fleet::v1::{Car, ListCarsRequest, ListCarsResponse};
use contracts::rental::v1::{Reservation, ReserveCarRequest, ReserveCarResponse};
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use tonic::body::Body;
use tonic::metadata::MetadataMap;
use tonic::server::{Grpc, NamedService};
use tonic::{Code, Request, Response, Status};
use tonic_prost::ProstCodec;
use tonic_types::{ErrorDetails, StatusExt};

const REQUEST_TIMEOUT: &str = "grpc-timeout";

/// The requests that the server received, and the failures of its next calls.
#[derive(Default)]
struct State {
    failures: Vec<Status>,
    request_ids: Vec<String>,
    headers: Vec<MetadataMap>,
    watched_from: Vec<i64>,
}

#[derive(Clone, Default)]
struct Fake(Arc<Mutex<State>>);

impl Fake {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    fn fails(&self, failures: impl IntoIterator<Item = Status>) {
        self.state().failures.extend(failures);
    }

    fn take<T>(&self, headers: &MetadataMap, answer: T) -> Result<Response<T>, Status> {
        let mut state = self.state();
        state.headers.push(headers.clone());
        if state.failures.is_empty() { Ok(Response::new(answer)) } else { Err(state.failures.remove(0)) }
    }

    fn reserve(&self, request: Request<ReserveCarRequest>) -> Ready<Result<Response<ReserveCarResponse>, Status>> {
        self.state().request_ids.push(request.get_ref().request_id.clone());
        let reservation = Reservation { car_id: request.get_ref().car_id.clone(), ..Reservation::default() };
        ready(self.take(request.metadata(), ReserveCarResponse { reservation: Some(reservation) }))
    }

    /// Three pages of two.
    fn list(&self, request: Request<ListCarsRequest>) -> Ready<Result<Response<ListCarsResponse>, Status>> {
        let page: u32 = request.get_ref().page_token.parse().unwrap_or(0);
        let car = |number: u32| Car { car_id: format!("{page}-{number}"), ..Car::default() };
        let next_page_token = if page == 2 { String::new() } else { (page + 1).to_string() };
        ready(self.take(request.metadata(), ListCarsResponse { cars: vec![car(0), car(1)], next_page_token }))
    }

    /// Two events, and then the failure.
    fn watch(&self, request: Request<WatchEventsRequest>) -> Ready<Result<Response<Events>, Status>> {
        let after = request.get_ref().after_position.unwrap_or(0);
        self.state().watched_from.push(after);
        let event = |position: i64| Event { position, ..Event::default() };
        let answer = |position: i64| Ok(WatchEventsResponse { event: Some(event(after + position)) });
        let end = self.take(request.metadata(), ()).err().map(Err);
        ready(Ok(Response::new(stream::iter([answer(1), answer(2)].into_iter().chain(end)).boxed())))
    }

    async fn serve(self, request: http::Request<Body>) -> Result<http::Response<Body>, Infallible> {
        let path = request.uri().path().to_owned();
        Ok(match path.rsplit('/').next().unwrap() {
            "ReserveCar" => {
                let reserve = tower::service_fn(move |request| self.reserve(request));
                Grpc::new(ProstCodec::default()).unary(reserve, request).await
            }
            "ListCars" => {
                let list = tower::service_fn(move |request| self.list(request));
                Grpc::new(ProstCodec::default()).unary(list, request).await
            }
            "WatchEvents" => {
                let watch = tower::service_fn(move |request| self.watch(request));
                Grpc::new(ProstCodec::default()).server_streaming(watch, request).await
            }
            _ => panic!("nobody calls {path}"),
        })
    }
}

type Events = BoxStream<'static, Result<WatchEventsResponse, Status>>;

macro_rules! services {
    ($($service:ident $name:literal,)*) => {$(
        #[derive(Clone)]
        struct $service(Fake);

        impl NamedService for $service {
            const NAME: &'static str = $name;
        }

        impl tower::Service<http::Request<Body>> for $service {
            type Response = http::Response<Body>;
            type Error = Infallible;
            type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

            fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
                Poll::Ready(Ok(()))
            }

            fn call(&mut self, request: http::Request<Body>) -> Self::Future {
                Box::pin(self.0.clone().serve(request))
            }
        }
    )*};
}

services! {
    RentalService "nadeuri.rental.v1.RentalService",
    FleetService "nadeuri.fleet.v1.FleetService",
    ChronicleService "nadeuri.chronicle.v1.ChronicleService",
}

async fn start(options: Options) -> (Fake, Client) {
    let fake = Fake::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tonic::transport::Server::builder()
        .add_service(RentalService(fake.clone()))
        .add_service(FleetService(fake.clone()))
        .add_service(ChronicleService(fake.clone()));
    tokio::spawn(server.serve_with_incoming(tokio_stream::wrappers::TcpListenerStream::new(listener)));
    (fake, Client::connect(&format!("http://{address}"), options).unwrap())
}

fn failure(code: Code, details: ErrorDetails) -> Status {
    Status::with_error_details(code, "on demand", details)
}

fn retry_after(code: Code, delay: Duration) -> Status {
    failure(code, ErrorDetails::with_retry_info(Some(delay)))
}

async fn reserve(client: &Client) -> Result<(), Error> {
    client.send(ReserveCarRequest { car_id: "casper".to_owned(), ..ReserveCarRequest::default() }).await.map(drop)
}

#[tokio::test]
async fn a_retry_keeps_the_request_id() {
    let (fake, client) = start(Options::default()).await;
    fake.fails([Status::unavailable("on demand"), retry_after(Code::Aborted, Duration::from_millis(1))]);
    reserve(&client).await.unwrap();
    let request_ids = fake.state().request_ids.clone();
    assert_eq!(request_ids[0].len(), 36);
    assert_eq!(request_ids, vec![request_ids[0].clone(); 3]);
}

#[tokio::test]
async fn each_call_has_a_request_id_of_its_own_unless_it_brings_one() {
    let (fake, client) = start(Options::default()).await;
    reserve(&client).await.unwrap();
    reserve(&client).await.unwrap();
    let request = ReserveCarRequest { request_id: "mine".to_owned(), ..ReserveCarRequest::default() };
    client.send(request).await.unwrap();
    let state = fake.state();
    assert_ne!(state.request_ids[0], state.request_ids[1]);
    assert_eq!(state.request_ids[2], "mine");
}

#[tokio::test]
async fn a_refusal_is_typed_and_not_retried() {
    let (fake, client) = start(Options::default()).await;
    let details = ErrorDetails::with_error_info("PERIOD_TAKEN", "nadeuri", []);
    fake.fails([failure(Code::FailedPrecondition, details)]);
    let error = reserve(&client).await.unwrap_err();
    assert_eq!((error.reason(), error.code()), ("PERIOD_TAKEN", Code::FailedPrecondition));
    assert_eq!(error.to_string(), "PERIOD_TAKEN: on demand");
    assert_eq!(fake.state().request_ids.len(), 1);
}

#[tokio::test]
async fn invalid_fields_are_named() {
    let (fake, client) = start(Options::default()).await;
    let details = ErrorDetails::with_bad_request_violation("period.end_time", "it must be later");
    fake.fails([failure(Code::InvalidArgument, details)]);
    let error = reserve(&client).await.unwrap_err();
    let wrong = Violation { field: "period.end_time".to_owned(), description: "it must be later".to_owned() };
    assert_eq!(error.violations(), [wrong]);
}

#[tokio::test]
async fn the_number_of_attempts_is_limited() {
    let (fake, client) = start(Options::default()).await;
    fake.fails(vec![retry_after(Code::Unavailable, Duration::from_millis(1)); 10]);
    let error = reserve(&client).await.unwrap_err();
    assert_eq!(error.retry_delay(), Some(Duration::from_millis(1)));
    assert_eq!(fake.state().request_ids.len(), 4);
}

#[tokio::test]
async fn a_delay_beyond_the_deadline_is_not_waited_for() {
    let (fake, client) = start(Options::default()).await;
    fake.fails([retry_after(Code::Unavailable, Duration::from_secs(3_600))]);
    let error = reserve(&client).await.unwrap_err();
    assert_eq!(error.retry_delay(), Some(Duration::from_secs(3_600)));
    assert_eq!(fake.state().request_ids.len(), 1);
}

#[tokio::test]
async fn every_call_has_a_deadline_the_token_and_the_headers() {
    let (fake, client) = start(Options::default().token("a-token").header("x-user", "mina")).await;
    reserve(&client).await.unwrap();
    let state = fake.state();
    let header = |name: &str| state.headers[0].get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    assert_eq!(header("authorization"), "Bearer a-token");
    assert_eq!(header("x-user"), "mina");
    let micros: u64 = header(REQUEST_TIMEOUT).trim_end_matches('u').parse().unwrap();
    assert!((10_000_000..=15_000_000).contains(&micros), "the deadline is in {micros} µs");
}

#[tokio::test]
async fn a_token_can_be_renewed() {
    static ASKED: AtomicU32 = AtomicU32::new(0);
    let renewed = || ready(Ok::<_, Infallible>((ASKED.fetch_add(1, Ordering::Relaxed) + 1).to_string()));
    let (fake, client) = start(Options::default().token_from(renewed)).await;
    fake.fails([Status::unavailable("on demand")]);
    reserve(&client).await.unwrap();
    let state = fake.state();
    let tokens: Vec<_> = state.headers.iter().map(|headers| headers.get("authorization").unwrap()).collect();
    assert_eq!(tokens, ["Bearer 1", "Bearer 2"]);
}

#[tokio::test]
async fn a_list_is_read_over_all_pages() {
    let (_, client) = start(Options::default()).await;
    let cars: Vec<Car> = client.items(ListCarsRequest::default()).try_collect().await.unwrap();
    let ids: Vec<&str> = cars.iter().map(|car| car.car_id.as_str()).collect();
    assert_eq!(ids, ["0-0", "0-1", "1-0", "1-1", "2-0", "2-1"]);
}

#[tokio::test]
async fn a_watch_resumes_after_the_last_event() {
    let (fake, client) = start(Options::default()).await;
    fake.fails(vec![retry_after(Code::Unavailable, Duration::from_millis(1)); 2]);
    let request = WatchEventsRequest { after_position: Some(40), ..WatchEventsRequest::default() };
    let events: Vec<Event> = client.watch(request).take(6).try_collect().await.unwrap();
    let positions: Vec<i64> = events.iter().map(|event| event.position).collect();
    assert_eq!(positions, [41, 42, 43, 44, 45, 46]);
    assert_eq!(fake.state().watched_from, [40, 42, 44]);
}

#[tokio::test]
async fn a_refused_watch_ends_with_the_error() {
    let (fake, client) = start(Options::default()).await;
    fake.fails([failure(Code::PermissionDenied, ErrorDetails::with_error_info("ROLE_MISSING", "nadeuri", []))]);
    let seen: Vec<Result<Event, Error>> = client.watch(WatchEventsRequest::default()).collect().await;
    assert_eq!(seen.last().unwrap().as_ref().unwrap_err().reason(), "ROLE_MISSING");
}

#[tokio::test]
async fn a_call_without_a_response_ends_at_its_deadline() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", silent.local_addr().unwrap());
    let client = Client::connect(&address, Options::default().deadline(Duration::from_millis(50))).unwrap();
    assert_eq!(reserve(&client).await.unwrap_err().code(), Code::DeadlineExceeded);
}

#[tokio::test]
async fn the_error_of_a_wrong_address_names_the_format() {
    for address in ["127.0.0.1:50051", "ftp://127.0.0.1:50051", "http://"] {
        let error = Client::connect(address, Options::default()).err().unwrap();
        assert!(error.message().contains("give http://HOST:PORT"), "{address}: {error}");
    }
}
