//! The world outside of the product: a bank that takes money, and a carrier of messages. Neither is reliable.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use chassis::values::Money;
use futures::future::BoxFuture;
use notification::carrier::{Carrier, NotDelivered};
use notification::domain::Message;
use payment::processor::{NoAnswer, Processor, Verdict};

use crate::faults::Chance;

/// A bank with a ledger. It answers late, not at all, or only after it did what it was asked for.
pub struct Bank {
    chance: Chance,
    charges: Mutex<BTreeMap<String, Charge>>,
    violations: Mutex<Vec<String>>,
}

/// What was asked for under a key.
#[derive(Clone, Debug)]
struct Charge {
    verdict: Option<Verdict>,
    taken: i64,
    refunded: i64,
}

impl Bank {
    pub fn new(chance: Chance) -> Bank {
        Bank { chance, charges: Mutex::default(), violations: Mutex::default() }
    }

    /// What it holds of a payment's money.
    pub fn holds(&self, payment: &str) -> i64 {
        let charges = self.charges.lock().expect("one thread");
        let of_payment = charges.iter().filter(|(key, _)| key.starts_with(payment));
        of_payment.map(|(_, charge)| charge.taken - charge.refunded).sum()
    }

    /// The first thing that should never have happened.
    pub fn violation(&self) -> Option<String> {
        self.violations.lock().expect("one thread").first().cloned()
    }

    fn take(&self, key: &str, method: &str, amount: Money) -> Verdict {
        let payment = key.split('/').next().unwrap_or_default();
        let mut charges = self.charges.lock().expect("one thread");
        if let Some(known) = charges.get(key) {
            return known.verdict.clone().unwrap_or(Verdict::Declined("it was given up".to_owned()));
        }
        let held: i64 = charges
            .iter()
            .filter(|(other, _)| other.starts_with(payment))
            .map(|(_, charge)| charge.taken - charge.refunded)
            .sum();
        if held > 0 && method != "sandbox-decline" {
            self.violations.lock().expect("one thread").push(format!("payment {payment} was charged twice"));
        }
        let declined = method == "sandbox-decline" || self.chance.strikes(50);
        let (verdict, taken) =
            if declined { (Verdict::Declined("no".to_owned()), 0) } else { (Verdict::Approved, amount.minor) };
        charges.insert(key.to_owned(), Charge { verdict: Some(verdict.clone()), taken, refunded: 0 });
        verdict
    }

    fn give_back(&self, key: &str) {
        let mut charges = self.charges.lock().expect("one thread");
        // What was never charged never will be.
        let charge = charges.entry(key.to_owned()).or_insert(Charge { verdict: None, taken: 0, refunded: 0 });
        charge.refunded = charge.taken;
    }

    async fn answers(&self) -> Result<(), NoAnswer> {
        tokio::time::sleep(self.chance.pause(50)).await;
        if self.chance.strikes(60) {
            // Longer than anybody waits.
            tokio::time::sleep(Duration::from_secs(60)).await;
            return Err(NoAnswer);
        }
        Ok(())
    }
}

impl Processor for Bank {
    fn charge<'a>(&'a self, key: &'a str, method: &'a str, amount: Money) -> BoxFuture<'a, Result<Verdict, NoAnswer>> {
        Box::pin(async move {
            self.answers().await?;
            let verdict = self.take(key, method, amount);
            self.answers().await?;
            Ok(verdict)
        })
    }

    fn refund<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(), NoAnswer>> {
        Box::pin(async move {
            self.answers().await?;
            self.give_back(key);
            self.answers().await
        })
    }
}

/// A carrier that now and then drops what it was given.
pub struct Post {
    chance: Chance,
    delivered: Mutex<BTreeMap<String, u32>>,
}

impl Post {
    pub fn new(chance: Chance) -> Post {
        Post { chance, delivered: Mutex::default() }
    }

    /// How often a message reached its customer.
    pub fn deliveries(&self, message: &str) -> u32 {
        self.delivered.lock().expect("one thread").get(message).copied().unwrap_or(0)
    }
}

impl Carrier for Post {
    fn deliver<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Result<(), NotDelivered>> {
        Box::pin(async move {
            if self.chance.strikes(100) {
                return Err(NotDelivered("the post is on strike".to_owned()));
            }
            *self.delivered.lock().expect("one thread").entry(message.id.to_string()).or_default() += 1;
            Ok(())
        })
    }
}
