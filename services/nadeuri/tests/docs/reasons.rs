//! The reasons of errors in the code, to be compared with those that the contracts name.
//!
//! The reasons of a context are the `UPPER_SNAKE_CASE` string literals in its sources with more than three letters,
//! because three letters are a currency. Its policy is skipped, because it only compares reasons and returns none, and
//! so are tests.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use chassis::Error;
use chassis::error::Violation;
use nadeuri::contexts;
use tonic::Status;
use tonic_types::StatusExt;

use crate::repository::{files, read};

/// The gRPC status codes that a context responds with.
pub const CODES: [&str; 11] = [
    "INVALID_ARGUMENT",
    "NOT_FOUND",
    "FAILED_PRECONDITION",
    "RESOURCE_EXHAUSTED",
    "ABORTED",
    "UNAVAILABLE",
    "DEADLINE_EXCEEDED",
    "INTERNAL",
    "UNAUTHENTICATED",
    "PERMISSION_DENIED",
    "UNIMPLEMENTED",
];

/// The reasons of every RPC, each with its condition.
pub const COMMON: [(&str, &str); 19] = [
    ("INVALID_FIELDS", "fields of the request are invalid; `BadRequest` names each, with what is expected"),
    ("MALFORMED_MESSAGE", "the request is no message of the RPC's type in the protobuf encoding"),
    ("MESSAGE_TOO_LARGE", "the request is larger than 256 KiB"),
    ("REQUEST_ID_REUSED", "the `request_id` was used before with another request"),
    ("UNAUTHENTICATED", "there is no token, or it is not valid"),
    ("ROLE_MISSING", "the caller has none of the roles of the RPC, or is a context that does not declare the call"),
    ("SUBJECT_ERASED", "the caller's data is being erased, at their wish"),
    ("CLOSED", "the RPC has no roles, so nobody may call it"),
    ("UNKNOWN_RPC", "there is no such RPC"),
    ("RATE_LIMITED", "the caller exceeds the rate limit"),
    (
        "TOO_MANY_CALLS",
        "the caller has their share of the calls in flight, of the calls to another context, or of streams",
    ),
    ("REQUEST_TOO_SLOW", "the request did not arrive completely within 5 seconds"),
    ("OVERLOADED", "the process has reached its limit of calls in flight"),
    ("BUSY", "a queue in the process is full"),
    ("CONFLICT", "concurrent changes of the same aggregate exhausted the retries"),
    ("DEADLINE_EXCEEDED", "the caller's deadline, or the longest duration of a call, has passed"),
    ("STOPPING", "the server is stopping; another replica serves the call, or goes on with the stream"),
    ("STORE_UNAVAILABLE", "the store is not available now"),
    ("INTERNAL", "an unexpected error; the log has the cause"),
];

static OF_PACKAGES: LazyLock<BTreeMap<&str, BTreeSet<String>>> = LazyLock::new(|| {
    let names = contexts::ALL.iter().map(|context| context.name).chain(["operations"]);
    names.map(|name| (name, in_sources(name))).collect()
});

/// The reasons in the sources of a context, or of `operations`.
pub fn of(package: &str) -> BTreeSet<String> {
    OF_PACKAGES[package].clone()
}

fn in_sources(package: &str) -> BTreeSet<String> {
    let sources = match package {
        "operations" => vec![read("services/chassis/src/operations.rs").expect("it is there")],
        context => {
            let own = files(&format!("services/{context}/src"));
            let own = own.into_iter().filter(|(path, _)| {
                path.ends_with(".rs") && !path.ends_with("/policy.rs") && !path.ends_with("/tests.rs")
            });
            // Where messages are registered, such texts are their topics.
            own.map(|(_, text)| text).filter(|text| !text.contains("pub fn register(templates: Templates)")).collect()
        }
    };
    let mut found = BTreeSet::new();
    for text in sources {
        let text = text.split("#[cfg(test)]").next().unwrap_or_default();
        found.extend(literals(text).filter(|word| is_upper_snake(word) && word.len() > 3).map(str::to_owned));
        let missing = text.split("Error::not_found(\"").skip(1).filter_map(|rest| rest.split('"').next());
        found.extend(missing.map(|what| reason(&Error::not_found(what.to_owned().leak(), ""))));
    }
    found
}

/// Whether it may be a reason, a code or a value.
pub fn is_upper_snake(word: &str) -> bool {
    let is_fit = |letter: char| letter.is_ascii_uppercase() || letter.is_ascii_digit() || letter == '_';
    word.starts_with(|letter: char| letter.is_ascii_uppercase()) && word.len() > 1 && word.chars().all(is_fit)
}

/// The reasons of every RPC, with their codes, and whether they have a retry delay: from the chassis's errors and from
/// the guard in front of the services.
pub fn common() -> BTreeMap<String, (&'static str, bool)> {
    let invalid = Violation { field: String::new(), description: String::new() };
    let errors = [
        Error::Invalid(vec![invalid]),
        Error::RequestIdReused,
        Error::Conflict,
        Error::Busy { what: "" },
        Error::Unavailable(String::new()),
        Error::Stopping,
        Error::Internal(String::new()),
    ];
    let mut found = BTreeMap::new();
    for error in errors {
        let status = Status::from(error.clone());
        let delay = status.get_details_retry_info().is_some();
        found.insert(reason(&error), (code_name(&format!("{:?}", status.code())), delay));
    }
    let guard = read("services/chassis/src/access.rs").expect("the guard is there");
    for rejection in guard.split("reject(Code::").skip(1) {
        let words: Vec<&str> = rejection.splitn(3, ", ").collect();
        let delay = rejection.lines().next().is_some_and(|call| call.contains("Some("));
        found.insert(words[1].trim_matches('"').to_owned(), (code_name(words[0]), delay));
    }
    found
}

fn reason(error: &Error) -> String {
    let status = Status::from(error.clone());
    status.get_details_error_info().map(|info| info.reason).unwrap_or_default()
}

/// `NOT_FOUND` of `NotFound`.
fn code_name(variant: &str) -> &'static str {
    let flat = variant.to_uppercase();
    CODES.into_iter().find(|code| code.replace('_', "") == flat).expect("the code is one of those that are used")
}

/// The string literals.
fn literals(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.trim_start().starts_with("//")).flat_map(|line| line.split('"').skip(1).step_by(2))
}
