//! A stand-in for the process of a context: it listens where the process did, takes calls of every service, counts them by
//! who makes them, and does with them what a peer in trouble does. What a caller does about such a peer is seen here, by
//! the calls that arrive.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tonic::body::Body;
use tonic::codegen::http::{Request, Response};
use tonic::codegen::{BoxFuture, Service};
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use super::PATIENCE;

/// Calls under way at once on one connection: more than any caller makes.
const STREAMS_PER_CONNECTION: u32 = 4096;
/// When an overloaded stand-in tells callers to come back: a delay that nobody else chooses.
pub const COME_BACK: Duration = Duration::from_secs(7);
/// Why a flaky stand-in refuses calls.
pub const REFUSAL: &str = "STAND_IN";

/// What a stand-in does with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// Accepts it and never answers.
    Hangs,
    /// Answers that it is overloaded, and when to come back.
    Overloaded,
    /// Is unavailable for the first of every three, and refuses the others, which is an answer.
    Flaky,
}

/// The calls that arrived and those that are held, by caller.
#[derive(Clone, Debug, Default)]
struct Count {
    arrived: usize,
    held: usize,
}

struct State {
    behaviour: Mutex<Behaviour>,
    counts: watch::Sender<BTreeMap<String, Count>>,
}

/// A peer in trouble. It stops listening when it leaves or is dropped.
pub struct StandIn {
    state: Arc<State>,
    /// Ended as a whole, its connections end at once, as those of a process do.
    runtime: Option<Runtime>,
}

impl StandIn {
    /// Listens at an address.
    pub fn listen(address: SocketAddr, behaviour: Behaviour) -> StandIn {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let state = Arc::new(State { behaviour: Mutex::new(behaviour), counts: watch::Sender::default() });
        let inside = runtime.enter();
        let incoming = TcpIncoming::bind(address).unwrap().with_nodelay(Some(true));
        drop(inside);
        let server = Server::builder().max_concurrent_streams(STREAMS_PER_CONNECTION);
        let serving = server.serve_with_incoming(Answers(state.clone()), incoming);
        runtime.spawn(async move { serving.await.unwrap() });
        StandIn { state, runtime: Some(runtime) }
    }

    /// Behaves like this from the next call on.
    pub fn behave(&self, behaviour: Behaviour) {
        *self.state.behaviour.lock().unwrap() = behaviour;
    }

    fn count(&self, caller: &str) -> Count {
        self.state.counts.borrow().get(caller).cloned().unwrap_or_default()
    }

    /// How many calls of this context have arrived.
    pub fn arrived(&self, caller: &str) -> usize {
        self.count(caller).arrived
    }

    /// How many calls of this context are held without an answer. Their callers still wait.
    pub fn held(&self, caller: &str) -> usize {
        self.count(caller).held
    }

    /// Waits until so many calls of a context have arrived.
    pub async fn has(&self, caller: &str, arrived: usize) {
        let mut counts = self.state.counts.subscribe();
        let enough = counts.wait_for(|counts| counts.get(caller).is_some_and(|count| count.arrived >= arrived));
        let enough = tokio::time::timeout(PATIENCE, enough).await;
        assert!(enough.is_ok(), "waited in vain for {arrived} calls of {caller}; it made {}", self.arrived(caller));
    }

    /// Ends, as a process does: its address is free and its connections are closed.
    pub async fn leave(mut self) {
        let runtime = self.runtime.take();
        tokio::task::spawn_blocking(|| drop(runtime)).await.unwrap();
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Takes every call.
#[derive(Clone)]
struct Answers(Arc<State>);

impl Service<Request<Body>> for Answers {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Response<Body>, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let caller = request.headers().get("x-user").and_then(|name| name.to_str().ok()).unwrap_or_default().to_owned();
        let state = self.0.clone();
        let behaviour = *state.behaviour.lock().unwrap();
        let mut arrived = 0;
        state.counts.send_modify(|counts| {
            let count = counts.entry(caller.clone()).or_default();
            count.arrived += 1;
            count.held += usize::from(behaviour == Behaviour::Hangs);
            arrived = count.arrived;
        });
        Box::pin(async move {
            let status = match behaviour {
                Behaviour::Hangs => {
                    let _held = Held { state, caller };
                    std::future::pending().await
                }
                Behaviour::Overloaded => {
                    let details = ErrorDetails::with_retry_info(Some(COME_BACK));
                    Status::with_error_details(Code::ResourceExhausted, "overloaded", details)
                }
                Behaviour::Flaky if arrived % 3 == 1 => Status::unavailable("flaky"),
                Behaviour::Flaky => {
                    let details = ErrorDetails::with_error_info(REFUSAL, "nadeuri", []);
                    Status::with_error_details(Code::FailedPrecondition, "refused", details)
                }
            };
            Ok(status.into_http())
        })
    }
}

/// A call that is not answered; dropped when its caller gives up.
struct Held {
    state: Arc<State>,
    caller: String,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.state.counts.send_modify(|counts| {
            if let Some(count) = counts.get_mut(&self.caller) {
                count.held -= 1;
            }
        });
    }
}
