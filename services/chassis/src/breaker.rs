//! A circuit breaker: stops calls to a peer that does not answer, and lets a probe through after a pause.
//!
//! ```text
//! Closed --half of the last calls failed--> Open --after a pause--> HalfOpen --the probe succeeded--> Closed
//!                                            ^                          |
//!                                            +------ the probe failed --+   (the next pause is twice as long)
//! ```

use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

/// The window: the last calls that count.
const WINDOW: u32 = 20;
/// The minimum of calls in the window before the breaker can open.
const ENOUGH: u32 = 5;
/// The first pause, and the longest.
const PAUSES: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(30);

/// A circuit breaker.
#[derive(Debug, Default)]
pub struct Breaker(Mutex<Judged>);

/// A state and its generation: outcomes of calls from an earlier generation are ignored.
#[derive(Debug, Default)]
struct Judged {
    state: State,
    generation: u64,
}

impl Judged {
    fn turn(&mut self, state: State) {
        self.state = state;
        self.generation += 1;
    }
}

#[derive(Debug)]
enum State {
    /// The last calls, a bit each, 1 for a failure.
    Closed {
        failures: u32,
        calls: u32,
    },
    Open {
        until: Instant,
        pause: Duration,
    },
    /// One call is in progress as a probe.
    HalfOpen {
        pause: Duration,
    },
}

impl Default for State {
    fn default() -> State {
        State::Closed { failures: 0, calls: 0 }
    }
}

/// The state of a breaker, for metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// Calls go through.
    Closed,
    /// One call is in progress as a probe.
    HalfOpen,
    /// No call goes through.
    Open,
}

/// The permission to make a call. Record the outcome in it; a call that was cancelled has none.
#[derive(Debug)]
pub struct Permit<'a> {
    breaker: &'a Breaker,
    generation: u64,
    recorded: bool,
}

impl Breaker {
    /// The permission to make a call, or the delay before the next attempt.
    pub fn admit(&self, now: Instant) -> Result<Permit<'_>, Duration> {
        let mut judged = self.lock();
        match judged.state {
            State::Closed { .. } => {}
            State::Open { until, pause } if now >= until => judged.turn(State::HalfOpen { pause }),
            State::Open { until, .. } => return Err(until - now),
            State::HalfOpen { .. } => return Err(*PAUSES.start()),
        }
        Ok(Permit { breaker: self, generation: judged.generation, recorded: false })
    }

    /// Its state.
    pub fn position(&self) -> Position {
        match self.lock().state {
            State::Closed { .. } => Position::Closed,
            State::HalfOpen { .. } => Position::HalfOpen,
            State::Open { .. } => Position::Open,
        }
    }

    fn record(&self, generation: u64, failed: bool, now: Instant) {
        let mut judged = self.lock();
        if judged.generation != generation {
            // A call of an earlier generation does not count.
            return;
        }
        match judged.state {
            State::Closed { failures, calls } => {
                let failures = (failures << 1 | u32::from(failed)) & ((1 << WINDOW) - 1);
                let calls = (calls + 1).min(WINDOW);
                if failed && calls >= ENOUGH && failures.count_ones() * 2 >= calls {
                    judged.turn(State::Open { until: now + *PAUSES.start(), pause: *PAUSES.start() });
                } else {
                    judged.state = State::Closed { failures, calls };
                }
            }
            State::HalfOpen { pause } if failed => {
                let pause = (pause * 2).min(*PAUSES.end());
                judged.turn(State::Open { until: now + pause, pause });
            }
            State::HalfOpen { .. } => judged.turn(State::default()),
            State::Open { .. } => {}
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Judged> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Permit<'_> {
    /// Records the outcome of the call.
    pub fn record(mut self, failed: bool, now: Instant) {
        self.recorded = true;
        self.breaker.record(self.generation, failed, now);
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if self.recorded {
            return;
        }
        // A cancelled probe has no outcome: the next call is the probe.
        let mut judged = self.breaker.lock();
        if let State::HalfOpen { pause } = judged.state
            && judged.generation == self.generation
        {
            judged.turn(State::Open { until: Instant::now(), pause });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(breaker: &Breaker, failed: bool, now: Instant) {
        breaker.admit(now).expect("it is closed").record(failed, now);
    }

    #[test]
    fn it_opens_when_half_of_the_calls_fail_and_closes_after_a_good_probe() {
        let (breaker, now) = (Breaker::default(), Instant::now());
        (0..4).for_each(|_| call(&breaker, true, now));
        assert_eq!(breaker.position(), Position::Closed, "four calls are too few to judge");
        call(&breaker, true, now);
        assert_eq!(breaker.admit(now).err(), Some(Duration::from_secs(1)));

        let later = now + Duration::from_secs(1);
        let probe = breaker.admit(later).expect("one call may find out");
        assert!(breaker.admit(later).is_err(), "only one");
        probe.record(false, later);
        assert_eq!(breaker.position(), Position::Closed);
    }

    #[test]
    fn each_failed_probe_doubles_the_pause_up_to_a_limit() {
        let (breaker, mut now) = (Breaker::default(), Instant::now());
        (0..5).for_each(|_| call(&breaker, true, now));
        for pause_s in [1, 2, 4, 8, 16, 30, 30] {
            let pause = Duration::from_secs(pause_s);
            assert_eq!(breaker.admit(now).err(), Some(pause));
            now += pause;
            breaker.admit(now).expect("one call may find out").record(true, now);
        }
    }

    #[test]
    fn a_probe_that_is_given_up_leaves_the_way_to_the_next() {
        let (breaker, now) = (Breaker::default(), Instant::now());
        (0..5).for_each(|_| call(&breaker, true, now));
        let later = now + Duration::from_secs(1);
        drop(breaker.admit(later));
        assert!(breaker.admit(later).is_ok());
    }

    #[test]
    fn what_an_old_call_finds_out_is_not_taken_for_the_probe() {
        let (breaker, now) = (Breaker::default(), Instant::now());
        let old = [(); 3].map(|()| breaker.admit(now).expect("it is closed"));
        (0..5).for_each(|_| call(&breaker, true, now));
        let later = now + Duration::from_secs(1);
        let probe = breaker.admit(later).expect("one call may find out");
        let [failed, succeeded, given_up] = old;
        failed.record(true, later);
        succeeded.record(false, later);
        drop(given_up);
        assert_eq!(breaker.position(), Position::HalfOpen, "the probe is still under way");
        probe.record(false, later);
        assert_eq!(breaker.position(), Position::Closed);
    }

    #[test]
    fn some_failures_among_many_calls_do_not_open_it() {
        let (breaker, now) = (Breaker::default(), Instant::now());
        (0..100).for_each(|n| call(&breaker, n % 3 == 0, now));
        assert_eq!(breaker.position(), Position::Closed);
    }
}
