//! Parsing of messages into typed values.
//!
//! Requests are parsed, not only validated: the types of the parsed values can't hold invalid ones. [`Fields`] collects
//! every violation, so that the error lists all of them.

use std::fmt::Display;
use std::str::FromStr;

use contracts::Enumeration;
use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeGeneralCategory};

use crate::auth::{AuthError, Caller, Roles};
use crate::error::{Error, Violation};
use crate::ids::{Id, Kind};
use crate::timestamp::Timestamp;

/// Collects the violations of a request.
#[derive(Debug, Default)]
pub struct Fields(Vec<Violation>);

impl Fields {
    /// Without violations.
    pub fn new() -> Fields {
        Fields::default()
    }

    /// With a violation that was found before.
    pub(crate) fn with(violation: Option<Violation>) -> Fields {
        Fields(violation.into_iter().collect())
    }

    /// Adds a violation.
    pub fn violate(&mut self, field: &str, description: impl Display) {
        self.0.push(Violation { field: field.to_owned(), description: description.to_string() });
    }

    /// The value, or a violation.
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

    /// A message that may be left out, such as `fields.optional("expected_price", Money::price, …)`.
    pub fn optional<P, T>(
        &mut self,
        field: &str,
        parse: fn(&mut Fields, &str, Option<&P>) -> Option<T>,
        proto: Option<&P>,
    ) -> Option<Option<T>> {
        if proto.is_none() { Some(None) } else { parse(self, field, proto).map(Some) }
    }

    /// A value of an enum of the contract; the unspecified one is valid, too.
    pub fn value<E: Enumeration>(&mut self, field: &str, number: i32) -> Option<E> {
        self.take(field, E::try_from(number).map_err(|_| format!("must be a value of {}", enum_name(E::PREFIX))))
    }

    /// A value of an enum of the contract, if it is set.
    pub fn choice<E: Enumeration>(&mut self, field: &str, number: i32) -> Option<Option<E>> {
        self.value(field, number).map(|value| (number != 0).then_some(value))
    }

    /// A readable text of `length` characters: unless it is empty, one of them is visible, and none is a control
    /// character, has zero width or changes the direction of text.
    pub fn text(&mut self, field: &str, text: &str, length: std::ops::RangeInclusive<usize>) -> Option<String> {
        let is_readable = text.is_empty() || text.chars().any(is_visible) && text.chars().all(is_harmless);
        let is_right = length.contains(&text.chars().count()) && is_readable;
        let (from, to) = length.into_inner();
        let why = || {
            format!(
                "must have {from} to {to} characters, one of them visible, no control, direction or zero-width ones"
            )
        };
        self.take(field, is_right.then(|| text.to_owned()).ok_or_else(why))
    }

    /// A reference of 1 to 100 characters to something secret that a processor keeps. What looks
    /// like the number of a card is not one, and must not get into stores, events and logs.
    pub fn reference(&mut self, field: &str, text: &str) -> Option<String> {
        if has_card_number(text) {
            self.violate(field, "must be a reference, such as the token of a processor, not the number of a card");
            return None;
        }
        self.text(field, text, 1..=100)
    }

    /// The subject of a caller, such as the owner of a resource.
    pub fn subject(&mut self, field: &str, text: &str) -> Option<String> {
        let subject = Caller::new(text, Roles::default()).map(|caller| caller.subject().to_owned());
        self.take(field, subject.ok_or(AuthError::Subject))
    }

    /// A moment.
    pub fn time(&mut self, field: &str, time: Option<prost_types::Timestamp>) -> Option<Timestamp> {
        let time = self.required(field, time)?;
        self.take(field, Timestamp::from_proto(&time).ok_or("must be a valid time in the years 1 to 9999"))
    }

    /// The values, if there were no violations.
    pub fn finish<T>(self, values: Option<T>) -> Result<T, Error> {
        match values {
            Some(values) if self.0.is_empty() => Ok(values),
            _ => Err(Error::Invalid(self.0)),
        }
    }
}

/// The name of an enum, from the prefix of its values: `STAY_STATE_` is that of `StayState`.
fn enum_name(prefix: &str) -> String {
    let words = prefix.split('_').filter_map(|word| word.split_at_checked(1));
    words.map(|(first, rest)| first.to_owned() + &rest.to_ascii_lowercase()).collect()
}

/// Whether there are 13 to 19 digits in a row, perhaps in groups, whose last one is their check digit (ISO/IEC 7812-1).
fn has_card_number(text: &str) -> bool {
    let is_separator = |letter: char| letter.is_whitespace() || matches!(letter, '-' | '.' | '/' | '_');
    let digits = text.chars().filter(|letter| !is_separator(*letter)).collect::<String>();
    let runs = digits.split(|letter: char| !letter.is_ascii_digit());
    runs.filter(|run| (13..=19).contains(&run.len())).any(|run| {
        let sum: u32 = run
            .bytes()
            .rev()
            .enumerate()
            .map(|(place, digit)| {
                let digit = u32::from(digit - b'0');
                if place % 2 == 0 { digit } else { digit * 2 / 10 + digit * 2 % 10 }
            })
            .sum();
        sum.is_multiple_of(10)
    })
}

/// Whether it is visible. Some letters are blank by definition.
fn is_visible(character: char) -> bool {
    const BLANK: [char; 5] = ['\u{115f}', '\u{1160}', '\u{2800}', '\u{3164}', '\u{ffa0}'];
    let group = character.general_category_group();
    let is_drawn = matches!(
        group,
        GeneralCategoryGroup::Letter
            | GeneralCategoryGroup::Number
            | GeneralCategoryGroup::Punctuation
            | GeneralCategoryGroup::Symbol
    );
    is_drawn && !BLANK.contains(&character)
}

/// Whether it does not affect the characters around it. Joiners are part of some scripts and of emoji.
fn is_harmless(character: char) -> bool {
    const JOINERS: [char; 2] = ['\u{200c}', '\u{200d}'];
    let category = character.general_category();
    let is_hidden = matches!(
        category,
        GeneralCategory::Control
            | GeneralCategory::Format
            | GeneralCategory::LineSeparator
            | GeneralCategory::ParagraphSeparator
            | GeneralCategory::Unassigned
    );
    !is_hidden || JOINERS.contains(&character)
}

/// Parsed fields: an `Option` for each, which is `None` if the field is invalid.
pub trait Parsed {
    /// The values.
    type Values;
    /// The values, if each was parsed.
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

#[cfg(test)]
mod tests {
    use super::*;
    use contracts::Role;

    #[track_caller]
    fn check(text: &str, is_right: bool) {
        let mut fields = Fields::new();
        assert_eq!(fields.text("name", text, 1..=20), is_right.then(|| text.to_owned()), "{text:?}");
        assert_eq!(fields.finish(Some(())).is_ok(), is_right, "{text:?}");
    }

    #[test]
    fn a_text_that_people_can_read_passes() {
        for text in ["Mina", "나들이 호텔", "O'Neill & Sons (1)", "👩\u{200d}🚀", "می\u{200c}خواهم", "x", "₩"]
        {
            check(text, true);
        }
    }

    #[test]
    fn a_text_in_which_nothing_is_seen_or_that_hides_something_is_a_violation() {
        let bad = [
            "",
            " ",
            "\u{a0}\u{3000}",
            "\u{200b}",
            "\u{200d}",
            "\u{2800}",
            "\u{3164}",
            "\u{feff}a",
            "a\u{202e}b",
            "a\u{2066}b",
            "a\u{200b}b",
            "a\u{ad}b",
            "a\nb",
            "a\u{2028}b",
            "a\0",
            "123456789012345678901",
        ];
        for text in bad {
            check(text, false);
        }
    }

    #[test]
    fn an_empty_text_passes_where_it_may_be_empty() {
        assert_eq!(Fields::new().text("kind", "", 0..=5), Some(String::new()));
    }

    #[test]
    fn a_reference_is_not_the_number_of_a_card() {
        for card in ["4111111111111111", "4111-1111-1111-1111", "card 5555 5555 5555 4444", "378282246310005"] {
            let mut fields = Fields::new();
            assert_eq!(fields.reference("payment_method", card), None, "{card}");
            let Err(Error::Invalid(violations)) = fields.finish(Some(())) else { panic!("it is a card") };
            assert!(!violations[0].description.contains(card), "what is secret is not repeated");
        }
        for reference in
            ["sandbox-ok", "4111111111111112", "pm_1N2x3C", "tok-411111", "00000000-0000-7000-8000-0000000000f1"]
        {
            assert_eq!(Fields::new().reference("payment_method", reference).as_deref(), Some(reference));
        }
        assert_eq!(Fields::new().reference("payment_method", ""), None);
    }

    #[test]
    fn a_value_of_an_enum_is_one_of_the_contract_or_not_set() {
        let mut fields = Fields::new();
        assert_eq!(fields.choice("role", Role::Admin.into()), Some(Some(Role::Admin)));
        assert_eq!(fields.choice::<Role>("role", 0), Some(None));
        assert_eq!(fields.choice::<Role>("role", 99), None);
        let Err(Error::Invalid(violations)) = fields.finish(Some(())) else { panic!("99 is no role") };
        assert_eq!(violations[0].description, "must be a value of Role");
        assert_eq!(enum_name("STAY_STATE_"), "StayState");
    }
}
