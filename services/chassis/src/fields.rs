//! The way from a message to typed values.
//!
//! Requests are parsed, not validated: what a service hands on has types that can't hold what is wrong. [`Fields`]
//! collects every violation, so that a caller learns of all of them at once.

use std::fmt::Display;
use std::str::FromStr;

use crate::error::{Error, Violation};
use crate::ids::{Id, Kind};
use crate::timestamp::Timestamp;

/// Collects what is wrong with a request.
#[derive(Debug, Default)]
pub struct Fields(Vec<Violation>);

impl Fields {
    /// Nothing is wrong yet.
    pub fn new() -> Fields {
        Fields::default()
    }

    /// With what was found to be wrong already.
    pub(crate) fn with(violation: Option<Violation>) -> Fields {
        Fields(violation.into_iter().collect())
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

    /// The values, if nothing was wrong.
    pub fn finish<T>(self, values: Option<T>) -> Result<T, Error> {
        match values {
            Some(values) if self.0.is_empty() => Ok(values),
            _ => Err(Error::Invalid(self.0)),
        }
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
