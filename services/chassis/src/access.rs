//! The guard around every service: who may call what, how much of it, and for how long.
//!
//! What an RPC demands stands in its contract and reaches here by [`contracts::RPCS`]. The default is no: an RPC without
//! roles is open to nobody, and a path that is no RPC of the contracts leads nowhere, health and reflection excepted. In
//! this order a call needs a known path, a caller, a role, something left of the caller's rate, and a free place; then it
//! has until its deadline. A handler that panics answers `INTERNAL`, like any other bug, and the process goes on.
//!
//! Handlers find the [`Caller`] and the [`Deadline`] among the extensions of their request.

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
use http::{HeaderMap, Request, Response};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};
use tonic::body::Body;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};
use tower::{Layer, Service};
use tracing::Instrument as _;

use crate::MAX_MESSAGE_BYTES;
use crate::auth::{Auth, Caller, Roles};
use crate::clock::Clock;
use crate::error::DOMAIN;
use crate::runtime::panic_text;
use crate::telemetry::Watch;

/// What anybody may call: probes and tools come without a token.
const OPEN: [&str; 3] = ["/grpc.health.v1.", "/grpc.reflection.v1.", "/grpc.reflection.v1alpha."];

/// When to come back after an overload.
const OVERLOAD_PAUSE: Duration = Duration::from_secs(1);

/// The transport has a timer of its own for the caller's timeout, and would answer `CANCELLED`. Ours is to be first.
const AHEAD_OF_TRANSPORT: Duration = Duration::from_millis(2);
/// What is long by its contract, such as making a view anew, may take as long as the caller says, up to this.
pub const LONG_DEADLINE: Duration = Duration::from_secs(3_600);

static RPC_BY_PATH: LazyLock<HashMap<&str, &Rpc>> = LazyLock::new(|| RPCS.iter().map(|rpc| (rpc.path, rpc)).collect());

/// When a caller stops waiting.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(pub Instant);

/// How much is let in.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// What one subject may call. Contexts that call each other are exempt. `None`: as much as they like.
    pub rate: Option<Rate>,
    /// Calls under way at once in this process; more are turned away.
    pub in_flight: usize,
    /// The longest that a call may take, and what it may take if the caller does not say.
    pub deadline: Duration,
}

/// A rate with room for bursts.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    /// Calls a second, in the long run.
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

struct Rules {
    auth: Auth,
    clock: Clock,
    rates: Option<Rates>,
    places: Option<Arc<Semaphore>>,
    deadline: Duration,
}

impl Guard {
    /// A guard for calls from outside of the process.
    pub fn new(auth: Auth, clock: Clock, limits: Limits) -> Guard {
        let places = Some(Arc::new(Semaphore::new(limits.in_flight)));
        Guard(Arc::new(Rules { auth, clock, rates: limits.rate.map(Rates::new), places, deadline: limits.deadline }))
    }

    /// The same for calls within the process: they are part of calls that were let in, and are not turned away halfway.
    pub fn within(&self) -> Guard {
        let Rules { auth, clock, deadline, .. } = &*self.0;
        let (auth, clock, deadline) = (auth.clone(), clock.clone(), *deadline);
        Guard(Arc::new(Rules { auth, clock, rates: None, places: None, deadline }))
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").field("auth", &self.0.auth).field("deadline", &self.0.deadline).finish_non_exhaustive()
    }
}

impl Rules {
    /// The caller and a place, if the call may be made.
    fn admit(&self, rpc: &Rpc, headers: &HeaderMap) -> Result<(Caller, Option<OwnedSemaphorePermit>), Status> {
        if rpc.roles.is_empty() {
            return Err(reject(Code::PermissionDenied, "CLOSED", "this call is open to nobody", None));
        }
        let caller = self.auth.caller(headers, self.clock.now());
        let caller = caller.map_err(|why| reject(Code::Unauthenticated, "UNAUTHENTICATED", &why.to_string(), None))?;
        if !rpc.roles.iter().any(|role| caller.has(*role)) {
            let roles: Roles = rpc.roles.iter().copied().collect();
            let message = format!("this call needs one of the roles: {roles}");
            return Err(reject(Code::PermissionDenied, "ROLE_MISSING", &message, None));
        }
        if let Some(rates) = self.rates.as_ref().filter(|_| !caller.has(Role::Service)) {
            rates.take(&caller).map_err(|wait| {
                reject(Code::ResourceExhausted, "RATE_LIMITED", "you call too often; slow down", Some(wait))
            })?;
        }
        let place = self.places.as_ref().map(|places| places.clone().try_acquire_owned()).transpose();
        let place = place.map_err(|_| {
            let message = "too many calls are under way; try again";
            reject(Code::ResourceExhausted, "OVERLOADED", message, Some(OVERLOAD_PAUSE))
        })?;
        Ok((caller, place))
    }

    fn deadline(&self, rpc: &Rpc, headers: &HeaderMap) -> Instant {
        let most = if rpc.is_long { LONG_DEADLINE.max(self.deadline) } else { self.deadline };
        let asked = headers.get("grpc-timeout").and_then(|value| parse_timeout(value.as_bytes()));
        let asked = asked.map(|asked| asked.saturating_sub(AHEAD_OF_TRANSPORT));
        Instant::now() + asked.unwrap_or(self.deadline).min(most)
    }
}

/// The calls of each subject.
struct Rates {
    limiter: DefaultKeyedRateLimiter<Arc<str>>,
    since_sweep: AtomicU32,
}

impl Rates {
    /// Subjects who have not called for a while are forgotten after so many calls.
    const SWEEP_EACH: u32 = 16 * 1024;

    fn new(rate: Rate) -> Rates {
        let limiter = RateLimiter::keyed(Quota::per_second(rate.per_second).allow_burst(rate.burst));
        Rates { limiter, since_sweep: AtomicU32::new(0) }
    }

    /// Takes one call, or says how long to wait for it.
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

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let path = request.uri().path();
        let Some(rpc) = RPC_BY_PATH.get(path).copied() else {
            if OPEN.iter().any(|prefix| path.starts_with(prefix)) {
                return Box::pin(self.inner.call(request));
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
        request.extensions_mut().insert(caller);
        request.extensions_mut().insert(Deadline(deadline));
        let span = watch.span();
        let handling = span.in_scope(|| self.inner.call(request));
        let call = async move {
            let response = handle(handling, rpc, deadline).await;
            drop(place);
            // An answer that is not trailers-only has its status behind its messages: it began well.
            watch.finish(Status::from_header_map(response.headers()).map_or(Code::Ok, |status| status.code()));
            Ok(response)
        };
        Box::pin(call.instrument(span))
    }
}

/// The handler's answer, unless it panics or takes too long.
async fn handle<F>(handling: F, rpc: &Rpc, deadline: Instant) -> Response<Body>
where
    F: Future<Output = Result<Response<Body>, Infallible>>,
{
    // Nothing of the call outlives its panic, so nothing half-changed of it is seen.
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

/// A response with what every error has. tonic answers by itself, and without details, where a message can't be read.
fn explained(response: Response<Body>) -> Response<Body> {
    // A response that began well has its status behind its messages.
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

/// What a caller is told whose deadline has passed.
pub(crate) fn too_late() -> Status {
    let message = "the call took too long; try again with the same request id";
    reject(Code::DeadlineExceeded, "DEADLINE_EXCEEDED", message, None)
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
}
