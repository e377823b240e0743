//! The error of a failed call, and the pauses between retries.

use std::fmt;
use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// The pauses between attempts, if the server sets none: exponential backoff with jitter, so that clients that failed
/// at the same time do not retry at the same time.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// After this many doublings the pause is the longest. More would overflow.
const DOUBLINGS: u32 = 5;

/// The error of a failed call.
#[derive(Clone, Debug)]
pub struct Error(Box<Details>);

#[derive(Clone, Debug)]
struct Details {
    status: Status,
    reason: String,
    violations: Vec<Violation>,
    retry_delay: Option<Duration>,
}

/// An invalid field of the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Its path, such as `car.daily_rate.currency_code`.
    pub field: String,
    /// What is expected.
    pub description: String,
}

impl Error {
    /// The gRPC status code.
    #[must_use]
    pub fn code(&self) -> Code {
        self.0.status.code()
    }

    /// The message for people.
    #[must_use]
    pub fn message(&self) -> &str {
        self.0.status.message()
    }

    /// The reason for programs, such as `PERIOD_TAKEN`; empty if the error is not from a server of Nadeuri.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.0.reason
    }

    /// The invalid fields, if the reason is `INVALID_FIELDS`.
    #[must_use]
    pub fn violations(&self) -> &[Violation] {
        &self.0.violations
    }

    /// The delay after which a retry may succeed, if the server sets one.
    #[must_use]
    pub fn retry_delay(&self) -> Option<Duration> {
        self.0.retry_delay
    }

    /// The gRPC status.
    #[must_use]
    pub fn status(&self) -> &Status {
        &self.0.status
    }

    /// The pause after this attempt (the first is 1); `None` if a retry would not help.
    pub(crate) fn pause(&self, attempt: u32) -> Option<Duration> {
        if let Some(delay) = self.0.retry_delay {
            return Some(delay + below(FIRST_PAUSE));
        }
        // The server is not reachable.
        let is_passing = matches!(self.code(), Code::Unavailable | Code::DeadlineExceeded);
        is_passing.then(|| below(LONGEST_PAUSE.min(FIRST_PAUSE * (1 << attempt.min(DOUBLINGS)))))
    }
}

fn below(limit: Duration) -> Duration {
    rand::random_range(Duration::ZERO..limit)
}

impl From<Status> for Error {
    fn from(status: Status) -> Error {
        let details = status.get_error_details();
        let violation = |found: &tonic_types::FieldViolation| Violation {
            field: found.field.clone(),
            description: found.description.clone(),
        };
        Error(Box::new(Details {
            reason: details.error_info().map(|info| info.reason.clone()).unwrap_or_default(),
            violations: details.bad_request().iter().flat_map(|bad| &bad.field_violations).map(violation).collect(),
            retry_delay: details.retry_info().and_then(|info| info.retry_delay),
            status,
        }))
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Status {
        error.0.status
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reason() {
            "" => write!(f, "{:?}: {}", self.code(), self.message()),
            reason => write!(f, "{reason}: {}", self.message()),
        }
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_only_so_far() {
        let error = Error::from(Status::unavailable("nobody is there"));
        assert!((1..100).all(|attempt| error.pause(attempt).is_some_and(|pause| pause < LONGEST_PAUSE)));
    }
}
