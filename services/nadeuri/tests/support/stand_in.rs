//! A stand-in (test double) for the process of a context: it listens at the address of the process, accepts calls of
//! every service, counts them by caller, and behaves like a faulty peer. The calls that arrive show what a caller does.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tonic::body::Body;
use tonic::codegen::http::{HeaderMap, Request, Response};
use tonic::codegen::{BoxFuture, Service};
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use super::PATIENCE;

/// The maximum of concurrent calls on one connection: more than any caller makes.
const STREAMS_PER_CONNECTION: u32 = 4096;
/// The retry delay of an overloaded stand-in. No other part of the product uses this value.
pub const COME_BACK: Duration = Duration::from_secs(7);
/// The reason with which a flaky stand-in refuses calls.
pub const REFUSAL: &str = "STAND_IN";

/// How a stand-in behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// Accepts calls and never responds.
    Hangs,
    /// Rejects calls as overloaded, with a retry delay.
    Overloaded,
    /// Is unavailable for one of every three calls, and refuses the others, which counts as a response.
    Flaky,
}

/// The numbers of arrived and of held calls, by caller.
#[derive(Clone, Debug, Default)]
struct Count {
    arrived: usize,
    held: usize,
}

struct State {
    behaviour: Mutex<Behaviour>,
    counts: watch::Sender<BTreeMap<String, Count>>,
}

/// A faulty peer. It stops listening when it leaves or is dropped.
pub struct StandIn {
    state: Arc<State>,
    /// Its tasks. When they are aborted, its connections close at once, like those of a killed process.
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

    /// How many calls of this context are held without a response. Their callers still wait.
    pub fn held(&self, caller: &str) -> usize {
        self.count(caller).held
    }

    /// Waits until so many calls of a context have arrived.
    pub async fn has(&self, caller: &str, arrived: usize) {
        let mut counts = self.state.counts.subscribe();
        let enough = counts.wait_for(|counts| counts.get(caller).is_some_and(|count| count.arrived >= arrived));
        let enough = tokio::time::timeout(PATIENCE, enough).await;
        assert!(enough.is_ok(), "timed out waiting for {arrived} calls of {caller}; it made {}", self.arrived(caller));
    }

    /// Stops: the address is free and the connections are closed.
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

/// Who calls: a context, by its header or its token.
fn caller(headers: &HeaderMap) -> String {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let claimed = |authorization: &str| {
        let token = authorization.strip_prefix("Bearer ")?;
        let claims: serde_json::Value = jsonwebtoken::dangerous::insecure_decode_claims(token).ok()?;
        Some(claims["sub"].as_str()?.to_owned())
    };
    let named = || text("x-user").unwrap_or_default().to_owned();
    text("authorization").and_then(claimed).unwrap_or_else(named)
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
        let caller = caller(request.headers());
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

/// A call without a response. It is dropped when its caller gives up.
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
