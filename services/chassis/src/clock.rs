//! Time, as data. Nothing but [`Clock`] asks what time it is, so that a simulation can say.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use diesel::deserialize::FromSqlRow;
use diesel::expression::AsExpression;

use crate::db::types::SqlTime;

/// Microseconds since 1970-01-01T00:00:00Z: the resolution that both databases keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, AsExpression, FromSqlRow)]
#[diesel(sql_type = SqlTime)]
pub struct Timestamp(i64);

impl Timestamp {
    /// From microseconds since the epoch.
    pub const fn from_micros(micros: i64) -> Timestamp {
        Timestamp(micros)
    }

    /// Microseconds since the epoch.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// From a protobuf timestamp, cut to microseconds; `None` if it is outside of years 1 to 9999 or malformed.
    pub fn from_proto(proto: &prost_types::Timestamp) -> Option<Timestamp> {
        const YEARS_1_TO_9999: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;
        let well_formed = YEARS_1_TO_9999.contains(&proto.seconds) && (0..1_000_000_000).contains(&proto.nanos);
        well_formed.then(|| Timestamp(proto.seconds * 1_000_000 + i64::from(proto.nanos / 1_000)))
    }

    /// As a protobuf timestamp.
    pub fn to_proto(self) -> prost_types::Timestamp {
        let nanos = (self.0.rem_euclid(1_000_000) * 1_000) as i32;
        prost_types::Timestamp { seconds: self.0.div_euclid(1_000_000), nanos }
    }

    /// How long after `earlier` this is; zero if it is not.
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl std::ops::Add<Duration> for Timestamp {
    type Output = Timestamp;
    fn add(self, duration: Duration) -> Timestamp {
        Timestamp(self.0.saturating_add(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)))
    }
}

impl std::ops::Sub<Duration> for Timestamp {
    type Output = Timestamp;
    fn sub(self, duration: Duration) -> Timestamp {
        Timestamp(self.0.saturating_sub(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)))
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_microsecond(self.0) {
            Ok(time) => time.fmt(f),
            Err(_) => write!(f, "{} µs since 1970", self.0),
        }
    }
}

/// Says what time it is.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    /// The runtime's clock, which a test or a simulation can pause and move.
    Runtime {
        origin: Timestamp,
        started: tokio::time::Instant,
    },
}

impl Clock {
    /// The clock of the machine.
    pub fn system() -> Clock {
        Clock(Source::System)
    }

    /// A clock that shows `origin` now and moves with the runtime's time.
    pub fn runtime(origin: Timestamp) -> Clock {
        Clock(Source::Runtime { origin, started: tokio::time::Instant::now() })
    }

    /// What time it is.
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Source::System => {
                #[expect(clippy::disallowed_methods, reason = "the one place where time enters")]
                let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                Timestamp(i64::try_from(elapsed.as_micros()).unwrap_or(i64::MAX))
            }
            Source::Runtime { origin, started } => *origin + started.elapsed(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_survives_the_way_to_protobuf_and_back_also_before_1970() {
        for micros in [0, 1, -1, 1_767_225_600_123_456, -62_135_596_800_000_000] {
            let time = Timestamp::from_micros(micros);
            assert_eq!(Timestamp::from_proto(&time.to_proto()), Some(time));
        }
    }

    #[test]
    fn a_malformed_or_far_away_protobuf_timestamp_is_none() {
        for (seconds, nanos) in [(0, -1), (0, 1_000_000_000), (i64::MAX, 0), (253_402_300_800, 0)] {
            assert_eq!(Timestamp::from_proto(&prost_types::Timestamp { seconds, nanos }), None);
        }
    }
}
