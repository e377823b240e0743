//! Time, as data. Only [`Clock`] reads the time, so that a simulation can set it.

use std::time::{SystemTime, UNIX_EPOCH};

pub use crate::timestamp::Timestamp;

/// The source of time.
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

    /// The current time.
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Source::System => {
                #[expect(clippy::disallowed_methods, reason = "the one place where time enters")]
                let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                Timestamp::from_micros(i64::try_from(elapsed.as_micros()).unwrap_or(i64::MAX))
            }
            Source::Runtime { origin, started } => *origin + started.elapsed(),
        }
    }
}
