//! What goes wrong, drawn from the seed.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chassis::runtime::{FaultInjector, CrashPoint};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// Chance and misfortune of a run.
#[derive(Clone)]
pub struct Chance(Arc<Mutex<State>>);

struct State {
    rng: StdRng,
    /// Nothing goes wrong any more.
    healed: bool,
    /// Contexts that are to crash, for whoever crashes them.
    doomed: BTreeSet<String>,
}

impl Chance {
    pub fn new(seed: u64) -> Chance {
        // Another stream than the ids of the world.
        let rng = StdRng::seed_from_u64(seed ^ 0x5eed);
        Chance(Arc::new(Mutex::new(State { rng, healed: false, doomed: BTreeSet::new() })))
    }

    /// True so many times in a thousand, while not healed.
    pub fn strikes(&self, per_mille: u32) -> bool {
        let mut state = self.lock();
        let drawn = state.rng.random_range(0..1_000) < per_mille;
        drawn && !state.healed
    }

    /// A number of the range.
    pub fn pick(&self, range: std::ops::Range<u64>) -> u64 {
        self.lock().rng.random_range(range)
    }

    /// A pause of up to so many milliseconds.
    pub fn pause(&self, most_ms: u64) -> Duration {
        Duration::from_millis(self.pick(0..most_ms + 1))
    }

    pub fn heal(&self) {
        self.lock().healed = true;
    }

    /// The contexts that crash now.
    pub fn take_doomed(&self) -> BTreeSet<String> {
        std::mem::take(&mut self.lock().doomed)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().expect("one thread")
    }
}

impl FaultInjector for Chance {
    fn crashes(&self, context: &str, _: CrashPoint) -> bool {
        const PER_MILLE: u32 = 4;
        let crashes = self.strikes(PER_MILLE);
        if crashes {
            self.lock().doomed.insert(context.to_owned());
        }
        crashes
    }
}
