//! What a call that failed returns, and when it may be tried again.

use std::fmt;
use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// The pauses between attempts where the server names none: doubled each time, and random, so that clients that failed
/// together don't come back together.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// After so many doublings it is the longest, and more would be too many for the number.
const DOUBLINGS: u32 = 5;

/// A call failed.
#[derive(Clone, Debug)]
pub struct Error(Box<Details>);

#[derive(Clone, Debug)]
struct Details {
    status: Status,
    reason: String,
    violations: Vec<Violation>,
    retry_delay: Option<Duration>,
}

/// A field of the request that can't be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Its path, such as `car.daily_rate.currency_code`.
    pub field: String,
    /// What would be right.
    pub description: String,
}

impl Error {
    /// The status.
    #[must_use]
    pub fn code(&self) -> Code {
        self.0.status.code()
    }

    /// What it says to people.
    #[must_use]
    pub fn message(&self) -> &str {
        self.0.status.message()
    }

    /// What programs go by, such as `PERIOD_TAKEN`; empty if no server of Nadeuri answered.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.0.reason
    }

    /// The fields that can't be taken, when the reason is `INVALID_FIELDS`.
    #[must_use]
    pub fn violations(&self) -> &[Violation] {
        &self.0.violations
    }

    /// After how long trying again may help, if the server says so.
    #[must_use]
    pub fn retry_delay(&self) -> Option<Duration> {
        self.0.retry_delay
    }

    /// What gRPC tells of the call.
    #[must_use]
    pub fn status(&self) -> &Status {
        &self.0.status
    }

    /// How long to wait after this attempt (the first is 1) until the next; `None` if another would not help.
    pub(crate) fn pause(&self, attempt: u32) -> Option<Duration> {
        if let Some(delay) = self.0.retry_delay {
            return Some(delay + below(FIRST_PAUSE));
        }
        // Nobody is there at the moment.
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
