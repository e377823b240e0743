//! The support of the black-box tests: servers as real processes, gRPC clients, and waiting with a limit.

#![allow(dead_code, reason = "each test binary uses a part of it")]

pub mod authority;
pub mod bikes;
pub mod client;
pub mod cluster;
pub mod identities;
pub mod orders;
pub mod process;
pub mod stand_in;
pub mod stays;
pub mod stored;
pub mod taxis;
pub mod upkeep;
pub mod verbs;
pub mod wallets;

use std::sync::LazyLock;
use std::time::Duration;

use chassis::clock::{Clock, Timestamp};
use chassis::ids::Ids;
use contracts::period::v1::Period;
use tokio::time::Instant;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// The limit of a wait. It is long because many tests run at once on few cores.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// The pause between two polls.
pub const LOOK: Duration = Duration::from_millis(20);
/// A payment method that is approved.
pub const GOOD_CARD: &str = "sandbox-approve";
/// A payment method that is declined.
pub const BAD_CARD: &str = "sandbox-decline";

static IDS: LazyLock<Ids> = LazyLock::new(Ids::system);

/// The current time.
pub fn now() -> Timestamp {
    Clock::system().now()
}

/// A new id.
pub fn new_id() -> String {
    IDS.uuid(now()).to_string()
}

/// A name that nobody else has: customers and drivers have limits of their own.
pub fn somebody(name: &str) -> String {
    format!("{name}-{}", new_id())
}

/// A random number below `limit`.
pub fn below(limit: u64) -> u64 {
    IDS.below(limit)
}

/// A period that begins in `start` days and lasts `days`.
pub fn period(start: u64, days: u64) -> Period {
    let day = Duration::from_secs(86_400);
    let start = now() + day * u32::try_from(start).unwrap();
    between(start, start + day * u32::try_from(days).unwrap())
}

/// The period between two moments.
pub fn between(start: Timestamp, end: Timestamp) -> Period {
    Period { start_time: Some(start.to_proto()), end_time: Some(end.to_proto()) }
}

/// Polls `ask` until it returns a value; panics after [`PATIENCE`].
pub async fn eventually<T>(what: &str, ask: impl AsyncFnMut() -> Option<T>) -> T {
    eventually_within(PATIENCE, what, ask).await
}

/// Polls `ask`, less and less often, until it returns a value; panics after `patience`.
pub async fn eventually_within<T>(patience: Duration, what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let limit = Instant::now() + patience;
    let mut pause = LOOK;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Instant::now() < limit, "timed out: {what}");
        tokio::time::sleep(pause).await;
        pause = (pause * 5 / 4).min(LOOK * 10);
    }
}

/// The reason (`ErrorInfo`) of a status.
pub fn reason(status: &Status) -> String {
    status.get_details_error_info().map(|info| info.reason).unwrap_or_default()
}

/// The fields (`BadRequest`) that a status names.
pub fn wrong_fields(status: &Status) -> Vec<String> {
    let violations = status.get_details_bad_request().map(|bad| bad.field_violations).unwrap_or_default();
    violations.into_iter().map(|violation| violation.field).collect()
}

/// A value of the metadata of the `ErrorInfo` of a status.
pub fn about(status: &Status, key: &str) -> String {
    let info = status.get_details_error_info();
    info.and_then(|info| info.metadata.get(key).cloned()).unwrap_or_default()
}

/// The retry delay (`RetryInfo`) of a status.
pub fn retry_delay(status: &Status) -> Option<Duration> {
    status.get_details_retry_info().and_then(|info| info.retry_delay)
}

/// Checks that a request is refused with this code and reason, and returns the status.
#[track_caller]
pub fn refused<T: std::fmt::Debug>(answer: Result<T, Status>, code: Code, with: &str) -> Status {
    let status = answer.expect_err("it must be refused");
    assert_eq!((status.code(), reason(&status).as_str()), (code, with), "{}", status.message());
    status
}

/// Checks that a request is refused with `FAILED_PRECONDITION` and this reason, and returns the status.
#[track_caller]
pub fn precondition<T: std::fmt::Debug>(answer: Result<T, Status>, with: &str) -> Status {
    refused(answer, Code::FailedPrecondition, with)
}

/// Checks that a request is refused for exactly these fields.
#[track_caller]
pub fn wrong<T: std::fmt::Debug>(answer: Result<T, Status>, fields: &[&str]) {
    let status = refused(answer, Code::InvalidArgument, "INVALID_FIELDS");
    assert_eq!(wrong_fields(&status), fields, "{}", status.message());
}
