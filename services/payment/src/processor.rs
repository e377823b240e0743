//! The card processor: the one external system of this context.
//!
//! Every call names a charge by a key. A processor executes repeated calls under one key once: card processors work
//! that way, and it makes a retry after a lost answer safe.

use std::collections::HashSet;
use std::sync::Mutex;

use chassis::values::Money;
use futures::future::BoxFuture;

/// Charges cards, and refunds charges.
pub trait Processor: Send + Sync {
    /// Charges a card.
    fn charge<'a>(&'a self, key: &'a str, method: &'a str, amount: Money) -> BoxFuture<'a, Result<Verdict, NoAnswer>>;

    /// Refunds what was charged under the key, if anything was, and charges nothing under it from now on.
    fn refund<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(), NoAnswer>>;
}

/// The processor's answer to a charge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The money was taken.
    Approved,
    /// It was declined, for this reason.
    Declined(String),
}

/// There was no answer: the outcome is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoAnswer;

/// A processor for trials: its answer depends on the name of the payment method.
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
