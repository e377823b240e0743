//! The guard around every service: authentication, roles, rate limits, concurrency limits and deadlines.
//!
//! The contract of an RPC states its requirements, which [`contracts::RPCS`] contains. The default is to deny: an RPC
//! without roles is open to nobody, and a path that is no RPC of the contracts is rejected, except for health and
//! reflection. A call is checked in this order: known path, caller, role, rate limit, concurrency limit; then its request
//! must arrive soon, and it runs until its deadline. A handler that panics answers `INTERNAL`, and the process goes on.
//! A stream of responses goes on after that, until the caller's token expires or the process stops.
//!
//! Handlers find the [`Caller`] and the [`Deadline`] in the extensions of their request.

use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt;
use std::num::NonZeroU32;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};
use std::time::Duration;

use contracts::{RPCS, Role, Rpc};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use governor::clock::Clock as _;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Request, Response, StatusCode};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};
use tower::{Layer, Service};
use tracing::Instrument as _;

use crate::MAX_MESSAGE_BYTES;
use crate::auth::{Auth, AuthError, Caller, Roles};
use crate::body;
use crate::clock::{Clock, Timestamp};
use crate::erasure::Refused;
use crate::error::DOMAIN;
use crate::places::{Full, Place, Places};
use crate::runtime::panic_text;
use crate::telemetry::Watch;

/// Services that need no token: for probes, and for tools.
const HEALTH: &str = "/grpc.health.v1.";
const REFLECTION: [&str; 2] = ["/grpc.reflection.v1.", "/grpc.reflection.v1alpha."];

/// The call among them that is neither limited nor a stream: probes must get through.
const CHECK: &str = "/grpc.health.v1.Health/Check";
/// Streams of open services at once.
const OPEN_STREAMS: usize = 256;

/// The retry delay after an overload.
const OVERLOAD_PAUSE: Duration = Duration::from_secs(1);

/// The transport has its own timer for the caller's timeout and would answer `CANCELLED`. This one must fire first.
const AHEAD_OF_TRANSPORT: Duration = Duration::from_millis(2);
/// The limit of the caller's deadline for RPCs that are long by their contract, such as the rebuild of a projection.
pub const LONG_DEADLINE: Duration = Duration::from_secs(3_600);

static RPC_BY_PATH: LazyLock<HashMap<&str, &Rpc>> = LazyLock::new(|| RPCS.iter().map(|rpc| (rpc.path, rpc)).collect());

/// The deadline of a call.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(pub Instant);

/// The limits of calls.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The rate limit of one subject. Contexts that call each other are exempt. `None`: unlimited.
    pub rate: Option<Rate>,
    /// Concurrent calls in this process; more are rejected.
    pub in_flight: usize,
    /// The longest deadline of a call, and the default.
    pub deadline: Duration,
}

/// A rate limit that allows bursts.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    /// Calls per second, in the long run.
    pub per_second: NonZeroU32,
    /// Calls at once, after a pause.
    pub burst: NonZeroU32,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { rate: None, in_flight: 4096, deadline: Duration::from_secs(30) }
    }
}

/// The layer that puts a guard around services.
#[derive(Clone)]
pub struct Guard(Arc<Rules>);

/// The calls between contexts that are let through, as pairs of caller and callee: those that the contexts declare.
#[derive(Clone, Debug, Default)]
pub struct Calls(Arc<[(String, String)]>);

impl<N: Into<String>> FromIterator<(N, N)> for Calls {
    fn from_iter<T: IntoIterator<Item = (N, N)>>(calls: T) -> Calls {
        Calls(calls.into_iter().map(|(from, to)| (from.into(), to.into())).collect())
    }
}

impl Calls {
    /// Whether the caller has one of the roles of the RPC. The role of contexts is that of declared callers alone.
    fn admit(&self, caller: &Caller, rpc: &Rpc) -> bool {
        let is_declared = || self.0.iter().any(|(from, to)| caller.is(from) && *to == rpc.context);
        rpc.roles.iter().any(|role| caller.has(*role) && (*role != Role::Service || is_declared()))
    }
}

struct Rules {
    auth: Auth,
    clock: Clock,
    calls: Calls,
    rates: Option<Rates>,
    places: Option<Places>,
    deadline: Duration,
    open_streams: Arc<Semaphore>,
    stopping: CancellationToken,
    refused: Refused,
}

impl Guard {
    /// A guard for calls from outside of the process.
    pub fn new(auth: Auth, clock: Clock, limits: Limits, calls: Calls) -> Guard {
        Guard(Arc::new(Rules {
            auth,
            clock,
            calls,
            rates: limits.rate.map(Rates::new),
            places: Some(Places::new(limits.in_flight)),
            deadline: limits.deadline,
            open_streams: Arc::new(Semaphore::new(OPEN_STREAMS)),
            stopping: CancellationToken::new(),
            refused: Refused::default(),
        }))
    }

    /// The same for calls within the process: they are part of admitted calls, and are not rejected halfway.
    pub fn within(&self) -> Guard {
        let Rules { auth, clock, calls, deadline, open_streams, stopping, refused, .. } = &*self.0;
        Guard(Arc::new(Rules {
            auth: auth.clone(),
            clock: clock.clone(),
            calls: calls.clone(),
            rates: None,
            places: None,
            deadline: *deadline,
            open_streams: open_streams.clone(),
            stopping: stopping.clone(),
            refused: refused.clone(),
        }))
    }

    /// The subjects whose calls it refuses because they are being erased.
    pub(crate) fn refused(&self) -> Refused {
        self.0.refused.clone()
    }

    /// Ends the streams of responses, each with a status that says so: a stop waits for calls under way, and a stream
    /// has no end of its own.
    pub fn end_streams(&self) {
        self.0.stopping.cancel();
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").field("auth", &self.0.auth).field("deadline", &self.0.deadline).finish_non_exhaustive()
    }
}

impl Rules {
    /// The caller and their place, if the call is admitted.
    fn admit(&self, rpc: &Rpc, headers: &HeaderMap) -> Result<(Caller, Option<Place>), Status> {
        if rpc.roles.is_empty() {
            return Err(reject(Code::PermissionDenied, "CLOSED", "this RPC is open to no role", None));
        }
        let caller = self.auth.caller(headers, self.clock.now());
        let caller = caller.map_err(unauthenticated)?;
        if caller.callee().is_some_and(|callee| callee != rpc.context) {
            return Err(unauthenticated(AuthError::Audience));
        }
        if !self.calls.admit(&caller, rpc) {
            let roles: Roles = rpc.roles.iter().copied().collect();
            let declared = if roles.contains(Role::Service) { "; contexts have to declare it" } else { "" };
            let message = format!("this call needs one of the roles: {roles}{declared}");
            return Err(reject(Code::PermissionDenied, "ROLE_MISSING", &message, None));
        }
        if self.refused.contains(caller.subject()) {
            let message = "your data is being erased here at your wish; come back when that has ended";
            return Err(reject(Code::PermissionDenied, "SUBJECT_ERASED", message, None));
        }
        if let Some(rates) = self.rates.as_ref().filter(|_| !caller.has(Role::Service)) {
            rates.take(&caller).map_err(|wait| {
                reject(Code::ResourceExhausted, "RATE_LIMITED", "you call too often; slow down", Some(wait))
            })?;
        }
        let place = self.places.as_ref().map(|places| places.take(Some(&caller))).transpose();
        let place = place.map_err(|full| match full {
            Full::ForCaller => share_taken(),
            Full::ForAll => overloaded(),
        })?;
        Ok((caller, place))
    }

    fn deadline(&self, rpc: &Rpc, headers: &HeaderMap) -> Instant {
        let most = if rpc.is_long { LONG_DEADLINE.max(self.deadline) } else { self.deadline };
        let asked = headers.get("grpc-timeout").and_then(|value| parse_timeout(value.as_bytes()));
        let asked = asked.map(|asked| asked.saturating_sub(AHEAD_OF_TRANSPORT));
        Instant::now() + asked.unwrap_or(self.deadline).min(most)
    }

    /// Why a stream for a caller with such a token has to end, when it has to.
    fn stream_ends(&self, expires_at: Option<Timestamp>) -> BoxFuture<'static, Status> {
        let stop = self.stopping.clone();
        let expires_in = expires_at.map(|expiry| expiry.since(self.clock.now()));
        Box::pin(async move {
            let expired = async {
                match expires_in {
                    Some(left) => tokio::time::sleep(left).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => stopping(),
                () = expired => unauthenticated(AuthError::Expired),
            }
        })
    }

    /// Limits a call of an open service, all of which but health checks are streams.
    fn open<F>(&self, is_check: bool, handling: F) -> BoxFuture<'static, Result<Response<Body>, Infallible>>
    where
        F: Future<Output = Result<Response<Body>, Infallible>> + Send + 'static,
    {
        if is_check {
            return Box::pin(handling);
        }
        let Ok(place) = self.open_streams.clone().try_acquire_owned() else {
            return Box::pin(std::future::ready(Ok(overloaded().into_http())));
        };
        let ended = self.stream_ends(None);
        Box::pin(async move { Ok(handling.await?.map(|responses| body::ending(responses, ended, place))) })
    }
}

/// The calls of each subject.
struct Rates {
    limiter: DefaultKeyedRateLimiter<Arc<str>>,
    since_sweep: AtomicU32,
}

impl Rates {
    /// After this many calls, idle subjects are removed.
    const SWEEP_EACH: u32 = 16 * 1024;

    fn new(rate: Rate) -> Rates {
        let limiter = RateLimiter::keyed(Quota::per_second(rate.per_second).allow_burst(rate.burst));
        Rates { limiter, since_sweep: AtomicU32::new(0) }
    }

    /// Counts a call, or returns the delay until it is allowed.
    fn take(&self, caller: &Caller) -> Result<(), Duration> {
        if self.since_sweep.fetch_add(1, Ordering::Relaxed).is_multiple_of(Rates::SWEEP_EACH) {
            self.limiter.retain_recent();
        }
        let taken = self.limiter.check_key(&caller.shared_subject());
        taken.map_err(|until| until.wait_time_from(self.limiter.clock().now()))
    }
}

impl<S> Layer<S> for Guard {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded { rules: self.0.clone(), inner }
    }
}

/// Services with a guard around them.
#[derive(Clone)]
pub struct Guarded<S> {
    rules: Arc<Rules>,
    inner: S,
}

impl<S> fmt::Debug for Guarded<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guarded").finish_non_exhaustive()
    }
}

impl<S> Service<Request<Body>> for Guarded<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        if !is_grpc(request.headers()) {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            return Box::pin(std::future::ready(Ok(response)));
        }
        // A client of reflection keeps its stream open, and asks when it needs to.
        let is_single = !REFLECTION.iter().any(|prefix| request.uri().path().starts_with(prefix));
        let mut request = if is_single { request.map(|body| body::arriving_soon(body, too_slow)) } else { request };
        let path = request.uri().path();
        let Some(rpc) = RPC_BY_PATH.get(path).copied() else {
            if !is_single || path.starts_with(HEALTH) {
                let is_check = path == CHECK;
                return self.rules.open(is_check, self.inner.call(request));
            }
            let unknown = reject(Code::Unimplemented, "UNKNOWN_RPC", "there is no such call; see the reflection", None);
            return Box::pin(std::future::ready(Ok(unknown.into_http())));
        };
        let watch = Watch::start(rpc, request.headers());
        let (caller, place) = match self.rules.admit(rpc, request.headers()) {
            Ok(admitted) => admitted,
            Err(status) => {
                watch.finish(status.code());
                return Box::pin(std::future::ready(Ok(status.into_http())));
            }
        };
        let deadline = self.rules.deadline(rpc, request.headers());
        let ended = rpc.is_stream.then(|| self.rules.stream_ends(caller.expires_at()));
        request.extensions_mut().insert(caller);
        request.extensions_mut().insert(Deadline(deadline));
        let span = watch.span();
        let handling = span.in_scope(|| self.inner.call(request));
        let call = async move {
            let response = handle(handling, rpc, deadline).await;
            drop(place);
            // A response that is not trailers-only has its status after its messages: it was a success so far.
            watch.finish(Status::from_header_map(response.headers()).map_or(Code::Ok, |status| status.code()));
            Ok(match ended {
                Some(ended) => response.map(|responses| body::ending(responses, ended, ())),
                None => response,
            })
        };
        Box::pin(call.instrument(span))
    }
}

/// Whether the content is of gRPC. The protocol asks for HTTP's own status if not, so that nobody takes it for an answer.
fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

/// The handler's answer, unless it panics or takes too long.
async fn handle<F>(handling: F, rpc: &Rpc, deadline: Instant) -> Response<Body>
where
    F: Future<Output = Result<Response<Body>, Infallible>>,
{
    // No state of the call outlives its panic, so nothing half-changed is observed.
    match timeout_at(deadline, AssertUnwindSafe(handling).catch_unwind()).await {
        Ok(Ok(Ok(response))) => explained(response),
        Ok(Ok(Err(never))) => match never {},
        Ok(Err(panic)) => {
            tracing::error!(rpc = rpc.path, panic = panic_text(&*panic), "a handler panicked");
            reject(Code::Internal, "INTERNAL", "something went wrong here; it was logged", None).into_http()
        }
        Err(_) => too_late().into_http(),
    }
}

/// Adds the details that every error has: tonic answers without them if it can't read a message.
fn explained(response: Response<Body>) -> Response<Body> {
    // A successful response has its status after its messages.
    let Some(status) = Status::from_header_map(response.headers()) else { return response };
    if !status.details().is_empty() {
        return response;
    }
    match status.code() {
        Code::Internal if status.message().contains("decode") => {
            let message = "the request is malformed: it is no message of this call's type in the protobuf encoding";
            reject(Code::InvalidArgument, "MALFORMED_MESSAGE", message, None).into_http()
        }
        Code::OutOfRange => {
            let message = format!("the request is too large; it may have {MAX_MESSAGE_BYTES} bytes");
            reject(Code::ResourceExhausted, "MESSAGE_TOO_LARGE", &message, None).into_http()
        }
        _ => response,
    }
}

/// The status of a call whose deadline has passed.
pub(crate) fn too_late() -> Status {
    let message = "the call took too long; try again with the same request id";
    reject(Code::DeadlineExceeded, "DEADLINE_EXCEEDED", message, None)
}

/// The status of a call whose request does not arrive in time.
fn too_slow() -> Status {
    let message = "the request did not arrive in time; send its message at once";
    reject(Code::DeadlineExceeded, "REQUEST_TOO_SLOW", message, None)
}

/// The status of a caller who holds their share of the places.
pub(crate) fn share_taken() -> Status {
    let message = "you have too many calls under way; wait for some of them";
    reject(Code::ResourceExhausted, "TOO_MANY_CALLS", message, Some(OVERLOAD_PAUSE))
}

fn overloaded() -> Status {
    let message = "too many calls are under way; try again";
    reject(Code::ResourceExhausted, "OVERLOADED", message, Some(OVERLOAD_PAUSE))
}

fn unauthenticated(why: AuthError) -> Status {
    reject(Code::Unauthenticated, "UNAUTHENTICATED", &why.to_string(), None)
}

/// The status of a stream that ends with the process.
fn stopping() -> Status {
    let message = "this server stops; call again, and go on behind the last message that you got";
    reject(Code::Unavailable, "STOPPING", message, Some(OVERLOAD_PAUSE))
}

fn reject(code: Code, reason: &str, message: &str, retry_after: Option<Duration>) -> Status {
    let mut details = ErrorDetails::with_error_info(reason, DOMAIN, []);
    if retry_after.is_some() {
        details.set_retry_info(retry_after);
    }
    Status::with_error_details(code, message, details)
}

/// The `grpc-timeout` of the gRPC protocol: at most 8 digits and a unit. `None` if it is malformed.
fn parse_timeout(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.split_last()?;
    if digits.is_empty() || digits.len() > 8 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let amount = digits.iter().fold(0, |amount, digit| amount * 10 + u64::from(digit - b'0'));
    match unit {
        b'H' => Some(Duration::from_secs(amount * 3600)),
        b'M' => Some(Duration::from_secs(amount * 60)),
        b'S' => Some(Duration::from_secs(amount)),
        b'm' => Some(Duration::from_millis(amount)),
        b'u' => Some(Duration::from_micros(amount)),
        b'n' => Some(Duration::from_nanos(amount)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_read_as_the_protocol_writes_them() {
        for (text, timeout) in [
            ("1H", Some(Duration::from_secs(3600))),
            ("2M", Some(Duration::from_secs(120))),
            ("00000003S", Some(Duration::from_secs(3))),
            ("99999999m", Some(Duration::from_millis(99_999_999))),
            ("5u", Some(Duration::from_micros(5))),
            ("6n", Some(Duration::from_nanos(6))),
            ("", None),
            ("S", None),
            ("1", None),
            ("-1S", None),
            ("123456789S", None),
            ("1.5S", None),
        ] {
            assert_eq!(parse_timeout(text.as_bytes()), timeout, "{text}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_ends_with_the_token_of_its_caller() {
        let clock = Clock::runtime(Timestamp::from_micros(1_700_000_000_000_000));
        let guard = Guard::new(Auth::Off, clock.clone(), Limits::default(), Calls::default());
        let caller = Caller::new("ops", Roles::all()).unwrap();
        let expiring = caller.clone().until(clock.now() + Duration::from_secs(90));
        let start = Instant::now();
        let ended = guard.0.stream_ends(expiring.expires_at()).await;
        assert_eq!((ended.code(), start.elapsed().as_secs()), (Code::Unauthenticated, 90));
        assert!(guard.0.stream_ends(caller.expires_at()).now_or_never().is_none(), "without a token it has no end");
    }
}
