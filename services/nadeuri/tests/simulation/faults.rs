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
    /// The contexts that have to crash now.
    crashes: BTreeSet<String>,
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

    /// Returns the contexts that have to crash now, once.
    pub fn take_crashes(&self) -> BTreeSet<String> {
        std::mem::take(&mut self.lock().crashes)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().expect("one thread")
    }
}

impl FaultInjector for SimulationRandom {
    fn crashes(&self, context: &str, _: CrashPoint) -> bool {
        const PER_MILLE: u32 = 4;
        let crashes = self.fault(PER_MILLE);
        if crashes {
            self.lock().crashes.insert(context.to_owned());
        }
        crashes
    }
}
