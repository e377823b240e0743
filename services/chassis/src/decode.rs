//! Decodes fields of other contexts' events. An event that breaks its contract is [`Malformed`], by field.

use std::fmt::Display;
use std::str::FromStr;

use contracts::{intervention, money, period, place};

use crate::clock::Timestamp;
use crate::values::{Currency, Dates, Intervention, Money, Period, Place};

/// An event that breaks its contract.
#[derive(Clone, Debug, thiserror::Error)]
#[error("malformed: {0}")]
pub struct Malformed(pub String);

impl From<prost::DecodeError> for Malformed {
    fn from(error: prost::DecodeError) -> Malformed {
        Malformed(error.to_string())
    }
}

/// A required message field.
pub fn present<T>(field: &str, value: Option<T>) -> Result<T, Malformed> {
    value.ok_or_else(|| Malformed(format!("no {field}")))
}

/// A value that is written as text, such as an id.
pub fn parsed<T: FromStr>(field: impl Display, text: &str) -> Result<T, Malformed> {
    text.parse().map_err(|_| Malformed(format!("a bad {field}")))
}

/// A moment.
pub fn time(field: &str, time: Option<prost_types::Timestamp>) -> Result<Timestamp, Malformed> {
    let time = present(field, time)?;
    Timestamp::from_proto(&time).ok_or_else(|| Malformed(format!("a bad {field}")))
}

/// A period.
pub fn period(field: &str, period: Option<period::v1::Period>) -> Result<Period, Malformed> {
    let period = present(field, period)?;
    let start = time(&format!("{field}.start_time"), period.start_time)?;
    Ok(Period { start, end: time(&format!("{field}.end_time"), period.end_time)? })
}

/// Dates.
pub fn dates(field: &str, dates: Option<period::v1::Dates>) -> Result<Dates, Malformed> {
    Dates::from_proto(&present(field, dates)?).ok_or_else(|| Malformed(format!("bad {field}")))
}

/// An amount.
pub fn money(field: &str, money: Option<money::v1::Money>) -> Result<Money, Malformed> {
    let money = present(field, money)?;
    let currency = Currency::parse(&money.currency_code);
    let currency = currency.ok_or_else(|| Malformed(format!("a bad {field}.currency_code")))?;
    Ok(Money { minor: money.amount_minor, currency })
}

/// What staff did.
pub fn intervention(intervention: intervention::v1::Intervention) -> Result<Intervention, Malformed> {
    let intervention::v1::Intervention { staff_id, reason, time: at } = intervention;
    Ok(Intervention { staff: staff_id, reason, at: time("intervention.time", at)? })
}

/// A place.
pub fn place(field: &str, place: Option<place::v1::Place>) -> Result<Place, Malformed> {
    let place = present(field, place)?;
    Ok(Place { name: place.name, position: place.latitude.zip(place.longitude) })
}
