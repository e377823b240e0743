//! The guard: which calls it admits.

#![expect(clippy::unwrap_used, reason = "what a helper can't do fails its test")]

use std::convert::Infallible;
use std::num::NonZeroU32;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use chassis::access::{Deadline, Guard, Guarded, Limits, Rate};
use chassis::auth::{Auth, Caller};
use chassis::clock::Clock;
use contracts::{RPCS, Role, Rpc};
use futures::future::BoxFuture;
use http::{Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::BodyExt as _;
use prost::bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::Instant;
use tonic::body::Body;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;
use tower::util::{BoxCloneSyncService, ServiceExt as _, service_fn};
use tower::{Layer as _, Service as _};

type Inner = BoxCloneSyncService<Request<Body>, Response<Body>, Infallible>;

/// A service that does what `handle` does.
fn service(handle: impl Fn(Request<Body>) -> BoxFuture<'static, ()> + Clone + Send + Sync + 'static) -> Inner {
    BoxCloneSyncService::new(service_fn(move |request| {
        let handling = handle(request);
        async move {
            handling.await;
            Ok(Response::new(Body::empty()))
        }
    }))
}

fn answers() -> Inner {
    service(|_| Box::pin(async {}))
}

fn guard(limits: Limits) -> Guard {
    Guard::new(Auth::Off, Clock::system(), limits, [("fleet", "rental")].into_iter().collect())
}

fn open_to(role: Role, but_not: Role) -> &'static Rpc {
    RPCS.iter().find(|rpc| rpc.roles.contains(&role) && !rpc.roles.contains(&but_not)).unwrap()
}

fn request(path: &str, headers: &[(&str, &str)]) -> Request<Body> {
    let request = Request::post(path).header("content-type", "application/grpc");
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    request.body(Body::empty()).unwrap()
}

/// The status of a call; `Ok` if it was admitted.
async fn call(service: &Guarded<Inner>, path: &str, headers: &[(&str, &str)]) -> Status {
    let response = service.clone().oneshot(request(path, headers)).await.unwrap();
    Status::from_header_map(response.headers()).unwrap_or_else(|| Status::ok(""))
}

fn reason(status: &Status) -> String {
    let info = status.get_details_error_info().unwrap();
    assert_eq!(info.domain, "nadeuri");
    info.reason
}

fn retry_after(status: &Status) -> Duration {
    status.get_details_retry_info().unwrap().retry_delay.unwrap()
}

#[tokio::test]
async fn a_role_of_the_contract_is_needed() {
    let service = guard(Limits::default()).layer(answers());
    let path = open_to(Role::Admin, Role::Customer).path;
    let denied = call(&service, path, &[("x-roles", "customer")]).await;
    assert_eq!((denied.code(), &*reason(&denied)), (Code::PermissionDenied, "ROLE_MISSING"));
    assert!(denied.message().contains("admin"), "{denied}");
    assert_eq!(call(&service, path, &[("x-roles", "customer,admin")]).await.code(), Code::Ok);
}

#[tokio::test]
async fn a_context_makes_only_the_calls_that_it_declares() {
    let service = guard(Limits::default()).layer(answers());
    let only_contexts = |rpc: &&Rpc| rpc.context == "rental" && rpc.roles == [Role::Service];
    let path = RPCS.iter().find(only_contexts).unwrap().path;
    assert_eq!(call(&service, path, &[("x-user", "fleet"), ("x-roles", "service")]).await.code(), Code::Ok);
    for name in ["mypage", "rental", "guest"] {
        let denied = call(&service, path, &[("x-user", name), ("x-roles", "service,admin")]).await;
        assert_eq!((denied.code(), &*reason(&denied)), (Code::PermissionDenied, "ROLE_MISSING"), "{name}");
    }
}

#[tokio::test]
async fn a_call_without_a_caller_is_rejected() {
    let service = guard(Limits::default()).layer(answers());
    let denied = call(&service, RPCS[0].path, &[("x-user", "")]).await;
    assert_eq!((denied.code(), &*reason(&denied)), (Code::Unauthenticated, "UNAUTHENTICATED"));
}

#[tokio::test]
async fn a_path_outside_of_the_contracts_is_rejected_except_for_health_and_reflection() {
    let service = guard(Limits::default()).layer(answers());
    for path in
        ["/", "/nadeuri.rental.v1.RentalService/Steal", "/grpc.channelz.v1.Channelz/GetServers", "/grpc.health.v1"]
    {
        let denied = call(&service, path, &[]).await;
        assert_eq!((denied.code(), &*reason(&denied)), (Code::Unimplemented, "UNKNOWN_RPC"), "{path}");
    }
    for path in [
        "/grpc.health.v1.Health/Check",
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
    ] {
        assert_eq!(call(&service, path, &[("x-user", "")]).await.code(), Code::Ok, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn handlers_get_the_caller_and_the_deadline() {
    let handle = |request: Request<Body>| -> BoxFuture<'static, ()> {
        let caller = request.extensions().get::<Caller>().unwrap();
        let Deadline(deadline) = request.extensions().get().unwrap();
        assert!(caller.is("rider-1") && *deadline <= Instant::now() + Duration::from_secs(5));
        Box::pin(async {})
    };
    let service = guard(Limits::default()).layer(service(handle));
    assert_eq!(call(&service, RPCS[0].path, &[("x-user", "rider-1"), ("grpc-timeout", "5S")]).await.code(), Code::Ok);
}

#[tokio::test(start_paused = true)]
async fn a_call_ends_at_its_deadline_which_is_never_past_the_limit() {
    let limits = Limits { deadline: Duration::from_secs(30), ..Limits::default() };
    let service = guard(limits).layer(service(|_| Box::pin(std::future::pending())));
    for (timeout, seconds) in [("5S", 5), ("1H", 30), ("nonsense", 30)] {
        let began = Instant::now();
        let late = call(&service, RPCS[0].path, &[("grpc-timeout", timeout)]).await;
        assert_eq!((late.code(), &*reason(&late)), (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"));
        assert!(Duration::from_secs(seconds).abs_diff(began.elapsed()) < Duration::from_millis(10), "{timeout}");
    }
}

#[tokio::test]
async fn a_rate_limited_caller_is_answered_with_a_retry_delay() {
    let once = NonZeroU32::MIN;
    let limits = Limits { rate: Some(Rate { per_second: once, burst: once }), ..Limits::default() };
    let service = guard(limits).layer(answers());
    let rpc = open_to(Role::Customer, Role::Unspecified);
    let as_customer = [("x-user", "hasty"), ("x-roles", "customer")];
    assert_eq!(call(&service, rpc.path, &as_customer).await.code(), Code::Ok);
    let denied = call(&service, rpc.path, &as_customer).await;
    assert_eq!((denied.code(), &*reason(&denied)), (Code::ResourceExhausted, "RATE_LIMITED"));
    assert!((Duration::from_millis(1)..=Duration::from_secs(1)).contains(&retry_after(&denied)));

    assert_eq!(call(&service, rpc.path, &[("x-user", "other"), ("x-roles", "customer")]).await.code(), Code::Ok);
    for _ in 0..10 {
        let as_service = [("x-user", "rental"), ("x-roles", "customer,service")];
        assert_eq!(call(&service, rpc.path, &as_service).await.code(), Code::Ok, "contexts are exempt");
    }
}

#[tokio::test]
async fn an_overloaded_process_rejects_new_calls_but_not_those_within_it() {
    let open = Arc::new(Notify::new());
    let wait = {
        let open = open.clone();
        service(move |_| Box::pin(open.clone().notified_owned()))
    };
    let guard = guard(Limits { in_flight: 1, ..Limits::default() });
    let mut service = guard.layer(wait);
    let under_way = tokio::spawn(service.call(request(RPCS[0].path, &[])));
    let denied = call(&service, RPCS[0].path, &[]).await;
    assert_eq!((denied.code(), &*reason(&denied)), (Code::ResourceExhausted, "OVERLOADED"));
    assert_eq!(retry_after(&denied), Duration::from_secs(1));
    assert_eq!(call(&guard.within().layer(answers()), RPCS[0].path, &[]).await.code(), Code::Ok);

    open.notify_one();
    under_way.await.unwrap().unwrap();
    open.notify_one();
    assert_eq!(call(&service, RPCS[0].path, &[]).await.code(), Code::Ok, "the place is free again");
}

#[tokio::test]
async fn one_caller_gets_a_share_of_the_calls_under_way_and_admins_get_through() {
    let never = service(|_| Box::pin(std::future::pending()));
    let guard = guard(Limits { in_flight: 16, ..Limits::default() });
    let (mut hanging, answering) = (guard.layer(never), guard.layer(answers()));
    let path = open_to(Role::Customer, Role::Unspecified).path;
    let mut under_way = Vec::new();
    for name in ["greedy", "other", "third"] {
        let headers = [("x-user", name), ("x-roles", "customer")];
        under_way.extend((0..4).map(|_| hanging.call(request(path, &headers))));
        let denied = call(&answering, path, &headers).await;
        assert_eq!((denied.code(), &*reason(&denied)), (Code::ResourceExhausted, "TOO_MANY_CALLS"));
        assert_eq!(retry_after(&denied), Duration::from_secs(1));
    }
    let fourth = [("x-user", "fourth"), ("x-roles", "customer")];
    under_way.extend((0..2).map(|_| hanging.call(request(path, &fourth))));
    assert_eq!(reason(&call(&answering, path, &fourth).await), "OVERLOADED");
    let admin = [("x-user", "ops"), ("x-roles", "admin")];
    assert_eq!(call(&answering, open_to(Role::Admin, Role::Customer).path, &admin).await.code(), Code::Ok);
    drop(under_way);
    assert_eq!(call(&answering, path, &fourth).await.code(), Code::Ok);
}

#[tokio::test]
async fn content_that_is_not_grpc_is_refused_by_http() {
    let service = guard(Limits::default()).layer(answers());
    for content in [None, Some("text/plain"), Some("application/json"), Some("application/grp")] {
        let request = content
            .iter()
            .fold(Request::post(RPCS[0].path), |request, content| request.header("content-type", *content));
        let response = service.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(
            (response.status(), response.headers().get("grpc-status")),
            (StatusCode::UNSUPPORTED_MEDIA_TYPE, None)
        );
    }
    let proto = [("content-type", "application/grpc+proto")];
    let request =
        proto.iter().fold(Request::post(RPCS[0].path), |request, (name, value)| request.header(*name, *value));
    assert_eq!(service.oneshot(request.body(Body::empty()).unwrap()).await.unwrap().status(), StatusCode::OK);
}

/// A body that never comes.
#[derive(Default)]
struct Silent;

impl http_body::Body for Silent {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        Poll::Pending
    }
}

/// Reads the request, and answers as it ends.
fn reads() -> Inner {
    BoxCloneSyncService::new(service_fn(|request: Request<Body>| async {
        let read = request.into_body().collect().await;
        Ok(read.map_or_else(|status| status.into_http(), |_| Response::new(Body::empty())))
    }))
}

#[tokio::test(start_paused = true)]
async fn a_request_that_does_not_arrive_gives_its_place_back_soon() {
    let guard = guard(Limits { in_flight: 1, ..Limits::default() });
    let silent = request(RPCS[0].path, &[]).map(|_| Body::new(Silent));
    let start = Instant::now();
    let response = guard.layer(reads()).oneshot(silent).await.unwrap();
    let late = Status::from_header_map(response.headers()).unwrap();
    assert_eq!((late.code(), &*reason(&late)), (Code::DeadlineExceeded, "REQUEST_TOO_SLOW"));
    assert_eq!(start.elapsed().as_secs(), 5);
    assert_eq!(call(&guard.layer(reads()), RPCS[0].path, &[]).await.code(), Code::Ok);
}

#[tokio::test(start_paused = true)]
async fn a_client_of_reflection_may_ask_later() {
    let silent = request("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", &[]).map(|_| Body::new(Silent));
    let open = guard(Limits::default()).layer(reads()).oneshot(silent);
    assert!(tokio::time::timeout(Duration::from_secs(60), open).await.is_err(), "it stays open");
}

/// Answers with a stream without an end.
fn streams() -> Inner {
    BoxCloneSyncService::new(service_fn(|_: Request<Body>| async { Ok(Response::new(Body::new(Silent))) }))
}

async fn stream(guard: &Guard, path: &str) -> Response<Body> {
    guard.layer(streams()).oneshot(request(path, &[])).await.unwrap()
}

/// The status at the end of a stream.
async fn end_of(response: Response<Body>) -> Status {
    let read = response.into_body().collect().await.unwrap();
    Status::from_header_map(read.trailers().unwrap()).unwrap()
}

#[tokio::test]
async fn streams_end_when_the_process_stops() {
    let rpc = RPCS.iter().find(|rpc| rpc.is_stream).unwrap();
    for path in [rpc.path, "/grpc.health.v1.Health/Watch"] {
        let guard = guard(Limits::default());
        let open = stream(&guard, path).await;
        guard.end_streams();
        assert_eq!(call(&guard.layer(answers()), RPCS[0].path, &[]).await.code(), Code::Ok, "calls go on");
        let ended = end_of(open).await;
        assert_eq!((ended.code(), &*reason(&ended)), (Code::Unavailable, "STOPPING"), "{path}");
    }
}

#[tokio::test]
async fn streams_of_health_and_reflection_are_bounded_and_health_checks_are_not() {
    let guard = guard(Limits::default());
    let watch = "/grpc.health.v1.Health/Watch";
    let mut open = Vec::new();
    for _ in 0..256 {
        open.push(stream(&guard, watch).await);
    }
    let denied = Status::from_header_map(stream(&guard, watch).await.headers()).unwrap();
    assert_eq!((denied.code(), &*reason(&denied)), (Code::ResourceExhausted, "OVERLOADED"));
    let checked = stream(&guard, "/grpc.health.v1.Health/Check").await;
    assert_eq!(Status::from_header_map(checked.headers()).map(|status| status.code()), None);
    open.pop();
    assert!(Status::from_header_map(stream(&guard, watch).await.headers()).is_none(), "a place is free again");
}

#[tokio::test]
async fn a_cancelled_call_releases_its_permit() {
    let guard = guard(Limits { in_flight: 1, ..Limits::default() });
    let given_up = guard.layer(service(|_| Box::pin(std::future::pending()))).call(request(RPCS[0].path, &[]));
    drop(given_up);
    assert_eq!(call(&guard.layer(answers()), RPCS[0].path, &[]).await.code(), Code::Ok);
}

#[tokio::test]
async fn a_panic_fails_only_its_own_call() {
    let service = guard(Limits { in_flight: 1, ..Limits::default() })
        .layer(service(|_| Box::pin(async { panic!("a bug with a secret in it") })));
    for _ in 0..2 {
        let failed = call(&service, RPCS[0].path, &[]).await;
        assert_eq!((failed.code(), &*reason(&failed)), (Code::Internal, "INTERNAL"));
        assert!(!failed.message().contains("secret"), "{failed}");
    }
}
