//! What can go wrong, and the one place where it becomes a gRPC status.
//!
//! Only some codes of gRPC are used: `INVALID_ARGUMENT`, `NOT_FOUND`, `FAILED_PRECONDITION`, `RESOURCE_EXHAUSTED`,
//! `ABORTED`, `UNAVAILABLE`, `DEADLINE_EXCEEDED`, `INTERNAL`, `UNAUTHENTICATED`, `PERMISSION_DENIED`, `UNIMPLEMENTED`.
//! Every status carries an `ErrorInfo` with a stable reason; what helps beyond it stands in further details.

use std::borrow::Cow;
use std::collections::HashMap;
use std::time::Duration;

use diesel::result::{DatabaseErrorKind, Error as Diesel};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// The domain of the reasons in `google.rpc.ErrorInfo`.
pub const DOMAIN: &str = "nadeuri";

/// Why the domain of a context refused a command.
pub trait Refusal: std::fmt::Display + std::fmt::Debug + Send {
    /// The code of the refusal.
    fn code(&self) -> RefusalCode {
        RefusalCode::Precondition
    }
    /// The reason in `google.rpc.ErrorInfo`: `UPPER_SNAKE_CASE`, stable.
    fn reason(&self) -> &'static str;
    /// When a retry may succeed, if that is known.
    fn retry_after(&self) -> Option<Duration> {
        None
    }
}

/// The codes that a refusal may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalCode {
    /// The request is invalid in any state: `INVALID_ARGUMENT`.
    Invalid,
    /// The resource does not exist: `NOT_FOUND`.
    NotFound,
    /// The current state does not allow it: `FAILED_PRECONDITION`.
    Precondition,
    /// It is in progress; the outcome will be known later: `ABORTED`.
    Pending,
}

/// An invalid field of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The path of the field, such as `car.daily_rate.currency_code`.
    pub field: String,
    /// What would be valid.
    pub description: String,
}

/// What can go wrong.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The domain refused the command.
    #[error("{message}")]
    Refused {
        /// The code.
        code: RefusalCode,
        /// `UPPER_SNAKE_CASE`.
        reason: &'static str,
        /// For people.
        message: String,
        /// When to try again.
        retry_after: Option<Duration>,
        /// What it is about: a key and a value of the metadata of `google.rpc.ErrorInfo`, such as `payment_id`.
        about: Option<(&'static str, String)>,
    },
    /// Fields of the request are invalid.
    #[error("{}", describe(.0))]
    Invalid(Vec<Violation>),
    /// The resource does not exist, or is not visible to this caller.
    #[error("there is no {what} {id}")]
    NotFound {
        /// The kind of resource, such as `reservation`.
        what: &'static str,
        /// Its id.
        id: String,
    },
    /// The request id was used for another request.
    #[error("request_id was used for another request; take a new one for each request, and repeat it only to retry")]
    RequestIdReused,
    /// Concurrent changes, after all retries.
    #[error("it was changed by others at the same time; try again")]
    Conflict,
    /// A limit of this process is reached.
    #[error("{what} is busy; try again")]
    Busy {
        /// The limit.
        what: &'static str,
    },
    /// Another context is unavailable.
    #[error("{message}")]
    Away {
        /// `UPPER_SNAKE_CASE`, such as `PAYMENT_AWAY`.
        reason: &'static str,
        /// For people: the state of the request, and what to do.
        message: String,
        /// When to try again.
        retry_after: Duration,
    },
    /// The status of another context, which the caller gets unchanged.
    #[error("{}", .0.message())]
    Answered(Box<Status>),
    /// The store or another external system is unavailable. The text is for the log.
    #[error("the store is not available; try again")]
    Unavailable(String),
    /// The context is stopping and accepts nothing new.
    #[error("it is stopping; try again")]
    Stopping,
    /// A bug. The text is for the log.
    #[error("something went wrong here; it was logged")]
    Internal(String),
}

impl Error {
    /// A refusal of the domain.
    pub fn refused(refusal: &impl Refusal) -> Error {
        Error::Refused {
            code: refusal.code(),
            reason: refusal.reason(),
            message: refusal.to_string(),
            retry_after: refusal.retry_after(),
            about: None,
        }
    }

    /// A refusal that the state of several things leads to, not the domain of one.
    pub fn precondition(reason: &'static str, message: impl Into<String>) -> Error {
        let code = RefusalCode::Precondition;
        Error::Refused { code, reason, message: message.into(), retry_after: None, about: None }
    }

    /// The same error, which names what it is about, if it is a refusal.
    #[must_use]
    pub fn about(self, key: &'static str, value: impl ToString) -> Error {
        match self {
            Error::Refused { code, reason, message, retry_after, .. } => {
                Error::Refused { code, reason, message, retry_after, about: Some((key, value.to_string())) }
            }
            other => other,
        }
    }

    /// The resource does not exist, or is not visible to this caller.
    pub fn not_found(what: &'static str, id: impl ToString) -> Error {
        Error::NotFound { what, id: id.to_string() }
    }

    /// Whether a retry may succeed without any change.
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Error::Conflict | Error::Busy { .. } | Error::Away { .. } | Error::Unavailable(_) | Error::Stopping
        )
    }

    /// The text for the log; a caller gets [`Display`](std::fmt::Display).
    pub fn for_log(&self) -> Cow<'_, str> {
        match self {
            Error::Unavailable(cause) | Error::Internal(cause) => Cow::Borrowed(cause),
            other => Cow::Owned(other.to_string()),
        }
    }

    fn code_and_reason(&self) -> (Code, Cow<'static, str>) {
        let (code, reason) = match self {
            Error::Refused { code, reason, .. } => {
                let code = match code {
                    RefusalCode::Invalid => Code::InvalidArgument,
                    RefusalCode::NotFound => Code::NotFound,
                    RefusalCode::Precondition => Code::FailedPrecondition,
                    RefusalCode::Pending => Code::Aborted,
                };
                (code, *reason)
            }
            Error::Invalid(_) => (Code::InvalidArgument, "INVALID_FIELDS"),
            Error::NotFound { what, .. } => {
                let reason = what.to_uppercase().replace(' ', "_") + "_NOT_FOUND";
                return (Code::NotFound, Cow::Owned(reason));
            }
            Error::RequestIdReused => (Code::InvalidArgument, "REQUEST_ID_REUSED"),
            Error::Conflict => (Code::Aborted, "CONFLICT"),
            Error::Busy { .. } => (Code::ResourceExhausted, "BUSY"),
            Error::Away { reason, .. } => (Code::Unavailable, *reason),
            Error::Answered(status) => (status.code(), ""),
            Error::Unavailable(_) => (Code::Unavailable, "STORE_UNAVAILABLE"),
            Error::Stopping => (Code::Unavailable, "STOPPING"),
            Error::Internal(_) => (Code::Internal, "INTERNAL"),
        };
        (code, Cow::Borrowed(reason))
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Error::Refused { retry_after, .. } => *retry_after,
            Error::Away { retry_after, .. } => Some(*retry_after),
            Error::Conflict | Error::Busy { .. } => Some(Duration::from_millis(100)),
            Error::Unavailable(_) | Error::Stopping => Some(Duration::from_secs(1)),
            _ => None,
        }
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Status {
        match &error {
            Error::Answered(status) => return (**status).clone(),
            Error::Internal(cause) => tracing::error!(cause, "internal error"),
            Error::Unavailable(cause) => tracing::warn!(cause, "unavailable"),
            _ => {}
        }
        let (code, reason) = error.code_and_reason();
        let about = if let Error::Refused { about, .. } = &error { about.clone() } else { None };
        let metadata: HashMap<String, String> = about.map(|(key, value)| (key.to_owned(), value)).into_iter().collect();
        let mut details = ErrorDetails::with_error_info(reason, DOMAIN, metadata);
        if let Error::Invalid(violations) = &error {
            for Violation { field, description } in first_of(violations) {
                details.add_bad_request_violation(field, description);
            }
        }
        if let Some(delay) = error.retry_after() {
            details.set_retry_info(Some(delay));
        }
        Status::with_error_details(code, error.to_string(), details)
    }
}

impl From<Diesel> for Error {
    fn from(error: Diesel) -> Error {
        match &error {
            Diesel::DatabaseError(DatabaseErrorKind::UniqueViolation | DatabaseErrorKind::SerializationFailure, _) => {
                Error::Conflict
            }
            // On a deadlock PostgreSQL aborts one transaction, which may succeed when it is retried.
            Diesel::DatabaseError(_, info) if info.message().contains("deadlock detected") => Error::Conflict,
            // Statements are sent together. One that comes after the one that failed, perhaps by a conflict, can be
            // answered first; a retry shows what it was.
            Diesel::DatabaseError(_, info) if info.message().contains("current transaction is aborted") => {
                Error::Conflict
            }
            Diesel::DatabaseError(
                DatabaseErrorKind::CheckViolation
                | DatabaseErrorKind::NotNullViolation
                | DatabaseErrorKind::ForeignKeyViolation,
                _,
            )
            | Diesel::DeserializationError(_)
            | Diesel::SerializationError(_)
            | Diesel::QueryBuilderError(_)
            | Diesel::InvalidCString(_)
            | Diesel::NotFound => Error::Internal(error.to_string()),
            _ => Error::Unavailable(error.to_string()),
        }
    }
}

/// The limit of reported violations, in bytes. They are sent twice, as text and as details, in trailers, of which
/// clients read 8 KiB.
const VIOLATIONS_MAX_BYTES: usize = 1_500;

/// The first violations, as many as fit into the limit; at least one.
fn first_of(violations: &[Violation]) -> &[Violation] {
    let size = |violation: &Violation| violation.field.len() + violation.description.len() + 16;
    let sizes = violations.iter().scan(0, |sum, violation| {
        *sum += size(violation);
        Some(*sum)
    });
    let count = sizes.take_while(|sum| *sum <= VIOLATIONS_MAX_BYTES).count();
    &violations[..count.max(1).min(violations.len())]
}

fn describe(violations: &[Violation]) -> String {
    let reported = first_of(violations);
    let each = reported.iter().map(|violation| format!("{}: {}", violation.field, violation.description));
    let text = each.collect::<Vec<_>>().join("; ");
    match violations.len() - reported.len() {
        0 => text,
        more => format!("{text}; and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_violations_are_reported_together_in_the_message_and_in_details() {
        let violation = |field: &str| Violation { field: field.into(), description: "must be set".into() };
        let status = Status::from(Error::Invalid(vec![violation("a"), violation("b.c")]));
        assert_eq!((status.code(), status.message()), (Code::InvalidArgument, "a: must be set; b.c: must be set"));
        let details = status.get_error_details();
        let fields: Vec<_> =
            details.bad_request().into_iter().flat_map(|bad| &bad.field_violations).map(|v| &v.field).collect();
        assert_eq!(fields, ["a", "b.c"]);
    }

    #[test]
    fn of_many_violations_the_first_are_reported_and_the_rest_are_counted() {
        let violation =
            |number: usize| Violation { field: format!("car.places[{number}].name"), description: "x".repeat(80) };
        let status = Status::from(Error::Invalid((0..10_000).map(violation).collect()));
        let reported = status.get_error_details().bad_request().map_or(0, |bad| bad.field_violations.len());
        assert!((5..50).contains(&reported), "{reported}");
        assert!(status.message().ends_with(&format!("and {} more", 10_000 - reported)), "{}", status.message());
        let headers = status.into_http::<String>().into_parts().0.headers;
        let size: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        assert!(size < 8 * 1024, "{size}");
    }

    #[test]
    fn what_is_for_the_log_does_not_reach_the_caller() {
        let status = Status::from(Error::Internal("password=hunter2".into()));
        assert!(!format!("{status:?}").contains("hunter2"));
    }
}
