//! Places for work in progress, of which no caller can take all: calls under way, calls to a peer, open streams.
//!
//! A caller takes at most a quarter of the places. The last eighth is for admins and for other contexts, so that an
//! operator gets through when customers have taken the rest.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use contracts::Role;

use crate::access;
use crate::auth::Caller;
use crate::error::Error;

/// One caller takes at most this part.
const SHARE: usize = 4;
/// This part is for admins and contexts.
const RESERVED: usize = 8;

/// A limited number of places.
#[derive(Clone, Debug)]
pub struct Places(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    capacity: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by_subject: HashMap<Arc<str>, usize>,
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// The caller has taken their share.
    ForCaller,
    /// All places are taken.
    ForAll,
}

impl Full {
    /// The error for the caller; `what` names the work for which all places are taken.
    pub fn into_error(self, what: &'static str) -> Error {
        match self {
            Full::ForCaller => Error::Answered(Box::new(access::share_taken())),
            Full::ForAll => Error::Busy { what },
        }
    }
}

/// A place; it is free again when this is dropped.
#[derive(Debug)]
pub struct Place {
    places: Places,
    subject: Option<Arc<str>>,
}

impl Places {
    /// So many places.
    pub fn new(capacity: usize) -> Places {
        Places(Arc::new(Inner { capacity, taken: Mutex::default() }))
    }

    /// Takes a place for a caller; `None` is this process itself. Contexts are exempt from the share, because they call
    /// on behalf of many.
    pub fn take(&self, caller: Option<&Caller>) -> Result<Place, Full> {
        let is_within = |role| caller.is_none_or(|caller| caller.has(role));
        let is_exempt = is_within(Role::Service);
        let Inner { capacity, .. } = *self.0;
        let open = if is_exempt || is_within(Role::Admin) { capacity } else { capacity - capacity / RESERVED };
        let mut taken = self.taken();
        if taken.all >= open {
            return Err(Full::ForAll);
        }
        let subject = caller.filter(|_| !is_exempt).map(Caller::shared_subject);
        if let Some(subject) = &subject {
            let own = taken.by_subject.entry(subject.clone()).or_default();
            if *own >= (capacity / SHARE).max(1) {
                return Err(Full::ForCaller);
            }
            *own += 1;
        }
        taken.all += 1;
        Ok(Place { places: self.clone(), subject })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.taken.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        taken.all -= 1;
        let Some(subject) = &self.subject else { return };
        if let Some(own) = taken.by_subject.get_mut(subject) {
            *own -= 1;
            if *own == 0 {
                taken.by_subject.remove(subject);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(name: &str, role: Role) -> Caller {
        Caller::new(name, [role].into_iter().collect()).unwrap()
    }

    fn take_all(places: &Places, caller: &Caller) -> Vec<Place> {
        std::iter::from_fn(|| places.take(Some(caller)).ok()).collect()
    }

    #[test]
    fn a_caller_gets_a_quarter_and_the_last_eighth_is_for_admins_and_contexts() {
        let places = Places::new(16);
        let held: Vec<Vec<Place>> =
            (0..4).map(|number| take_all(&places, &caller(&format!("rider-{number}"), Role::Customer))).collect();
        assert_eq!(held.iter().map(Vec::len).collect::<Vec<_>>(), [4, 4, 4, 2]);
        let first = caller("rider-0", Role::Customer);
        assert_eq!(places.take(Some(&caller("another", Role::Customer))).err(), Some(Full::ForAll));
        let _admin = places.take(Some(&caller("ops", Role::Admin))).unwrap();
        let _context = places.take(Some(&Caller::service("rental"))).unwrap();
        assert_eq!(places.take(Some(&Caller::service("rental"))).err(), Some(Full::ForAll));
        drop(held);
        assert_eq!(take_all(&places, &first).len(), 4, "places that are dropped are free again");
    }

    #[test]
    fn contexts_and_the_process_itself_have_no_share_and_every_caller_gets_one_place() {
        let places = Places::new(8);
        assert_eq!(take_all(&places, &Caller::service("rental")).len(), 8);
        let own: Vec<_> = std::iter::from_fn(|| places.take(None).ok()).collect();
        assert_eq!(own.len(), 8);
        assert_eq!(take_all(&Places::new(1), &caller("mina", Role::Customer)).len(), 1);
    }

    #[test]
    fn a_caller_without_places_costs_no_memory() {
        let places = Places::new(8);
        for number in 0..100 {
            drop(places.take(Some(&caller(&format!("rider-{number}"), Role::Customer))).unwrap());
        }
        assert!(places.taken().by_subject.is_empty());
    }
}
