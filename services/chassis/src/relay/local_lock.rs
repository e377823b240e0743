//! The lock of the relays of a SQLite store, which has one, but in a simulation replicas.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::Notify;

/// The lock.
#[derive(Default)]
pub struct LocalLock {
    /// The number of the relay that has it.
    holder: Mutex<Option<u64>>,
    next: AtomicU64,
    /// How many relays there are.
    members: AtomicU64,
    /// Whether there was ever more than one relay at a time.
    is_shared: AtomicBool,
    written: Notify,
}

/// A relay that can have the lock. Dropping it releases the lock.
pub struct Member {
    lock: Arc<LocalLock>,
    number: u64,
}

impl LocalLock {
    /// Adds a relay.
    pub fn join(lock: &Arc<LocalLock>) -> Member {
        let number = lock.next.fetch_add(1, Ordering::SeqCst);
        if lock.members.fetch_add(1, Ordering::SeqCst) > 0 {
            lock.is_shared.store(true, Ordering::SeqCst);
        }
        Member { lock: lock.clone(), number }
    }

    /// Takes it away from its holder, as a lost connection does.
    pub fn release(&self) {
        *self.holder() = None;
    }

    fn holder(&self) -> MutexGuard<'_, Option<u64>> {
        self.holder.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Member {
    /// Takes the lock, unless another has it. Returns whether this one has it.
    pub fn take(&self) -> bool {
        *self.lock.holder().get_or_insert(self.number) == self.number
    }

    pub fn is_holder(&self) -> bool {
        *self.lock.holder() == Some(self.number)
    }

    pub fn has_others(&self) -> bool {
        self.lock.is_shared.load(Ordering::SeqCst)
    }

    pub fn notify(&self) {
        self.lock.written.notify_one();
    }

    pub async fn notified(&self) {
        self.lock.written.notified().await;
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.lock.members.fetch_sub(1, Ordering::SeqCst);
        if self.is_holder() {
            self.lock.release();
        }
    }
}
