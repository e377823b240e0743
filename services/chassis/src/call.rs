//! A call from outside, and the way from its message to typed values.
//!
//! Requests are parsed, not validated: what a service hands on has types that can't hold what is wrong. [`Fields`]
//! collects every violation, so that a caller learns of all of them at once.

use std::fmt::Display;
use std::str::FromStr;

use contracts::Role;
use prost::{Message, Name};
use tonic::Request;
use uuid::Uuid;

use crate::access::Deadline;
use crate::aggregate::{Aggregate, Cause};
use crate::auth::Caller;
use crate::clock::Timestamp;
use crate::idempotency::Key;
use crate::error::{Error, Violation};
use crate::ids::{Id, Kind};
use crate::telemetry;
use crate::writer::CommandMessage;

/// Who calls, until when, and why.
#[derive(Clone, Debug)]
pub struct Call {
    /// Who calls.
    pub caller: Caller,
    /// When the caller stops waiting.
    pub deadline: Option<Deadline>,
}

impl Call {
    /// Takes a request apart. The guard around every service has put the caller into it.
    pub fn take<M>(request: Request<M>) -> Result<(Call, M), Error> {
        let (_, extensions, message) = request.into_parts();
        let caller = extensions.get::<Caller>().cloned();
        let caller = caller.ok_or_else(|| Error::Internal("a service without a guard was called".into()))?;
        Ok((Call { caller, deadline: extensions.get::<Deadline>().copied() }, message))
    }

    /// Whose things a list is about: the caller's own, or everyone's for an admin.
    pub fn own(&self) -> Option<&str> {
        (!self.caller.has(Role::Admin)).then(|| self.caller.subject())
    }

    /// A command of this call.
    pub fn command<A: Aggregate>(&self, id: A::Id, command: A::Command, key: Option<Key>) -> CommandMessage<A> {
        let cause = Cause { traceparent: telemetry::current_traceparent(), ..Cause::default() };
        CommandMessage { id, command, key, cause }
    }
}

/// Collects what is wrong with a request.
#[derive(Debug, Default)]
pub struct Fields(Vec<Violation>);

impl Fields {
    /// Nothing is wrong yet.
    pub fn new() -> Fields {
        Fields::default()
    }

    /// This is wrong.
    pub fn violate(&mut self, field: &str, description: impl Display) {
        self.0.push(Violation { field: field.to_owned(), description: description.to_string() });
    }

    /// The value, or why there is none.
    pub fn take<T>(&mut self, field: &str, parsed: Result<T, impl Display>) -> Option<T> {
        parsed.map_err(|why| self.violate(field, why)).ok()
    }

    /// A message field that must be set.
    pub fn required<T>(&mut self, field: &str, value: Option<T>) -> Option<T> {
        self.take(field, value.ok_or("must be set"))
    }

    /// A typed id.
    pub fn id<K: Kind>(&mut self, field: &str, text: &str) -> Option<Id<K>> {
        self.take(field, Id::from_str(text).map_err(|_| format!("must be a UUID, the id of the {}", K::NAME)))
    }

    /// A typed id, if it is set.
    pub fn optional_id<K: Kind>(&mut self, field: &str, text: &str) -> Option<Option<Id<K>>> {
        if text.is_empty() { Some(None) } else { self.id(field, text).map(Some) }
    }

    /// A text of `length` characters, none of which is a control character.
    pub fn text(&mut self, field: &str, text: &str, length: std::ops::RangeInclusive<usize>) -> Option<String> {
        let is_right = length.contains(&text.chars().count()) && !text.chars().any(char::is_control);
        let (from, to) = length.into_inner();
        let why = || format!("must have {from} to {to} characters, no control characters among them");
        self.take(field, is_right.then(|| text.to_owned()).ok_or_else(why))
    }

    /// A moment.
    pub fn time(&mut self, field: &str, time: Option<prost_types::Timestamp>) -> Option<Timestamp> {
        let time = self.required(field, time)?;
        self.take(field, Timestamp::from_proto(&time).ok_or("must be a valid time in the years 1 to 9999"))
    }

    /// The key of a call that changes something; none if the caller gave no request id.
    pub fn key<M: Message + Name>(&mut self, call: &Call, request_id: &str, request: &M) -> Option<Option<Key>> {
        if request_id.is_empty() {
            return Some(None);
        }
        let id = self.take("request_id", Uuid::try_parse(request_id).map_err(|_| "must be a UUID"))?;
        Some(Some(Key::request(&call.caller, id, request)))
    }

    /// The values, if nothing was wrong.
    pub fn finish<T>(self, values: Option<T>) -> Result<T, Error> {
        match values {
            Some(values) if self.0.is_empty() => Ok(values),
            _ => Err(Error::Invalid(self.0)),
        }
    }
}

/// All of the values, or none: `all!(a, b)` is `Some((a, b))` if each is there.
#[macro_export]
macro_rules! all {
    ($($value:expr),+ $(,)?) => {
        (|| Some(($($value?,)+)))()
    };
}
