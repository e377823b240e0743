//! A call from outside, and the way from its message to typed values.
//!
//! Requests are parsed, not validated: what a service hands on has types that can't hold what is wrong. [`Fields`]
//! collects every violation, so that a caller learns of all of them at once.

use std::fmt::Display;
use std::str::FromStr;

use contracts::{Enumeration, Extract, Role};
use tonic::{Request, Status};
use uuid::Uuid;

use crate::access::Deadline;
use crate::aggregate::{Aggregate, Cause};
use crate::auth::Caller;
use crate::clock::Timestamp;
use crate::error::{Error, Violation};
use crate::idempotency::Key;
use crate::ids::{Id, Kind};
use crate::telemetry;
use crate::writer::CommandMessage;

/// Who calls, until when, and under which request id.
#[derive(Clone, Debug)]
pub struct Call {
    /// Who calls.
    pub caller: Caller,
    /// When the caller stops waiting.
    pub deadline: Option<Deadline>,
    /// Makes it happen once, however often it is repeated; none if the caller gave no request id.
    pub key: Option<Key>,
    bad_request_id: Option<Violation>,
}

/// The guard around every service has put the caller into the request.
impl Extract for Call {
    fn extract<M: contracts::Request>(request: Request<M>) -> Result<(Call, M), Status> {
        let (_, extensions, message) = request.into_parts();
        let caller = extensions.get::<Caller>().cloned();
        let caller = caller.ok_or_else(|| Error::Internal("a service without a guard was called".into()))?;
        let request_id = message.request_id().filter(|id| !id.is_empty()).map(Uuid::try_parse);
        let (key, bad_request_id) = match request_id {
            Some(Ok(id)) => (Some(Key::request(&caller, id, &message)), None),
            Some(Err(_)) => {
                let (field, description) = ("request_id".to_owned(), "must be a UUID".to_owned());
                (None, Some(Violation { field, description }))
            }
            None => (None, None),
        };
        let deadline = extensions.get::<Deadline>().copied();
        Ok((Call { caller, deadline, key, bad_request_id }, message))
    }
}

impl Call {
    /// Parses fields of the request: all of them, so that a caller learns at once of everything that is wrong.
    ///
    /// `let (car, stars) = call.parse(|fields| (fields.id("car_id", &request.car_id), fields.stars(…)))?;`
    pub fn parse<T: Parsed>(&self, parse: impl FnOnce(&mut Fields) -> T) -> Result<T::Values, Error> {
        let mut fields = Fields(self.bad_request_id.iter().cloned().collect());
        let parsed = parse(&mut fields);
        fields.finish(parsed.values())
    }

    /// Whose things a list is about: the caller's own, or everyone's for an admin.
    pub fn own(&self) -> Option<&str> {
        (!self.caller.has(Role::Admin)).then(|| self.caller.subject())
    }

    /// A command of this call: under its request id it happens once.
    pub fn command<A: Aggregate>(&self, id: A::Id, command: A::Command) -> CommandMessage<A> {
        let cause = Cause { traceparent: telemetry::current_traceparent(), ..Cause::default() };
        CommandMessage { id, command, key: self.key, cause }
    }
}

/// What parsing fields makes: an `Option` for each, which is `None` if the field is wrong.
pub trait Parsed {
    /// The values.
    type Values;
    /// The values, if each is there.
    fn values(self) -> Option<Self::Values>;
}

impl<T> Parsed for Option<T> {
    type Values = T;
    fn values(self) -> Option<T> {
        self
    }
}

macro_rules! parsed {
    ($(($($field:ident)+))+) => {
        $(
            impl<$($field),+> Parsed for ($(Option<$field>,)+) {
                type Values = ($($field,)+);
                #[allow(non_snake_case, reason = "each variable is called as its type")]
                fn values(self) -> Option<Self::Values> {
                    let ($($field,)+) = self;
                    Some(($($field?,)+))
                }
            }
        )+
    };
}
parsed! { (A B) (A B C) (A B C D) (A B C D E) (A B C D E F) (A B C D E F G) (A B C D E F G H) }

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

    /// A value of an enum of the contract; the unspecified one is right, too.
    pub fn value<E: Enumeration>(&mut self, field: &str, number: i32) -> Option<E> {
        self.take(field, E::try_from(number).map_err(|_| format!("must be a value of {}", enum_name(E::PREFIX))))
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

    /// The values, if nothing was wrong.
    pub fn finish<T>(self, values: Option<T>) -> Result<T, Error> {
        match values {
            Some(values) if self.0.is_empty() => Ok(values),
            _ => Err(Error::Invalid(self.0)),
        }
    }
}

/// `STAY_STATE_` is what the names of the values of `StayState` begin with.
fn enum_name(prefix: &str) -> String {
    let words = prefix.split('_').filter_map(|word| word.split_at_checked(1));
    words.map(|(first, rest)| first.to_owned() + &rest.to_ascii_lowercase()).collect()
}

/// All of the values, or none: `all!(a, b)` is `Some((a, b))` if each is there.
#[macro_export]
macro_rules! all {
    ($($value:expr),+ $(,)?) => {
        (|| Some(($($value?,)+)))()
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_a_value_of_its_enum_or_the_answer_names_the_enum() {
        let mut fields = Fields::new();
        assert_eq!(fields.value("role", 0), Some(Role::Unspecified));
        assert_eq!(fields.value("role", Role::Admin.into()), Some(Role::Admin));
        assert_eq!(fields.value::<Role>("role", 99), None);
        let Err(Error::Invalid(violations)) = fields.finish(Some(())) else { panic!("99 is no role") };
        assert_eq!(
            (violations[0].field.as_str(), violations[0].description.as_str()),
            ("role", "must be a value of Role")
        );
        assert_eq!(enum_name("STAY_STATE_"), "StayState");
    }
}
