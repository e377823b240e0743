//! Values that every line of business has: money, periods, dates, places. Parsed from their messages, valid by
//! construction.

use std::fmt;

use contracts::{intervention, money, period, place};
use diesel::deserialize::FromSqlRow;
use diesel::expression::AsExpression;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Deserializer, de};

use crate::clock::Timestamp;
use crate::fields::Fields;
use crate::geo::MAX_LATITUDE;

/// A currency of ISO 4217.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, AsExpression, FromSqlRow)]
#[diesel(sql_type = diesel::sql_types::Text)]
pub struct Currency([u8; 3]);

impl Currency {
    /// The won, the default of settings.
    pub const WON: Currency = Currency(*b"KRW");

    /// From its code in ISO 4217: three letters in upper case.
    pub fn parse(code: &str) -> Option<Currency> {
        // Metals, units of funds and `XXX` have no minor unit: there are no prices in them.
        iso_currency::Currency::from_code(code)?.exponent()?;
        Some(Currency(code.as_bytes().try_into().ok()?))
    }

    /// The number of digits of its minor unit: 0 for the won, 2 for the dollar.
    pub fn minor_digits(&self) -> usize {
        let exponent = iso_currency::Currency::from_code(self.code()).and_then(|currency| currency.exponent());
        exponent.map_or(2, usize::from)
    }

    /// The three letters.
    pub fn code(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// In settings: its three letters.
impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Currency, D::Error> {
        let code = String::deserialize(deserializer)?;
        let wrong = || de::Error::custom(format!("currency {code:?} must be a currency of ISO 4217, such as KRW"));
        Currency::parse(&code).ok_or_else(wrong)
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}
impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// An amount in one currency, 0 to [`Money::MAX_MINOR`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Money {
    /// In the currency's minor unit.
    pub minor: i64,
    /// The currency.
    pub currency: Currency,
}

impl Money {
    /// The largest amount.
    pub const MAX_MINOR: i64 = 1_000_000_000_000;

    /// The amount times `count`; `None` if that exceeds the largest amount.
    pub fn times(self, count: u32) -> Option<Money> {
        let minor = self.minor.checked_mul(i64::from(count))?;
        (minor <= Money::MAX_MINOR).then_some(Money { minor, ..self })
    }

    /// Parses a price: an amount of more than 0.
    pub fn price(fields: &mut Fields, path: &str, proto: Option<&money::v1::Money>) -> Option<Money> {
        Money::parse(fields, path, proto, 1)
    }

    /// Parses an amount that may be 0.
    pub fn amount(fields: &mut Fields, path: &str, proto: Option<&money::v1::Money>) -> Option<Money> {
        Money::parse(fields, path, proto, 0)
    }

    fn parse(fields: &mut Fields, path: &str, proto: Option<&money::v1::Money>, least: i64) -> Option<Money> {
        let proto = fields.required(path, proto)?;
        let currency = Currency::parse(&proto.currency_code).ok_or("must be a currency of ISO 4217, such as KRW");
        let currency = fields.take(&format!("{path}.currency_code"), currency);
        let in_range = (least..=Money::MAX_MINOR).contains(&proto.amount_minor);
        let range = format!("must be {least} to {}", Money::MAX_MINOR);
        let minor = fields.take(&format!("{path}.amount_minor"), in_range.then_some(proto.amount_minor).ok_or(range));
        Some(Money { minor: minor?, currency: currency? })
    }
}

impl From<Money> for money::v1::Money {
    fn from(money: Money) -> Self {
        money::v1::Money { currency_code: money.currency.to_string(), amount_minor: money.minor }
    }
}

/// Staff acted in place of those whose flow it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intervention {
    /// Their subject.
    pub staff: String,
    /// Why, in their words.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

impl Intervention {
    /// The longest reason, in characters.
    pub const LONGEST_REASON: usize = 200;

    /// From its columns, if it was one.
    pub fn from_columns(staff: Option<String>, reason: Option<String>, at: Option<Timestamp>) -> Option<Intervention> {
        Some(Intervention { staff: staff?, reason: reason.unwrap_or_default(), at: at? })
    }
}

impl From<Intervention> for intervention::v1::Intervention {
    fn from(Intervention { staff, reason, at }: Intervention) -> Self {
        intervention::v1::Intervention { staff_id: staff, reason, time: Some(at.to_proto()) }
    }
}

/// From a moment up to a later one, which is excluded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period {
    /// The first moment.
    pub start: Timestamp,
    /// The first moment after it.
    pub end: Timestamp,
}

impl Period {
    /// Whether they share a moment. Adjacent periods don't.
    pub fn overlaps(&self, other: &Period) -> bool {
        self.start < other.end && other.start < self.end
    }

    /// The number of days in a time zone. A day lasts from the start's time of day to the same time on the next day,
    /// however long that is when clocks change; a started day counts as a whole one. At least 1.
    pub fn days(&self, zone: &TimeZone) -> Option<u32> {
        let zoned =
            |time: Timestamp| Some(jiff::Timestamp::from_microsecond(time.micros()).ok()?.to_zoned(zone.clone()));
        let (start, end) = (zoned(self.start)?, zoned(self.end)?);
        let whole = start.date().until(end.date()).ok()?.get_days().max(0);
        // `whole` may be a day too many or too few, by the times of day.
        let ends_after =
            |days: i32| start.checked_add(jiff::Span::new().days(days)).is_ok_and(|day_end| day_end >= end);
        let days = (whole.saturating_sub(1).max(1)..=whole + 1).find(|days| ends_after(*days))?;
        u32::try_from(days).ok()
    }

    /// Parses a period.
    pub fn parse(fields: &mut Fields, path: &str, proto: Option<&period::v1::Period>) -> Option<Period> {
        let proto = fields.required(path, proto)?;
        let start = fields.time(&format!("{path}.start_time"), proto.start_time);
        let end = fields.time(&format!("{path}.end_time"), proto.end_time);
        let (start, end) = (start?, end?);
        let order = (start < end).then_some(Period { start, end }).ok_or("must be after start_time");
        fields.take(&format!("{path}.end_time"), order)
    }
}

impl From<Period> for period::v1::Period {
    fn from(period: Period) -> Self {
        period::v1::Period { start_time: Some(period.start.to_proto()), end_time: Some(period.end.to_proto()) }
    }
}

/// From a date up to a later one, which is excluded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dates {
    /// The first date.
    pub start: Date,
    /// The first date after it.
    pub end: Date,
}

impl Dates {
    /// Whether they share a night. Adjacent dates don't.
    pub fn overlaps(&self, other: &Dates) -> bool {
        self.start < other.end && other.start < self.end
    }

    /// Whether all of `other` is part of it.
    pub fn contains(&self, other: &Dates) -> bool {
        self.start <= other.start && other.end <= self.end
    }

    /// The number of nights. At least 1.
    pub fn nights(&self) -> u32 {
        let days = self.start.until(self.end).map_or(0, |span| span.get_days());
        u32::try_from(days).unwrap_or(0).max(1)
    }

    /// From `2026-07-01` and a later date; other notations are refused.
    pub fn from_iso(start: &str, end: &str) -> Option<Dates> {
        let (start, end) = (date(start)?, date(end)?);
        (start < end).then_some(Dates { start, end })
    }

    /// From their message.
    pub fn from_proto(proto: &period::v1::Dates) -> Option<Dates> {
        Dates::from_iso(&proto.start_date, &proto.end_date)
    }

    /// Parses dates.
    pub fn parse(fields: &mut Fields, path: &str, proto: Option<&period::v1::Dates>) -> Option<Dates> {
        let proto = fields.required(path, proto)?;
        let mut each = |field: &str, text: &str| {
            let parsed = date(text).ok_or("must be a date of the years 1 to 9999, such as 2026-07-01");
            fields.take(&format!("{path}.{field}"), parsed)
        };
        let (start, end) = (each("start_date", &proto.start_date), each("end_date", &proto.end_date));
        let (start, end) = (start?, end?);
        let order = (start < end).then_some(Dates { start, end }).ok_or("must be after start_date");
        fields.take(&format!("{path}.end_date"), order)
    }
}

impl From<Dates> for period::v1::Dates {
    fn from(dates: Dates) -> Self {
        period::v1::Dates { start_date: dates.start.to_string(), end_date: dates.end.to_string() }
    }
}

/// A date as it is written in contracts and columns: its texts sort as the dates do.
pub(crate) fn date(text: &str) -> Option<Date> {
    let date: Date = text.parse().ok()?;
    (date.year() > 0 && date.to_string() == text).then_some(date)
}

/// A place on the map.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    /// Its name.
    pub name: String,
    /// Degrees north and east, if they are known.
    pub position: Option<(f64, f64)>,
}

impl Place {
    /// Parses a place.
    pub fn parse(fields: &mut Fields, path: &str, proto: Option<&place::v1::Place>) -> Option<Place> {
        let proto = fields.required(path, proto)?;
        let name = fields.text(&format!("{path}.name"), &proto.name, 1..=100);
        let mut degrees = |field: &str, value: Option<f64>, most: f64| {
            let in_range = value.is_none_or(|value| (-most..=most).contains(&value));
            let range = format!("must be {} to {most} degrees", -most);
            fields.take(&format!("{path}.{field}"), in_range.then_some(value).ok_or(range))
        };
        let latitude = degrees("latitude", proto.latitude, 90.0);
        let longitude = degrees("longitude", proto.longitude, 180.0);
        let position = match (latitude?, longitude?) {
            (Some(latitude), Some(longitude)) => Some((latitude, longitude)),
            (None, None) => None,
            _ => {
                fields.violate(path, "must have both latitude and longitude, or neither");
                return None;
            }
        };
        Some(Place { name: name?, position })
    }
}

impl Place {
    /// Parses a place with a known position.
    pub fn parse_located(fields: &mut Fields, path: &str, proto: Option<&place::v1::Place>) -> Option<Place> {
        let parsed = Place::parse(fields, path, proto);
        let (latitude, longitude) = proto.map(|place| (place.latitude, place.longitude)).unwrap_or_default();
        if proto.is_some() && latitude.is_none() && longitude.is_none() {
            let why = format!("must be set, and {path}.longitude too: it is looked for nearby");
            fields.violate(&format!("{path}.latitude"), why);
            return None;
        }
        if parsed.is_some() && latitude.is_some_and(|latitude| latitude.abs() > MAX_LATITUDE) {
            let why =
                format!("must be -{MAX_LATITUDE} to {MAX_LATITUDE} degrees: nearer to a pole nobody looks for it");
            fields.violate(&format!("{path}.latitude"), why);
            return None;
        }
        parsed
    }
}

impl From<Place> for place::v1::Place {
    fn from(place: Place) -> Self {
        let (latitude, longitude) = place.position.unzip();
        place::v1::Place { name: place.name, latitude, longitude }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn period(start: &str, end: &str) -> Period {
        let time = |text: &str| {
            let time: jiff::Timestamp = text.parse().expect("the test gives a time");
            Timestamp::from_micros(time.as_microsecond())
        };
        Period { start: time(start), end: time(end) }
    }

    #[track_caller]
    fn check_days(zone: &str, start: &str, end: &str, days: u32) {
        let zone = TimeZone::get(zone).expect("the test gives a zone");
        assert_eq!(period(start, end).days(&zone), Some(days), "{start} to {end}");
    }

    #[test]
    fn a_day_begun_counts_whole() {
        check_days("Asia/Seoul", "2026-07-01T10:00:00+09:00", "2026-07-01T10:00:01+09:00", 1);
        check_days("Asia/Seoul", "2026-07-01T10:00:00+09:00", "2026-07-02T10:00:00+09:00", 1);
        check_days("Asia/Seoul", "2026-07-01T10:00:00+09:00", "2026-07-02T10:00:01+09:00", 2);
        check_days("Asia/Seoul", "2026-07-01T23:30:00+09:00", "2026-07-02T00:30:00+09:00", 1);
        check_days("Asia/Seoul", "2026-07-01T10:00:00+09:00", "2026-07-31T09:00:00+09:00", 30);
    }

    #[test]
    fn a_day_is_as_long_as_the_zone_makes_it() {
        // Clocks in Berlin go forward on 2026-03-29 and back on 2026-10-25.
        check_days("Europe/Berlin", "2026-03-28T12:00:00+01:00", "2026-03-29T12:00:00+02:00", 1);
        check_days("Europe/Berlin", "2026-03-28T12:00:00+01:00", "2026-03-29T12:30:00+02:00", 2);
        check_days("Europe/Berlin", "2026-10-24T12:00:00+02:00", "2026-10-25T12:00:00+01:00", 1);
        check_days("UTC", "2026-10-24T12:00:00+02:00", "2026-10-25T12:00:00+01:00", 2);
    }

    #[test]
    fn periods_that_touch_do_not_overlap() {
        let day = |day: u32| period(&format!("2026-07-0{day}T00:00:00Z"), &format!("2026-07-0{}T00:00:00Z", day + 1));
        assert!(!day(1).overlaps(&day(2)) && !day(2).overlaps(&day(1)));
        assert!(day(1).overlaps(&day(1)));
        assert!(period("2026-07-01T00:00:00Z", "2026-07-09T00:00:00Z").overlaps(&day(3)));
    }

    fn dates(start: &str, end: &str) -> Dates {
        Dates::from_iso(start, end).expect("the test gives dates")
    }

    #[test]
    fn dates_that_touch_do_not_overlap() {
        let july = dates("2026-07-01", "2026-07-03");
        assert!(july.overlaps(&july) && july.overlaps(&dates("2026-07-02", "2026-07-09")));
        for other in [dates("2026-06-30", "2026-07-01"), dates("2026-07-03", "2026-07-04")] {
            assert!(!july.overlaps(&other) && !other.overlaps(&july));
        }
    }

    #[test]
    fn dates_contain_what_begins_and_ends_within_them() {
        let july = dates("2026-07-01", "2026-08-01");
        assert!(july.contains(&july) && july.contains(&dates("2026-07-31", "2026-08-01")));
        assert!(!july.contains(&dates("2026-06-30", "2026-07-02")));
        assert!(!july.contains(&dates("2026-07-31", "2026-08-02")));
    }

    #[test]
    fn nights_are_counted_over_months_and_years() {
        assert_eq!(dates("2026-07-01", "2026-07-02").nights(), 1);
        assert_eq!(dates("2028-02-28", "2028-03-01").nights(), 2);
        assert_eq!(dates("2026-12-30", "2028-01-01").nights(), 367);
    }

    #[test]
    fn dates_are_written_in_one_way_and_in_order() {
        let bad = [
            ("2026-07-02", "2026-07-01"),
            ("2026-07-01", "2026-07-01"),
            ("20260701", "20260702"),
            ("2026-07-01T00:00", "2026-07-02"),
            ("2026-7-1", "2026-7-2"),
            ("2026-02-29", "2026-03-01"),
            ("0000-01-01", "2026-01-01"),
            ("", ""),
        ];
        for (start, end) in bad {
            assert_eq!(Dates::from_iso(start, end), None, "{start} to {end}");
            let proto = period::v1::Dates { start_date: start.into(), end_date: end.into() };
            assert_eq!(Dates::parse(&mut Fields::new(), "dates", Some(&proto)), None);
        }
        let july = dates("2026-07-01", "2026-07-02");
        assert_eq!(Dates::from_proto(&july.into()), Some(july));
    }

    #[test]
    fn a_currency_is_one_of_iso_4217_in_which_something_can_have_a_price() {
        for (code, digits) in [("KRW", 0), ("JPY", 0), ("USD", 2), ("KWD", 3), ("CLF", 4), ("UYW", 4), ("UYI", 0)] {
            assert_eq!(Currency::parse(code).map(|currency| currency.minor_digits()), Some(digits), "{code}");
        }
        for code in ["XYZ", "ZZZ", "XXX", "XAU", "krw", "KR", "KRWW", "", "₩"] {
            assert_eq!(Currency::parse(code), None, "{code}");
        }
    }

    #[test]
    fn money_does_not_overflow() {
        let money = Money { minor: Money::MAX_MINOR, currency: Currency(*b"KRW") };
        assert_eq!(money.times(1), Some(money));
        assert_eq!(money.times(2), None);
        assert_eq!(money.times(u32::MAX), None);
    }
}
