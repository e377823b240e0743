//! Which periods a region accepts, and how many days they have: at each limit, and just beyond it.

use jiff::tz::TimeZone;
use rental::domain::{Region, SHORTEST};

use super::*;

const DAY: Duration = Duration::from_secs(86_400);
const MOMENT: Duration = Duration::from_micros(1);

fn region(zone: &str) -> Region {
    Region {
        country: "KR".to_owned(),
        currency: won(0).currency,
        zone: TimeZone::get(zone).expect("the test gives a zone"),
        pay_within: PAY_WITHIN,
        longest_days: 90,
        horizon: DAY * 730,
        unpaid_reservations: 3,
        terms: TERMS,
    }
}

#[track_caller]
fn check_seoul(start: Timestamp, end: Timestamp, then: Result<u32, &str>) {
    let days = region("Asia/Seoul").days(&Period { start, end }, NOW);
    assert_eq!(days, then.map_err(str::to_owned), "{start} to {end}");
}

fn parsed(start: &str, end: &str) -> Period {
    let time = |text: &str| {
        let time: jiff::Timestamp = text.parse().expect("the test gives a time");
        Timestamp::from_micros(time.as_microsecond())
    };
    Period { start: time(start), end: time(end) }
}

#[track_caller]
fn check_zone(zone: &str, start: &str, end: &str, days: u32) {
    let period = parsed(start, end);
    assert_eq!(region(zone).days(&period, period.start), Ok(days), "{start} to {end} in {zone}");
}

#[test]
fn a_period_may_have_begun_an_hour_ago_and_no_earlier() {
    let hour_ago = NOW - Duration::from_secs(3_600);
    check_seoul(hour_ago, NOW + DAY, Ok(2));
    check_seoul(hour_ago - MOMENT, NOW + DAY, Err("must not have begun more than an hour ago"));
}

#[test]
fn a_period_may_not_be_over() {
    check_seoul(NOW - MOMENT - MOMENT, NOW - MOMENT, Err("must not be over"));
    check_seoul(NOW - MOMENT, NOW, Err("must not be over"));
    check_seoul(NOW - SHORTEST + MOMENT, NOW + MOMENT, Ok(1));
}

#[test]
fn a_period_may_be_half_an_hour_long_and_no_shorter() {
    check_seoul(NOW, NOW + SHORTEST, Ok(1));
    check_seoul(NOW + DAY, NOW + DAY + SHORTEST, Ok(1));
    for short in [MOMENT, SHORTEST - MOMENT] {
        check_seoul(NOW + DAY, NOW + DAY + short, Err("must be at least 30 minutes long"));
    }
}

#[test]
fn a_period_may_be_as_long_as_the_region_says_and_no_longer() {
    check_seoul(NOW, NOW + DAY * 90, Ok(90));
    check_seoul(NOW, NOW + DAY * 90 + MOMENT, Err("must not be longer than 90 days"));
}

#[test]
fn a_period_may_end_at_the_horizon_and_no_later() {
    check_seoul(NOW + DAY * 729, NOW + DAY * 730, Ok(1));
    check_seoul(NOW + DAY * 729, NOW + DAY * 730 + MOMENT, Err("must end within 730 days from now"));
}

#[test]
fn c12_a_day_is_23_or_25_hours_long_when_the_clocks_of_the_region_change() {
    // Berlin goes forward on 2026-03-29 and back on 2026-10-25.
    check_zone("Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-29T11:00:00Z", 1);
    check_zone("Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-29T11:00:01Z", 2);
    check_zone("Europe/Berlin", "2026-10-24T12:00:00Z", "2026-10-25T13:00:00Z", 1);
    check_zone("Europe/Berlin", "2026-10-24T12:00:00Z", "2026-10-25T13:00:01Z", 2);
    // Where the clocks stay, 25 hours are two days.
    check_zone("Asia/Seoul", "2026-10-24T12:00:00Z", "2026-10-25T13:00:00Z", 2);
}

#[test]
fn c12_the_longest_period_is_counted_in_days_of_the_region() {
    // With the change of clocks, 90 days have an hour more in October and an hour less in March.
    check_zone("Europe/Berlin", "2026-10-01T10:00:00Z", "2026-12-30T11:00:00Z", 90);
    check_zone("Europe/Berlin", "2026-03-01T10:00:00Z", "2026-05-30T09:00:00Z", 90);
    for (start, end) in
        [("2026-10-01T10:00:00Z", "2026-12-30T11:00:01Z"), ("2026-03-01T10:00:00Z", "2026-05-30T09:00:01Z")]
    {
        let (zone, period) = ("Europe/Berlin", parsed(start, end));
        let days = region(zone).days(&period, period.start);
        assert_eq!(days, Err("must not be longer than 90 days".to_owned()), "{start} to {end} in {zone}");
    }
}

#[test]
fn c12_the_day_after_a_time_that_the_clocks_skip_begins_when_they_have_gone_on() {
    // There is no 02:30 on 2026-03-29 in Berlin: that day's end is 03:30 summer time.
    check_zone("Europe/Berlin", "2026-03-28T01:30:00Z", "2026-03-29T01:30:00Z", 1);
    check_zone("Europe/Berlin", "2026-03-28T01:30:00Z", "2026-03-29T01:30:01Z", 2);
    // 02:30 comes twice on 2026-10-25: the first one counts.
    check_zone("Europe/Berlin", "2026-10-24T00:30:00Z", "2026-10-25T00:30:00Z", 1);
    check_zone("Europe/Berlin", "2026-10-24T00:30:00Z", "2026-10-25T00:30:01Z", 2);
}

#[test]
fn c12_months_with_a_change_of_clocks_have_their_days() {
    check_zone("Europe/Berlin", "2026-03-01T09:00:00Z", "2026-04-01T08:00:00Z", 31);
    check_zone("Europe/Berlin", "2026-10-01T08:00:00Z", "2026-11-01T09:00:00Z", 31);
    check_zone("America/New_York", "2026-03-01T15:00:00Z", "2026-04-01T14:00:00Z", 31);
    // Lord Howe changes by half an hour.
    check_zone("Australia/Lord_Howe", "2026-04-04T00:00:00Z", "2026-04-05T00:30:00Z", 1);
    check_zone("Australia/Lord_Howe", "2026-04-04T00:00:00Z", "2026-04-05T00:30:01Z", 2);
}

#[test]
fn c12_a_day_that_a_country_skipped_is_not_paid_for() {
    // Samoa went from 29 December 2011 to the 31st: two dates on, but 24 hours.
    check_zone("Pacific/Apia", "2011-12-29T20:00:00Z", "2011-12-30T20:00:00Z", 1);
    check_zone("Pacific/Apia", "2011-12-29T20:00:00Z", "2011-12-30T20:00:01Z", 3);
}

proptest::proptest! {
    #[test]
    fn days_are_never_more_than_a_day_off_the_hours(start in 0u64..8_760, long in 1u64..2_160, zone in 0usize..4) {
        let zone = ["Asia/Seoul", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"][zone];
        let period = hours(start, start + long);
        let days = u64::from(region(zone).days(&period, period.start).expect("the period is good"));
        proptest::prop_assert!(days >= 1 && days * 24 + 1 >= long && days * 24 <= long + 25, "{days} for {long} h");
    }
}
