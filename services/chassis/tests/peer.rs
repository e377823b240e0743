//! Calls to a fake peer: deadline, bulkhead, breaker, one retry with a budget.

#![expect(clippy::unwrap_used, reason = "what a helper can't do fails its test")]

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chassis::Call;
use chassis::auth::Caller;
use chassis::clock::Clock;
use chassis::identity::Identity;
use chassis::peer::{Limits, Peers, Transport};
use chassis::{CallError, PeerClient};
use contracts::fleet::v1::fleet_service_client::FleetServiceClient;
use contracts::fleet::v1::{GetCarRequest, GetCarResponse};
use contracts::{Extract as _, Role};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::sync::Semaphore;
use tonic::body::Body;
use tonic::{Code, Request, Response, Status};

/// The peer's behaviour in a call.
#[derive(Clone, Copy)]
enum Does {
    Answers(Code),
    Hangs,
}

/// A peer with a script: a behaviour for each call, in order; the last one repeats.
#[derive(Clone)]
struct FakePeer(Arc<Inner>);

struct Inner {
    script: Mutex<VecDeque<Does>>,
    calls: AtomicUsize,
    hanging: Semaphore,
}

impl FakePeer {
    fn new(script: impl IntoIterator<Item = Does>) -> FakePeer {
        let (script, calls) = (Mutex::new(script.into_iter().collect()), AtomicUsize::new(0));
        FakePeer(Arc::new(Inner { script, calls, hanging: Semaphore::new(0) }))
    }

    fn calls(&self) -> usize {
        self.0.calls.load(Ordering::SeqCst)
    }

    fn answer(&self) -> BoxFuture<'static, Result<http::Response<Body>, Status>> {
        self.0.calls.fetch_add(1, Ordering::SeqCst);
        let mut script = self.0.script.lock().unwrap();
        let does = if script.len() > 1 { script.pop_front() } else { script.front().copied() };
        let (does, inner) = (does.unwrap(), self.0.clone());
        Box::pin(async move {
            match does {
                Does::Answers(code) => Ok(Status::new(code, "as the test says").into_http()),
                Does::Hangs => {
                    let _never = inner.hanging.acquire().await;
                    std::future::pending().await
                }
            }
        })
    }

    /// A client of this peer.
    fn client(&self, limits: Limits) -> PeerClient {
        let (peers, peer) = (Peers::default(), self.clone());
        peers.set("fleet", Some(Transport::new(tower::service_fn(move |_| peer.answer()))));
        PeerClient::new("rental", "fleet", peers, Identity::Named, Clock::system(), limits)
    }
}

async fn get_car(client: &PeerClient) -> Result<GetCarResponse, CallError> {
    get_car_for(client, None).await
}

async fn get_car_for(client: &PeerClient, call: Option<&Call>) -> Result<GetCarResponse, CallError> {
    let request = GetCarRequest { car_id: "a car".to_owned() };
    let send = |transport, request| async move {
        FleetServiceClient::new(transport).get_car(request).await as Result<Response<GetCarResponse>, Status>
    };
    client.call(call, request, send).await
}

fn is_unavailable(outcome: &Result<GetCarResponse, CallError>) -> bool {
    matches!(outcome, Err(CallError::Unavailable { .. }))
}

#[tokio::test(start_paused = true)]
async fn an_unavailable_peer_is_called_once_more_and_a_refusal_is_not_retried() {
    let peer = FakePeer::new([Does::Answers(Code::Unavailable), Does::Answers(Code::FailedPrecondition)]);
    let outcome = get_car(&peer.client(Limits::default())).await;
    assert!(matches!(&outcome, Err(CallError::Refused(status)) if status.code() == Code::FailedPrecondition));
    assert_eq!(peer.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn where_a_mesh_retries_the_client_does_not() {
    let peer = FakePeer::new([Does::Answers(Code::Unavailable)]);
    assert!(is_unavailable(&get_car(&peer.client(Limits { retry: false, ..Limits::default() })).await));
    assert_eq!(peer.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn retries_stay_within_a_budget() {
    // A refusal after every two failures, so that the breaker stays closed.
    let script = (0..400).map(|call| if call % 2 == 0 { Code::Unavailable } else { Code::FailedPrecondition });
    let peer = FakePeer::new(script.map(Does::Answers));
    let client = peer.client(Limits::default());
    for _ in 0..100 {
        let _ = get_car(&client).await;
    }
    let retries = peer.calls() - 100;
    assert!((10..=21).contains(&retries), "10 to begin with and a tenth of 100 calls may be retried: {retries}");
}

#[tokio::test(start_paused = true)]
async fn a_call_ends_at_its_deadline_and_the_breaker_opens_for_the_next_ones() {
    let peer = FakePeer::new([Does::Hangs]);
    let client = peer.client(Limits { deadline: Duration::from_secs(2), ..Limits::default() });
    let mut arrived = 0;
    for _ in 0..50 {
        assert!(is_unavailable(&get_car(&client).await));
        if peer.calls() == arrived {
            break;
        }
        arrived = peer.calls();
    }
    assert!(arrived < 50, "the breaker opens");
    let Err(CallError::Unavailable { retry_after }) = get_car(&client).await else { panic!("the breaker is open") };
    assert_eq!(peer.calls(), arrived, "no call reaches the peer while the breaker is open");
    tokio::time::advance(retry_after + Duration::from_secs(1)).await;
    assert!(is_unavailable(&get_car(&client).await));
    assert_eq!(peer.calls(), arrived + 1, "a probe does, when it is time");
}

#[tokio::test(start_paused = true)]
async fn more_calls_than_the_bulkhead_has_places_are_turned_away_at_once() {
    let peer = FakePeer::new([Does::Hangs]);
    let client = peer.client(Limits { concurrency: 3, ..Limits::default() });
    let calls: Vec<_> = (0..3)
        .map(|_| {
            tokio::spawn({
                let client = client.clone();
                async move { get_car(&client).await }
            })
        })
        .collect();
    while peer.calls() < 3 {
        tokio::task::yield_now().await;
    }
    let before = tokio::time::Instant::now();
    assert!(is_unavailable(&get_car(&client).await));
    assert_eq!((peer.calls(), before.elapsed()), (3, Duration::ZERO));
    for call in calls {
        assert!(is_unavailable(&call.await.unwrap()));
    }
}

/// A call of this customer.
fn call_of(customer: &str) -> Call {
    let mut request = Request::new(GetCarRequest::default());
    request.extensions_mut().insert(Caller::new(customer, [Role::Customer].into_iter().collect()).unwrap());
    Call::extract(request).unwrap().0
}

#[tokio::test(start_paused = true)]
async fn one_customer_gets_a_share_of_the_bulkhead() {
    let peer = FakePeer::new([Does::Hangs]);
    let client = peer.client(Limits { concurrency: 8, ..Limits::default() });
    let (greedy, other) = (call_of("greedy"), call_of("other"));
    let mut under_way: Vec<_> = (0..2).map(|_| Box::pin(get_car_for(&client, Some(&greedy)))).collect();
    for call in &mut under_way {
        assert!(call.now_or_never().is_none());
    }
    let third = get_car_for(&client, Some(&greedy)).await.unwrap_err();
    assert_eq!(third.reason(), "TOO_MANY_CALLS");
    assert!(matches!(&third, CallError::Refused(status) if status.code() == Code::ResourceExhausted));
    assert!(get_car_for(&client, Some(&other)).now_or_never().is_none(), "another customer's call reaches the peer");
    assert_eq!(peer.calls(), 3);
    drop(under_way);
    assert!(get_car_for(&client, Some(&greedy)).now_or_never().is_none(), "the share is free again");
}
