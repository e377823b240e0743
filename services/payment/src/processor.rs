//! The card processor: the one external system of this context.
//!
//! Every call names a charge by a key. A processor executes repeated calls under one key once: card processors work
//! that way, and it makes a retry after a lost answer safe.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use chassis::values::Money;
use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared, WeakShared};

/// Charges cards, and refunds charges.
pub trait Processor: Send + Sync {
    /// Charges a card.
    fn charge<'a>(&'a self, key: &'a str, method: &'a str, amount: Money) -> BoxFuture<'a, Result<Verdict, NoAnswer>>;

    /// Refunds what was charged under the key, if anything was, and charges nothing under it from now on.
    fn void<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(), NoAnswer>>;

    /// Refunds so much of what was charged under the key, under a key of the refund.
    fn refund<'a>(&'a self, charge: &'a str, key: &'a str, amount: Money) -> BoxFuture<'a, Result<(), NoAnswer>>;
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

/// Calls a processor with a deadline, and once at a time for the same charge: however many callers wait for a card that
/// hangs, it takes up one call. (Other names of this: single flight, request coalescing.)
pub struct SingleFlight {
    processor: Arc<dyn Processor>,
    deadline: Duration,
    calls: Arc<Mutex<Calls>>,
}

/// The calls under way, by what they are for.
type Calls = HashMap<Subject, WeakShared<BoxFuture<'static, Answer>>>;
type Answer = Result<Verdict, NoAnswer>;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Subject {
    Charge(String),
    Void(String),
    Refund(String),
}

impl SingleFlight {
    /// Calls this processor, with this deadline for each call.
    pub fn new(processor: Arc<dyn Processor>, deadline: Duration) -> SingleFlight {
        SingleFlight { processor, deadline, calls: Arc::default() }
    }

    /// Joins the call for this subject, or makes it.
    fn call(
        &self,
        subject: Subject,
        make: impl FnOnce() -> BoxFuture<'static, Answer>,
    ) -> Shared<BoxFuture<'static, Answer>> {
        let mut calls = lock(&self.calls);
        if let Some(call) = calls.get(&subject).and_then(WeakShared::upgrade) {
            return call;
        }
        let (call, deadline) = (make(), self.deadline);
        let ended = Ended { calls: self.calls.clone(), subject: subject.clone() };
        let call = async move {
            let _ended = ended;
            tokio::time::timeout(deadline, call).await.unwrap_or(Err(NoAnswer))
        };
        let call = call.boxed().shared();
        calls.extend(call.downgrade().map(|call| (subject, call)));
        call
    }
}

impl Processor for SingleFlight {
    fn charge<'a>(&'a self, key: &'a str, method: &'a str, amount: Money) -> BoxFuture<'a, Answer> {
        let make = || {
            let (processor, key, method) = (self.processor.clone(), key.to_owned(), method.to_owned());
            async move { processor.charge(&key, &method, amount).await }.boxed()
        };
        self.call(Subject::Charge(key.to_owned()), make).boxed()
    }

    fn void<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(), NoAnswer>> {
        let make = || {
            let (processor, key) = (self.processor.clone(), key.to_owned());
            async move { processor.void(&key).await.map(|()| Verdict::Approved) }.boxed()
        };
        self.call(Subject::Void(key.to_owned()), make).map(|answer| answer.map(|_| ())).boxed()
    }

    fn refund<'a>(&'a self, charge: &'a str, key: &'a str, amount: Money) -> BoxFuture<'a, Result<(), NoAnswer>> {
        let make = || {
            let (processor, charge, key) = (self.processor.clone(), charge.to_owned(), key.to_owned());
            async move { processor.refund(&charge, &key, amount).await.map(|()| Verdict::Approved) }.boxed()
        };
        self.call(Subject::Refund(key.to_owned()), make).map(|answer| answer.map(|_| ())).boxed()
    }
}

/// Removes a call that has ended, or that nobody waits for any more.
struct Ended {
    calls: Arc<Mutex<Calls>>,
    subject: Subject,
}

impl Drop for Ended {
    fn drop(&mut self) {
        lock(&self.calls).remove(&self.subject);
    }
}

fn lock(calls: &Mutex<Calls>) -> MutexGuard<'_, Calls> {
    calls.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// A processor for trials: its answer depends on the name of the payment method.
///
/// | method                 | answer                                             |
/// |------------------------|----------------------------------------------------|
/// | `sandbox-approve`      | approved; with a hyphen and a name behind it, too  |
/// | `sandbox-decline`      | declined                                           |
/// | `sandbox-timeout`      | never                                              |
/// | `sandbox-timeout-once` | lost the first time (the money was taken), then approved |
/// | any other              | declined: there is no such card                    |
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
                "sandbox-timeout-once" | "sandbox-approve" => Ok(Verdict::Approved),
                method if method.starts_with("sandbox-approve-") => Ok(Verdict::Approved),
                _ => Ok(Verdict::Declined("there is no such card".to_owned())),
            }
        })
    }

    fn void<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<(), NoAnswer>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn refund<'a>(&'a self, _: &'a str, _: &'a str, _: Money) -> BoxFuture<'a, Result<(), NoAnswer>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

impl Sandbox {
    fn is_first(&self, key: &str) -> bool {
        self.answered_late.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).insert(key.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use chassis::values::Currency;
    use futures::future::join_all;
    use tokio::sync::Semaphore;

    use super::*;

    /// Answers each call when it may, and counts them.
    struct Slow {
        calls: AtomicUsize,
        answers: Semaphore,
    }

    impl Processor for Slow {
        fn charge<'a>(&'a self, _: &'a str, _: &'a str, _: Money) -> BoxFuture<'a, Answer> {
            self.calls.fetch_add(1, Ordering::SeqCst);
            Box::pin(async {
                self.answers.acquire().await.unwrap().forget();
                Ok(Verdict::Approved)
            })
        }

        fn void<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(), NoAnswer>> {
            Box::pin(async move { self.charge(key, "", won()).await.map(|_| ()) })
        }

        fn refund<'a>(&'a self, _: &'a str, key: &'a str, amount: Money) -> BoxFuture<'a, Result<(), NoAnswer>> {
            Box::pin(async move { self.charge(key, "", amount).await.map(|_| ()) })
        }
    }

    fn slow(answers: usize) -> (Arc<Slow>, SingleFlight) {
        let slow = Arc::new(Slow { calls: AtomicUsize::new(0), answers: Semaphore::new(answers) });
        (slow.clone(), SingleFlight::new(slow, Duration::from_secs(3)))
    }

    fn won() -> Money {
        Money { minor: 1, currency: Currency::WON }
    }

    #[tokio::test]
    async fn the_sandbox_approves_the_methods_that_it_knows() {
        let sandbox = Sandbox::default();
        for method in ["sandbox-approve", "sandbox-approve-of-ann"] {
            assert_eq!(sandbox.charge("car/0", method, won()).await, Ok(Verdict::Approved), "{method}");
        }
        for method in ["sandbox-aprove", "sandbox-approved", "SANDBOX-APPROVE", "sandbox-", "card", " ", ""] {
            let declined = Ok(Verdict::Declined("there is no such card".to_owned()));
            assert_eq!(sandbox.charge("car/0", method, won()).await, declined, "{method}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn callers_of_one_charge_share_a_call_and_others_have_their_own() {
        let (slow, flights) = slow(0);
        let charges = join_all((0..300).map(|_| flights.charge("car/0", "card", won())));
        let (other, refund) = (flights.charge("car/1", "card", won()), flights.refund("car/0", "car/0/1", won()));
        let all = futures::future::join3(charges, other, refund);
        let answers = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert_eq!(slow.calls.load(Ordering::SeqCst), 3);
            slow.answers.add_permits(3);
        };
        let ((charged, other, refunded), ()) = tokio::join!(all, answers);
        assert!(charged.iter().all(|answer| *answer == Ok(Verdict::Approved)));
        assert_eq!((other, refunded), (Ok(Verdict::Approved), Ok(())));
        assert!(lock(&flights.calls).is_empty(), "what has ended is forgotten");
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_without_an_answer_ends_at_the_deadline_and_the_next_one_asks_again() {
        let (slow, flights) = slow(0);
        let first = flights.charge("car/0", "card", won());
        assert_eq!(first.await, Err(NoAnswer));
        slow.answers.add_permits(1);
        assert_eq!(flights.charge("car/0", "card", won()).await, Ok(Verdict::Approved));
        assert_eq!(slow.calls.load(Ordering::SeqCst), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_who_leaves_ends_no_call_of_others_and_the_last_one_does() {
        let (slow, flights) = slow(0);
        let (mut first, mut second) = (flights.charge("car/0", "card", won()), flights.charge("car/0", "card", won()));
        assert!((&mut first).now_or_never().is_none() && (&mut second).now_or_never().is_none());
        drop(first);
        slow.answers.add_permits(1);
        assert_eq!(second.await, Ok(Verdict::Approved));
        let abandoned = flights.charge("car/1", "card", won());
        drop(abandoned);
        assert!(lock(&flights.calls).is_empty());
    }
}
