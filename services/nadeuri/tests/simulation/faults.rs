//! The random source of a run, and the faults that it injects.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chassis::runtime::{CrashPoint, FaultInjector};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// The random source of a run. All of its numbers and faults follow from the seed.
#[derive(Clone)]
pub struct SimulationRandom(Arc<Mutex<State>>);

struct State {
    rng: StdRng,
    /// No more faults are injected.
    stopped: bool,
    /// The replicas that have to crash now: contexts and their zones.
    crashes: BTreeSet<(String, usize)>,
}

impl SimulationRandom {
    pub fn new(seed: u64) -> SimulationRandom {
        // Not the same stream as the ids of the runtime.
        let rng = StdRng::seed_from_u64(seed ^ 0x5eed);
        SimulationRandom(Arc::new(Mutex::new(State { rng, stopped: false, crashes: BTreeSet::new() })))
    }

    /// Whether a fault happens, with this probability per mille. Never after [`SimulationRandom::stop_faults`].
    pub fn fault(&self, per_mille: u32) -> bool {
        let mut state = self.lock();
        let drawn = state.rng.random_range(0..1_000) < per_mille;
        drawn && !state.stopped
    }

    /// A random number of the range.
    pub fn pick(&self, range: std::ops::Range<u64>) -> u64 {
        self.lock().rng.random_range(range)
    }

    /// A random duration of up to so many milliseconds.
    pub fn pause(&self, most_ms: u64) -> Duration {
        Duration::from_millis(self.pick(0..most_ms + 1))
    }

    pub fn stop_faults(&self) {
        self.lock().stopped = true;
    }

    /// Returns the replicas that have to crash now, once.
    pub fn take_crashes(&self) -> BTreeSet<(String, usize)> {
        std::mem::take(&mut self.lock().crashes)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().expect("one thread")
    }
}

/// The faults of one zone.
pub struct ZoneFaults {
    pub random: SimulationRandom,
    pub zone: usize,
}

impl FaultInjector for ZoneFaults {
    fn crashes(&self, context: &str, _: CrashPoint) -> bool {
        const PER_MILLE: u32 = 4;
        let crashes = self.random.fault(PER_MILLE);
        if crashes {
            self.random.lock().crashes.insert((context.to_owned(), self.zone));
        }
        crashes
    }
}
