//! Rust types as columns: the type that diesel binds and reads in place of each. [`table!`](crate::table) uses
//! [`Column`].

use std::fmt::Debug;

use contracts::Enumeration;
use diesel::deserialize::{self, FromSql};
use diesel::pg::{Pg, PgValue};
use diesel::serialize::{self, IsNull, Output, ToSql};
use diesel::sql_types;
use diesel::sqlite::{Sqlite, SqliteValue};
use jiff::civil::Date;

use crate::clock::Timestamp;
use crate::ids::Id;
use crate::secret::Secret;
use crate::values::{self, Currency};

/// A type that a column can hold.
pub trait Column: Sized {
    /// The type that diesel binds and reads.
    type Stored: Clone + Debug + PartialEq + Send + Sync + 'static;

    /// The stored form.
    fn into_stored(self) -> Self::Stored;

    /// From the stored form; `None` if that is no such value.
    fn from_stored(stored: Self::Stored) -> Option<Self>;
}

/// Types that diesel itself binds and reads.
macro_rules! plain {
    ($($type:ty),+ $(,)?) => {
        $(impl Column for $type {
                    type Stored = $type;
            fn into_stored(self) -> $type {
                self
            }
            fn from_stored(stored: $type) -> Option<$type> {
                Some(stored)
            }
        })+
    };
}
plain! {
    bool,
    i32,
    i64,
    f64,
    String,
    Vec<u8>,
    Timestamp,
    Secret,
    Currency,
}

impl<K: 'static> Column for Id<K> {
    type Stored = Id<K>;
    fn into_stored(self) -> Id<K> {
        self
    }
    fn from_stored(stored: Id<K>) -> Option<Id<K>> {
        Some(stored)
    }
}

impl<T: Column> Column for Option<T> {
    type Stored = Option<T::Stored>;
    fn into_stored(self) -> Option<T::Stored> {
        self.map(T::into_stored)
    }
    fn from_stored(stored: Option<T::Stored>) -> Option<Option<T>> {
        match stored {
            Some(stored) => T::from_stored(stored).map(Some),
            None => Some(None),
        }
    }
}

/// Counts and numbers of days, up to `i32::MAX`.
impl Column for u32 {
    type Stored = i32;
    fn into_stored(self) -> i32 {
        i32::try_from(self).unwrap_or(i32::MAX)
    }
    fn from_stored(stored: i32) -> Option<u32> {
        u32::try_from(stored).ok()
    }
}

impl Column for u8 {
    type Stored = i32;
    fn into_stored(self) -> i32 {
        i32::from(self)
    }
    fn from_stored(stored: i32) -> Option<u8> {
        u8::try_from(stored).ok()
    }
}

/// ISO 8601: the texts sort as the dates do.
impl Column for Date {
    type Stored = String;
    fn into_stored(self) -> String {
        self.to_string()
    }
    fn from_stored(stored: String) -> Option<Date> {
        values::date(&stored)
    }
}

/// The name of a value of a contract's enum: `CAR_STATUS_IN_USE` is stored as `in_use`, the unspecified value as an
/// empty text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name<E>(pub E);

impl<E: Enumeration> Name<E> {
    /// The value whose text is in a column; `None` if none has it.
    pub fn parse(text: &str) -> Option<E> {
        if text.is_empty() {
            return E::try_from(0).ok();
        }
        E::from_name(&(E::PREFIX.to_owned() + &text.to_ascii_uppercase()))
    }

    /// The text to filter a list by; `None` for the unspecified value, which asks for all.
    pub fn specified(self) -> Option<String> {
        Some(self.text()).filter(|text| !text.is_empty())
    }

    /// The text in the column.
    pub fn text(self) -> String {
        match self.0.into() {
            0 => String::new(),
            _ => self.0.name().trim_start_matches(E::PREFIX).to_ascii_lowercase(),
        }
    }
}

impl<E: Enumeration> Column for Name<E> {
    type Stored = String;
    fn into_stored(self) -> String {
        self.text()
    }
    fn from_stored(stored: String) -> Option<Name<E>> {
        Name::parse(&stored).map(Name)
    }
}

/// Lets a column hold an enum of a domain whose values an enum of the contract names: `names!(State is BillState: Open,
/// Due);`, or one that is in no contract: `names!(Stage: Open "open", Over "over");`.
#[macro_export]
macro_rules! names {
    ($Enum:ident: $($value:ident $name:literal),+) => {
        impl $crate::db::Column for $Enum {
            type Stored = String;
            fn into_stored(self) -> String {
                match self { $($Enum::$value => $name,)+ }.to_owned()
            }
            fn from_stored(stored: String) -> Option<$Enum> {
                match stored.as_str() { $($name => Some($Enum::$value),)+ _ => None }
            }
        }
    };

    ($Enum:ident is $Shown:ident: $($value:ident),+) => {
        impl From<$Enum> for $Shown {
            fn from(value: $Enum) -> $Shown {
                match value { $($Enum::$value => $Shown::$value,)+ }
            }
        }

        impl $crate::db::Column for $Enum {
            type Stored = String;
            fn into_stored(self) -> String {
                $crate::db::Name($Shown::from(self)).text()
            }
            fn from_stored(stored: String) -> Option<$Enum> {
                let shown: $Shown = $crate::db::Name::parse(&stored)?;
                [$($Enum::$value),+].into_iter().find(|value| $Shown::from(*value) == shown)
            }
        }
    };
}

impl ToSql<sql_types::Text, Pg> for Currency {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        <str as ToSql<sql_types::Text, Pg>>::to_sql(self.code(), out)
    }
}
impl ToSql<sql_types::Text, Sqlite> for Currency {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Sqlite>) -> serialize::Result {
        out.set_value(self.code().to_owned());
        Ok(IsNull::No)
    }
}
impl FromSql<sql_types::Text, Pg> for Currency {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        currency(&<String as FromSql<sql_types::Text, Pg>>::from_sql(value)?)
    }
}
impl FromSql<sql_types::Text, Sqlite> for Currency {
    fn from_sql(value: SqliteValue<'_, '_, '_>) -> deserialize::Result<Self> {
        currency(&<String as FromSql<sql_types::Text, Sqlite>>::from_sql(value)?)
    }
}

fn currency(code: &str) -> deserialize::Result<Currency> {
    Currency::parse(code).ok_or_else(|| format!("{code:?} is no currency").into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use contracts::Role;

    #[track_caller]
    fn check<T: Column + PartialEq + Debug + Clone>(value: T) {
        assert_eq!(T::from_stored(value.clone().into_stored()), Some(value));
    }

    #[test]
    fn what_is_stored_is_read_again() {
        check(7_u32);
        check(u8::MAX);
        check(Some("text".to_owned()));
        check::<Option<u32>>(None);
        check(jiff::civil::date(2026, 7, 1));
        check(Name(Role::Admin));
        check(Name(Role::Unspecified));
    }

    #[test]
    fn a_name_is_that_of_the_contract_without_its_prefix() {
        assert_eq!(Name(Role::Admin).text(), "admin");
        assert_eq!(Name(Role::Unspecified).text(), "");
        assert_eq!(Name(Role::Admin).specified(), Some("admin".to_owned()));
        assert_eq!(Name(Role::Unspecified).specified(), None);
    }

    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Staff {
        Manager,
        Admin,
    }
    names!(Staff is Role: Manager, Admin);

    #[test]
    fn an_enum_of_a_domain_is_stored_by_the_names_of_the_contract() {
        check(Staff::Manager);
        assert_eq!(Staff::Admin.into_stored(), "admin");
        assert_eq!(Staff::from_stored("customer".to_owned()), None);
        assert_eq!(Staff::from_stored(String::new()), None);
    }

    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Stage {
        Open,
        Over,
    }
    names!(Stage: Open "open", Over "over");

    #[test]
    fn an_enum_that_is_in_no_contract_is_stored_by_its_own_names() {
        check(Stage::Open);
        assert_eq!(Stage::Over.into_stored(), "over");
        assert_eq!(Stage::from_stored("Open".to_owned()), None);
    }

    #[test]
    fn what_no_value_is_stored_as_is_none() {
        assert_eq!(u32::from_stored(-1), None);
        assert_eq!(u8::from_stored(256), None);
        assert_eq!(Date::from_stored("2026-02-30".to_owned()), None);
        assert_eq!(Name::<Role>::from_stored("king".to_owned()), None);
        assert_eq!(Option::<u8>::from_stored(Some(-1)), None);
    }
}
