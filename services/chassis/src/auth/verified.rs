//! Tokens that were verified: a signature costs a hundred times what the rest of a call costs, and a caller sends the same
//! token many times.

use std::collections::HashMap;
use std::sync::RwLock;

use super::Caller;

/// How far the clocks of issuers may be off.
pub const LEEWAY_SECONDS: f64 = 30.0;
/// Tokens kept, at most.
const VERIFIED_MAX: usize = 4096;

/// Tokens that were verified, by their text.
#[derive(Default)]
pub struct Verified(RwLock<HashMap<Box<str>, (Caller, f64)>>);

impl Verified {
    /// Who sent the token, if it was verified and has not expired.
    pub fn get(&self, token: &str, now_seconds: f64) -> Option<Caller> {
        let verified = self.0.read().unwrap_or_else(|poisoned| poisoned.into_inner());
        verified.get(token).filter(|(_, exp)| exp + LEEWAY_SECONDS > now_seconds).map(|(caller, _)| caller.clone())
    }

    /// Keeps that the token was verified.
    pub fn insert(&self, token: &str, caller: &Caller, exp: f64, now_seconds: f64) {
        let mut verified = self.0.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        if verified.len() >= VERIFIED_MAX {
            verified.retain(|_, (_, exp)| *exp > now_seconds);
        }
        // Full of tokens that are still good: forgetting them costs a signature each, once.
        if verified.len() >= VERIFIED_MAX {
            verified.clear();
        }
        verified.insert(token.into(), (caller.clone(), exp));
    }
}
