//! Health checks: whether a context can work, and if not, what is missing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The health of something that a context needs: its store, the bus. Its users report it.
#[derive(Clone, Debug)]
pub struct HealthCheck {
    name: &'static str,
    is_up: Arc<AtomicBool>,
}

impl HealthCheck {
    /// A check that is not up yet.
    pub fn new(name: &'static str) -> HealthCheck {
        HealthCheck { name, is_up: Arc::default() }
    }

    /// Its name, such as `store`.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Sets the state; returns the previous one.
    pub fn set(&self, is_up: bool) -> bool {
        self.is_up.swap(is_up, Ordering::Relaxed)
    }

    /// Whether it is up.
    pub fn is_up(&self) -> bool {
        self.is_up.load(Ordering::Relaxed)
    }
}
