//! Amounts, times and periods as people read them.

use chassis::{Malformed, Timestamp, decode};
use contracts::intervention::v1::Intervention;
use contracts::money::v1::Money;
use contracts::period::v1::{Dates, Period};
use jiff::tz::TimeZone;

/// An amount, such as `KRW 120,000` or `USD 1,234.50`.
pub fn amount(money: &Option<Money>) -> Result<String, Malformed> {
    let money = decode::money("amount", money.clone())?;
    let minor = u64::try_from(money.minor).map_err(|_| Malformed("amount_minor".into()))?;
    let (currency, digits) = (money.currency, money.currency.minor_digits());
    let unit = 10_u64.pow(digits as u32);
    let whole = grouped(minor / unit);
    Ok(match digits {
        0 => format!("{currency} {whole}"),
        _ => format!("{currency} {whole}.{:0digits$}", minor % unit),
    })
}

/// A period in a time zone, such as `from 2026-07-01 10:00 to 2026-07-03 10:00 (Asia/Seoul)`.
pub fn period(period: &Option<Period>, zone: &str) -> Result<String, Malformed> {
    let period = decode::present("period", period.as_ref())?;
    let (zone, label) = time_zone(zone);
    Ok(format!("from {} to {} {label}", time(&period.start_time, &zone)?, time(&period.end_time, &zone)?))
}

/// What staff say about what they did, behind a text.
pub fn because(intervention: Option<&Intervention>) -> String {
    intervention.map(|it| format!(" Our staff say: {}", it.reason)).unwrap_or_default()
}

/// Dates, such as `from 2026-07-01 to 2026-07-03`.
pub fn dates(dates: &Option<Dates>) -> Result<String, Malformed> {
    let Dates { start_date, end_date } = decode::present("dates", dates.as_ref())?;
    Ok(format!("from {start_date} to {end_date}"))
}

/// A moment in a time zone, such as `2026-07-01 10:00 (Asia/Seoul)`.
pub fn moment(moment: &Option<prost_types::Timestamp>, zone: &str) -> Result<String, Malformed> {
    let (zone, label) = time_zone(zone);
    Ok(format!("{} {label}", time(moment, &zone)?))
}

/// The time zone of this IANA name, and how it is written behind a time; UTC if there is none of this name.
fn time_zone(name: &str) -> (TimeZone, String) {
    match TimeZone::get(name) {
        Ok(zone) if name != "UTC" => (zone, format!("({name})")),
        _ => (TimeZone::UTC, "UTC".to_owned()),
    }
}

fn time(proto: &Option<prost_types::Timestamp>, zone: &TimeZone) -> Result<String, Malformed> {
    let malformed = || Malformed("period".into());
    let time = proto.as_ref().and_then(Timestamp::from_proto).ok_or_else(malformed)?;
    let time = jiff::Timestamp::from_microsecond(time.micros()).map_err(|_| malformed())?;
    Ok(time.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M").to_string())
}

/// A number with a comma before every three digits.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(currency: &str, amount_minor: i64, text: &str) {
        let money = Money { currency_code: currency.to_owned(), amount_minor };
        assert_eq!(amount(&Some(money)).expect("it is right"), text);
    }

    #[test]
    fn an_amount_has_the_minor_digits_of_its_currency() {
        check("KRW", 0, "KRW 0");
        check("KRW", 999, "KRW 999");
        check("KRW", 120_000, "KRW 120,000");
        check("JPY", 1_234_567, "JPY 1,234,567");
        check("USD", 5, "USD 0.05");
        check("EUR", 123_450, "EUR 1,234.50");
        check("KWD", 1_500, "KWD 1.500");
        check("CLF", 12_345, "CLF 1.2345");
    }

    #[test]
    fn x15_a_period_is_written_in_the_time_of_its_place() {
        let time = |seconds: i64| Some(prost_types::Timestamp { seconds, nanos: 0 });
        let dates = Some(Period { start_time: time(0), end_time: time(90_000) });
        let text = |zone: &str| period(&dates, zone).expect("it is right");
        assert_eq!(text("Asia/Seoul"), "from 1970-01-01 09:00 to 1970-01-02 10:00 (Asia/Seoul)");
        for zone in ["UTC", "", "Nowhere"] {
            assert_eq!(text(zone), "from 1970-01-01 00:00 to 1970-01-02 01:00 UTC", "{zone}");
        }
    }

    #[test]
    fn what_breaks_its_contract_is_malformed() {
        let negative = Money { currency_code: "KRW".to_owned(), amount_minor: -1 };
        assert!(amount(&Some(negative)).is_err() && amount(&None).is_err());
        assert!(period(&Some(Period::default()), "").is_err() && period(&None, "").is_err());
    }
}
