//! Synchronous calls to other contexts.
//!
//! Each peer client has a deadline (never past the caller's own), a bulkhead (a limit of concurrent calls, of which no
//! caller gets all), a circuit breaker, and one retry with a budget where no mesh retries. A call without an answer ends in
//! [`CallError::Unavailable`] with a retry delay; the calling context adds its own message. A refusal of the other
//! context is an answer.
//!
//! The path is the same in one process and over the network: the generated client, the guard with its token, the
//! service.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::time::Instant;
use tonic::body::Body;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Routes;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Response, Status};
use tower::Layer as _;
use tower::util::BoxCloneSyncService;

use crate::access::{self, Deadline, Guard};
use crate::breaker::Breaker;
use crate::call::Call;
use crate::clock::Clock;
use crate::error::Error;
use crate::identity::Identity;
use crate::places::{Full, Places};
use crate::telemetry::{self, Meters};
use crate::tls::Tls;

/// The time after which a missing answer counts as a failure of the peer. Callers with shorter deadlines must not open
/// the breaker for others.
const FAIR: Duration = Duration::from_secs(1);

/// The transport of a generated client.
pub type Transport = BoxCloneSyncService<http::Request<Body>, http::Response<Body>, Status>;

/// The transport to services of this process: without a socket, but with the same guard.
pub fn in_process(guard: &Guard, routes: Routes) -> Transport {
    let guarded = guard.within().layer(routes);
    Transport::new(tower::ServiceExt::<http::Request<Body>>::map_err(guarded, |never: Infallible| match never {}))
}

/// The transport over the network.
pub fn over_network(channel: Channel) -> Transport {
    Transport::new(tower::ServiceExt::map_err(channel, |error: tonic::transport::Error| {
        Status::from_error(error.into())
    }))
}

/// The limits of a peer client.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The deadline of a call, including its retry.
    pub deadline: Duration,
    /// Concurrent calls, of which one caller gets a share; more are rejected.
    pub concurrency: usize,
    /// Whether a call that did not reach the peer is retried once. Off where the mesh retries: nested retries multiply.
    pub retry: bool,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { deadline: Duration::from_secs(5), concurrency: 256, retry: true }
    }
}

/// The transports to contexts: to those of this process, and to remote ones.
#[derive(Clone, Default)]
pub struct Peers(Arc<PeersInner>);

#[derive(Default)]
struct PeersInner {
    local: RwLock<HashMap<&'static str, Transport>>,
    remote: HashMap<&'static str, Endpoint>,
    tls: Tls,
}

impl Peers {
    /// Contexts that are not in this process are remote, each at an endpoint of its own, over TLS if it is `https`.
    pub fn new(remote: HashMap<&'static str, Endpoint>, tls: Tls) -> Peers {
        Peers(Arc::new(PeersInner { local: RwLock::default(), remote, tls }))
    }

    /// Sets the transport to a context of this process, or removes it.
    pub fn set(&self, context: &'static str, transport: Option<Transport>) {
        let mut local = self.0.local.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        match transport {
            Some(transport) => local.insert(context, transport),
            None => local.remove(context),
        };
    }

    /// The transport to a context of this process.
    pub fn local(&self, context: &str) -> Option<Transport> {
        self.0.local.read().unwrap_or_else(|poisoned| poisoned.into_inner()).get(context).cloned()
    }

    /// Connects on first use, and again whenever the connection was lost.
    fn remote(&self, context: &str) -> Result<Transport, Status> {
        let away = || {
            Status::unavailable(format!("{context}: it is not running in this process, and no address is configured"))
        };
        let endpoint = self.0.remote.get(context).cloned().ok_or_else(away)?;
        let endpoint = endpoint.connect_timeout(Duration::from_secs(2)).tcp_nodelay(true);
        let secure = self.0.tls.secure(endpoint);
        let endpoint = secure.map_err(|error| Status::unavailable(format!("{context}: no TLS: {error:?}")))?;
        Ok(over_network(endpoint.connect_lazy()))
    }
}

/// The client of another context.
#[derive(Clone)]
pub struct PeerClient(Arc<PeerClientInner>);

struct PeerClientInner {
    from: &'static str,
    to: &'static str,
    peers: Peers,
    /// The transport, and the version of the TLS that it was made with.
    connected: Mutex<Option<(u64, Transport)>>,
    identity: Identity,
    clock: Clock,
    limits: Limits,
    bulkhead: Places,
    breaker: Breaker,
    budget: Budget,
}

/// Why a call failed.
#[derive(Debug)]
pub enum CallError {
    /// The other context refused the call.
    Refused(Box<Status>),
    /// The other context is unavailable or overloaded. Whether it executed the request is unknown.
    Unavailable {
        /// When to try again.
        retry_after: Duration,
    },
}

impl CallError {
    /// The reason of the refusal, such as `PERIOD_TAKEN`; empty if it gave none.
    pub fn reason(&self) -> String {
        match self {
            CallError::Refused(status) => {
                tonic_types::StatusExt::get_details_error_info(&**status).map(|info| info.reason).unwrap_or_default()
            }
            CallError::Unavailable { .. } => String::new(),
        }
    }

    /// The error for our own caller: the refusal unchanged, or unavailability with this reason and message.
    pub fn into_error(self, reason: &'static str, message: &str) -> Error {
        match self {
            CallError::Refused(status) => Error::Answered(status),
            CallError::Unavailable { retry_after } => Error::Away { reason, message: message.to_owned(), retry_after },
        }
    }
}

impl PeerClient {
    /// The client of the context `from` for the context `to`.
    pub fn new(
        from: &'static str,
        to: &'static str,
        peers: Peers,
        identity: Identity,
        clock: Clock,
        limits: Limits,
    ) -> PeerClient {
        let bulkhead = Places::new(limits.concurrency);
        let (connected, breaker, budget) = (Mutex::default(), Breaker::default(), Budget::default());
        PeerClient(Arc::new(PeerClientInner {
            from,
            to,
            peers,
            connected,
            identity,
            clock,
            limits,
            bulkhead,
            breaker,
            budget,
        }))
    }

    /// Makes a call: `peer.call(&call, request, |transport, request| async move {
    /// PaymentServiceClient::new(transport).collect_payment(request).await })`.
    pub fn call<'a, M, R, F>(
        &'a self,
        call: Option<&'a Call>,
        message: M,
        send: impl Fn(Transport, Request<M>) -> F + Send + Sync + 'a,
    ) -> BoxFuture<'a, Result<R, CallError>>
    where
        M: Clone + Send + 'a,
        R: Send + 'a,
        F: Future<Output = Result<Response<R>, Status>> + Send + 'a,
    {
        Box::pin(self.call_for(call, message, send))
    }

    async fn call_for<M, R, F>(
        &self,
        call: Option<&Call>,
        message: M,
        send: impl Fn(Transport, Request<M>) -> F,
    ) -> Result<R, CallError>
    where
        M: Clone,
        F: Future<Output = Result<Response<R>, Status>>,
    {
        let peer = &*self.0;
        let busy = |retry_after| CallError::Unavailable { retry_after };
        let _place = peer.bulkhead.take(call.map(|call| &call.caller)).map_err(|full| match full {
            Full::ForCaller => CallError::Refused(Box::new(access::share_taken())),
            Full::ForAll => busy(Duration::from_secs(1)),
        })?;
        let permit = peer.breaker.admit(Instant::now()).map_err(busy)?;
        let start = Instant::now();
        let own = start + peer.limits.deadline;
        let theirs = call.and_then(|call| call.deadline);
        let deadline = theirs.map_or(own, |Deadline(theirs)| theirs.min(own));

        peer.budget.earn();
        let mut outcome = peer.attempt(deadline, message.clone(), &send).await;
        let found_nobody = matches!(&outcome, Err(status) if status.code() == Code::Unavailable);
        if found_nobody && peer.limits.retry && peer.budget.spend() {
            outcome = peer.attempt(deadline, message, &send).await;
        }
        let in_vain =
            matches!(&outcome, Err(status) if matches!(status.code(), Code::DeadlineExceeded | Code::Cancelled));
        if in_vain && deadline < own.min(start + FAIR) {
            return Err(CallError::Refused(Box::new(access::too_late())));
        }
        let failed = matches!(&outcome, Err(status) if is_failure(status.code()));
        permit.record(failed, Instant::now());
        Meters::peer_call(peer.from, peer.to, peer.breaker.position(), failed);
        match outcome {
            Ok(response) => Ok(response.into_inner()),
            Err(status) if failed => {
                tracing::warn!(from = peer.from, to = peer.to, code = ?status.code(), message = status.message(), "a call to another context failed");
                let retry_after =
                    tonic_types::StatusExt::get_details_retry_info(&status).and_then(|info| info.retry_delay);
                Err(CallError::Unavailable { retry_after: retry_after.unwrap_or(Duration::from_secs(2)) })
            }
            Err(status) => Err(CallError::Refused(Box::new(status))),
        }
    }
}

/// Whether a status is a failure of the peer, not a refusal.
fn is_failure(code: Code) -> bool {
    matches!(
        code,
        Code::Unavailable
            | Code::DeadlineExceeded
            | Code::ResourceExhausted
            | Code::Internal
            | Code::Unknown
            | Code::Cancelled
    )
}

impl PeerClientInner {
    async fn attempt<M, R, F>(
        &self,
        deadline: Instant,
        message: M,
        send: &impl Fn(Transport, Request<M>) -> F,
    ) -> Result<Response<R>, Status>
    where
        F: Future<Output = Result<Response<R>, Status>>,
    {
        let mut request = Request::new(message);
        request.set_timeout(deadline.saturating_duration_since(Instant::now()));
        self.identity.sign(self.from, self.to, request.metadata_mut(), self.clock.now())?;
        if let Some(traceparent) = telemetry::current_traceparent() {
            let value: MetadataValue<Ascii> = traceparent.parse().map_err(|_| Status::internal("a bad traceparent"))?;
            request.metadata_mut().insert("traceparent", value);
        }
        let answer = tokio::time::timeout_at(deadline, send(self.transport()?, request)).await;
        answer.unwrap_or_else(|_| Err(Status::deadline_exceeded("no answer in time")))
    }

    fn transport(&self) -> Result<Transport, Status> {
        if let Some(local) = self.peers.local(self.to) {
            return Ok(local);
        }
        let mut connected = self.connected.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let version = self.peers.0.tls.version();
        match &*connected {
            Some((made_with, transport)) if *made_with == version => Ok(transport.clone()),
            _ => Ok(connected.insert((version, self.peers.remote(self.to)?)).1.clone()),
        }
    }
}

/// A tenth of the calls may be retried, so that retries don't add to an overload.
#[derive(Debug)]
struct Budget(Mutex<f32>);

impl Default for Budget {
    fn default() -> Budget {
        Budget(Mutex::new(Budget::MOST))
    }
}

impl Budget {
    const MOST: f32 = 10.0;
    const PER_CALL: f32 = 0.1;

    fn earn(&self) {
        let mut left = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        *left = (*left + Budget::PER_CALL).min(Budget::MOST);
    }

    fn spend(&self) -> bool {
        let mut left = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let enough = *left >= 1.0;
        if enough {
            *left -= 1.0;
        }
        enough
    }
}
