//! Callers who take all that they can get, and say nothing: others are served meanwhile.

use std::sync::Arc;

use contracts::Request as _;
use contracts::chronicle::v1::{WatchEventsRequest, WatchEventsResponse};
use contracts::fleet::v1::ListCarsRequest;
use contracts::rental::v1::{ListReservationsRequest, RentCarRequest};
use futures::future::{join_all, try_join_all};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tonic::codegen::http::StatusCode;
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;

use crate::runner::{Suite, journeys};
use crate::support::client::Who;
use crate::support::cluster::{Cluster, Setup};
use crate::support::{PATIENCE, new_id, period, reason, refused, retry_delay};
use crate::wire::{Sent, Wire, framed, status_after};

/// The calls under way of one caller: a quarter of `--in-flight`, by default.
const SHARE_OF_CALLS: usize = 1024;
/// The streams of events of one caller.
const SHARE_OF_WATCHES: usize = 16;
/// The streams of health and reflection, of all callers.
const OPEN_STREAMS: usize = 256;
const HEALTH_WATCH: &str = "/grpc.health.v1.Health/Watch";

pub fn add(suite: &mut Suite) {
    journeys! { suite.journey:
        hostile_headers_without_a_message_take_no_place_of_others,
        hostile_charges_of_a_card_that_hangs_leave_payment_to_others,
        hostile_watches_that_are_not_read_leave_room_for_others,
        hostile_content_that_is_not_grpc_is_not_executed,
        hostile_connections_that_say_nothing_are_closed,
    }
    let own = hostile_streams_do_not_hold_up_a_stop;
    suite.own_in(Setup::Embedded, "hostile_streams_do_not_hold_up_a_stop", own);
}

/// The metadata of an admin of this name.
fn admin_named(app: &Cluster, name: &str) -> Vec<(&'static str, String)> {
    app.client(Who::Named { name: name.to_owned(), roles: "admin" }).credentials()
}

/// Opens so many calls, and sends no message.
async fn open(wires: &mut [Wire], path: &str, headers: &[(&'static str, String)], each: usize) -> Vec<Sent> {
    let mut calls = Vec::new();
    for wire in wires {
        for _ in 0..each {
            calls.push(wire.open(path, headers).await.unwrap());
        }
    }
    calls
}

async fn hostile_headers_without_a_message_take_no_place_of_others(app: Arc<Cluster>) {
    let address = app.address("rental");
    let mallory = format!("mallory-{}", new_id());
    let mut wires = [Wire::connect(address).await, Wire::connect(address).await, Wire::connect(address).await];
    let path = ListReservationsRequest::RPC.path;
    let calls = open(&mut wires, path, &app.by(&mallory).credentials(), SHARE_OF_CALLS / 2).await;
    let attack = join_all(calls.into_iter().map(Sent::status));
    let others = async {
        let (admin, mina) = (app.admin(), app.by("mina"));
        for _ in 0..20 {
            mina.send(ListReservationsRequest::default()).await.unwrap();
            admin.send(ListReservationsRequest::default()).await.unwrap();
        }
    };
    let (statuses, ()) = tokio::join!(attack, others);
    let with = |wanted: &str| statuses.iter().filter(|status| reason(status) == wanted).count();
    let (slow, refused) = (with("REQUEST_TOO_SLOW"), with("TOO_MANY_CALLS"));
    assert_eq!(slow + refused, statuses.len(), "{:?}", statuses.first());
    assert!(refused > 0 && slow >= SHARE_OF_CALLS, "{refused} refused, {slow} ended");
    let refusal = statuses.iter().find(|status| reason(status) == "TOO_MANY_CALLS").unwrap();
    assert!(refusal.code() == Code::ResourceExhausted && retry_delay(refusal).is_some());
    app.by(&mallory).send(ListReservationsRequest::default()).await.unwrap();
}

async fn hostile_charges_of_a_card_that_hangs_leave_payment_to_others(app: Arc<Cluster>) {
    let (mallory, mina) = (app.by(&format!("mallory-{}", new_id())), app.by("mina"));
    let car = app.admin().new_car("Hyundai Casper", 54_000).await;
    let trip = mallory.reserve(&car, period(1, 1)).await.unwrap();
    let (reservation_id, payment_method) = (trip.reservation_id.clone(), "sandbox-timeout".to_owned());
    let charge = RentCarRequest { reservation_id, payment_method, ..Default::default() };
    let attack = join_all((0..300).map(|_| mallory.send(charge.clone())));
    let others = async {
        for start in [2, 4, 6] {
            let trip = mina.reserve(&car, period(start, 1)).await.unwrap();
            mina.rent_with(&trip, "sandbox-approve").await.unwrap();
        }
    };
    let (charged, ()) = tokio::join!(attack, others);
    let reasons: Vec<String> = charged.iter().map(|answer| reason(answer.as_ref().unwrap_err())).collect();
    let with = |wanted: &str| reasons.iter().filter(|reason| *reason == wanted).count();
    let (pending, refused) = (with("PAYMENT_PENDING"), with("TOO_MANY_CALLS"));
    assert!(
        pending > 0 && refused > 0 && pending + refused == 300,
        "{pending} pending, {refused} refused: {reasons:?}"
    );
    mallory.cancel(&trip).await.unwrap();
}

async fn hostile_watches_that_are_not_read_leave_room_for_others(app: Arc<Cluster>) {
    let mallory = format!("mallory-{}", new_id());
    let mut wire = Wire::connect(app.address("chronicle")).await;
    let path = WatchEventsRequest::RPC.path;
    let all = framed(&WatchEventsRequest { after_position: Some(0), ..Default::default() });
    let mut open = Vec::new();
    for _ in 0..SHARE_OF_WATCHES {
        let mut watch = wire.open(path, &admin_named(&app, &mallory)).await.unwrap();
        watch.body.send_data(all.clone(), true).unwrap();
        open.push(watch.response().await);
    }
    let mut one_more = wire.open(path, &admin_named(&app, &mallory)).await.unwrap();
    one_more.body.send_data(all.clone(), true).unwrap();
    let denied = one_more.status().await;
    refused::<WatchEventsResponse>(Err(denied), Code::ResourceExhausted, "TOO_MANY_CALLS");
    let mut other = wire.open(path, &admin_named(&app, "auditor")).await.unwrap();
    other.body.send_data(all, true).unwrap();
    let watching = other.response().await;
    assert!(Status::from_header_map(watching.headers()).is_none(), "another admin watches");
}

async fn hostile_content_that_is_not_grpc_is_not_executed(app: Arc<Cluster>) {
    let mut wire = Wire::connect(app.address("fleet")).await;
    let mina = app.by("mina").credentials();
    for content in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"] {
        let headers = [mina.as_slice(), &[("content-type", content.to_owned())]].concat();
        let mut sent = wire.open(ListCarsRequest::RPC.path, &headers).await.unwrap();
        // It fails if the answer, which does not wait for the body, is here already.
        let _ = sent.body.send_data(framed(&ListCarsRequest::default()), true);
        assert_eq!(sent.response().await.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE, "{content}");
    }
    assert_eq!(wire.call(&ListCarsRequest::default(), &mina).await.code(), Code::Ok);
}

async fn hostile_connections_that_say_nothing_are_closed(app: Arc<Cluster>) {
    let address = app.address("fleet");
    let silent = try_join_all((0..50).map(|_| TcpStream::connect(address))).await.unwrap();
    let closed = join_all(silent.into_iter().map(|mut connection| async move {
        // It may be reset, too.
        timeout(PATIENCE, connection.read_to_end(&mut Vec::new())).await.is_ok()
    }));
    let browser = async {
        let mut connection = TcpStream::connect(address).await.unwrap();
        connection.write_all(b"POST / HTTP/1.1\r\nhost: nadeuri\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        let _ = timeout(PATIENCE, connection.read_to_end(&mut answer)).await.expect("it is closed");
        assert!(!answer.starts_with(b"HTTP/1"), "HTTP/1.1 is not spoken");
    };
    let (closed, ()) = tokio::join!(closed, browser);
    assert!(closed.iter().all(|is_closed| *is_closed));
}

async fn hostile_streams_do_not_hold_up_a_stop() {
    // A stream that held up the stop would hold it for longer than the test waits.
    let app = Cluster::new(Setup::Embedded).with(&["--stop-ms", "600000"]).started().await;
    let mut wire = Wire::connect(app.address("chronicle")).await;
    let mut watch = wire.open(WatchEventsRequest::RPC.path, &admin_named(&app, "ops")).await.unwrap();
    watch.body.send_data(framed(&WatchEventsRequest::default()), true).unwrap();
    let mut ends = vec![tokio::spawn(status_after(watch.response().await.into_body()))];
    for _ in 0..OPEN_STREAMS {
        let mut watch = wire.open(HEALTH_WATCH, &[]).await.unwrap();
        watch.body.send_data(framed(&HealthCheckRequest::default()), true).unwrap();
        ends.push(tokio::spawn(status_after(watch.response().await.into_body())));
    }
    let one_more = wire.open(HEALTH_WATCH, &[]).await.unwrap().status().await;
    refused::<()>(Err(one_more), Code::ResourceExhausted, "OVERLOADED");

    let stopped = timeout(PATIENCE, app.down());
    let (stopped, ends) = tokio::join!(stopped, try_join_all(ends));
    stopped.expect("streams do not hold it up");
    for status in ends.unwrap() {
        assert!(retry_delay(&status).is_some(), "it says when to go on");
        refused::<()>(Err(status), Code::Unavailable, "STOPPING");
    }
}
