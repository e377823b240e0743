//! The cache of verified tokens: a signature check costs a hundred times as much as the rest of a call, and a caller
//! sends the same token many times.

use std::collections::HashMap;
use std::sync::RwLock;

use super::Caller;

/// The allowed clock skew of issuers.
pub const LEEWAY_SECONDS: f64 = 30.0;
/// Cached tokens, at most.
const VERIFIED_MAX: usize = 4096;

/// Tokens that were verified, by their text.
#[derive(Default)]
pub struct Verified(RwLock<HashMap<Box<str>, (Caller, f64)>>);

impl Verified {
    /// The caller of a token that was verified and has not expired.
    pub fn get(&self, token: &str, now_seconds: f64) -> Option<Caller> {
        let verified = self.0.read().unwrap_or_else(|poisoned| poisoned.into_inner());
        verified.get(token).filter(|(_, exp)| exp + LEEWAY_SECONDS > now_seconds).map(|(caller, _)| caller.clone())
    }

    /// Stores a verified token.
    pub fn insert(&self, token: &str, caller: &Caller, exp: f64, now_seconds: f64) {
        let mut verified = self.0.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        if verified.len() >= VERIFIED_MAX {
            verified.retain(|_, (_, exp)| *exp > now_seconds);
        }
        // All of them are still valid: clearing the cache costs one more check for each.
        if verified.len() >= VERIFIED_MAX {
            verified.clear();
        }
        verified.insert(token.into(), (caller.clone(), exp));
    }
}
