//! The card processor: the one true outside system of this context.
//!
//! Every call names a charge by a key. A processor that is asked twice under one key does it once: that is how all of
//! them work, and what makes asking again after silence safe.

use std::collections::HashSet;
use std::sync::Mutex;

use chassis::values::Money;
use futures::future::BoxFuture;

/// Takes money, and gives it back.
pub trait Processor: Send + Sync {
    /// Takes money.
    fn charge<'a>(&'a self, key: &'a str, method: &'a str, amount: Money) -> BoxFuture<'a, Result<Verdict, NoAnswer>>;

    /// Gives back what was taken under the key, if anything was, and takes nothing under it from now on.
    fn refund<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(), NoAnswer>>;
}

/// What a processor says to a charge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It took the money.
    Approved,
    /// It did not, for this reason.
    Declined(String),
}

/// It did not say anything. What it did is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoAnswer;

/// A processor for trying things out: what it does depends on the name of the payment method.
///
/// | method                 | answer                                             |
/// |------------------------|----------------------------------------------------|
/// | `sandbox-decline`      | declined                                           |
/// | `sandbox-timeout`      | never                                              |
/// | `sandbox-timeout-once` | lost the first time (the money was taken), then approved |
/// | any other              | approved                                           |
#[derive(Default)]
pub struct Sandbox {
    answered_late: Mutex<HashSet<String>>,
}

impl Processor for Sandbox {
    fn charge<'a>(&'a self, key: &'a str, method: &'a str, _: Money) -> BoxFuture<'a, Result<Verdict, NoAnswer>> {
        Box::pin(async move {
            match method {
                "sandbox-decline" => Ok(Verdict::Declined("the card was declined".to_owned())),
                "sandbox-timeout" => std::future::pending().await,
                "sandbox-timeout-once" if self.is_first(key) => std::future::pending().await,
                _ => Ok(Verdict::Approved),
            }
        })
    }

    fn refund<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<(), NoAnswer>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

impl Sandbox {
    fn is_first(&self, key: &str) -> bool {
        self.answered_late.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).insert(key.to_owned())
    }
}
