//! The simulated external systems: an unreliable payment processor and an unreliable message carrier.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use chassis::values::Money;
use futures::future::BoxFuture;
use notification::carrier::{Carrier, NotDelivered};
use notification::domain::Message;
use payment::processor::{NoAnswer, Processor, Verdict};

use crate::faults::SimulationRandom;

/// A payment processor with a ledger. It responds late or not at all, before or after it executed the request.
pub struct SimulatedProcessor {
    random: SimulationRandom,
    charges: Mutex<BTreeMap<String, Charge>>,
    violations: Mutex<Vec<String>>,
}

/// The outcome of the requests with one idempotency key.
#[derive(Clone, Debug)]
struct Charge {
    verdict: Option<Verdict>,
    taken: i64,
    /// By the key of the refund.
    refunds: BTreeMap<String, i64>,
}

impl Charge {
    fn held(&self) -> i64 {
        self.taken - self.refunds.values().sum::<i64>()
    }
}

impl SimulatedProcessor {
    pub fn new(random: SimulationRandom) -> SimulatedProcessor {
        SimulatedProcessor { random, charges: Mutex::default(), violations: Mutex::default() }
    }

    /// The money charged and not refunded for a payment, in the minor unit.
    pub fn holds(&self, payment: &str) -> i64 {
        let charges = self.charges.lock().expect("one thread");
        let of_payment = charges.iter().filter(|(key, _)| key.starts_with(payment));
        of_payment.map(|(_, charge)| charge.held()).sum()
    }

    /// The first violation that it noticed.
    pub fn violation(&self) -> Option<String> {
        self.violations.lock().expect("one thread").first().cloned()
    }

    fn execute_charge(&self, key: &str, method: &str, amount: Money) -> Verdict {
        let payment = key.split('/').next().unwrap_or_default();
        let mut charges = self.charges.lock().expect("one thread");
        if let Some(known) = charges.get(key) {
            return known.verdict.clone().unwrap_or(Verdict::Declined("it was cancelled".to_owned()));
        }
        let held: i64 =
            charges.iter().filter(|(other, _)| other.starts_with(payment)).map(|(_, charge)| charge.held()).sum();
        if held > 0 && method != "sandbox-decline" {
            self.violations.lock().expect("one thread").push(format!("payment {payment} was charged twice"));
        }
        let declined = method == "sandbox-decline" || self.random.fault(50);
        let (verdict, taken) =
            if declined { (Verdict::Declined("no".to_owned()), 0) } else { (Verdict::Approved, amount.minor) };
        charges.insert(key.to_owned(), Charge { verdict: Some(verdict.clone()), taken, refunds: BTreeMap::new() });
        verdict
    }

    fn execute_void(&self, key: &str) {
        let mut charges = self.charges.lock().expect("one thread");
        // A charge that comes after it was voided is declined.
        let none = || Charge { verdict: None, taken: 0, refunds: BTreeMap::new() };
        let charge = charges.entry(key.to_owned()).or_insert_with(none);
        charge.refunds.insert("void".to_owned(), charge.held());
    }

    fn execute_refund(&self, charge: &str, key: &str, amount: Money) {
        let mut charges = self.charges.lock().expect("one thread");
        let Some(charge) = charges.get_mut(charge) else { return };
        charge.refunds.entry(key.to_owned()).or_insert(amount.minor);
        if charge.held() < 0 {
            self.violations.lock().expect("one thread").push(format!("{key} refunds more than was paid"));
        }
    }

    /// Fails if the request or its response is lost.
    async fn transfer(&self) -> Result<(), NoAnswer> {
        tokio::time::sleep(self.random.pause(50)).await;
        if self.random.fault(60) {
            // Longer than any deadline.
            tokio::time::sleep(Duration::from_secs(60)).await;
            return Err(NoAnswer);
        }
        Ok(())
    }
}

impl Processor for SimulatedProcessor {
    fn charge<'a>(&'a self, key: &'a str, method: &'a str, amount: Money) -> BoxFuture<'a, Result<Verdict, NoAnswer>> {
        Box::pin(async move {
            self.transfer().await?;
            let verdict = self.execute_charge(key, method, amount);
            self.transfer().await?;
            Ok(verdict)
        })
    }

    fn void<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(), NoAnswer>> {
        Box::pin(async move {
            self.transfer().await?;
            self.execute_void(key);
            self.transfer().await
        })
    }

    fn refund<'a>(&'a self, charge: &'a str, key: &'a str, amount: Money) -> BoxFuture<'a, Result<(), NoAnswer>> {
        Box::pin(async move {
            self.transfer().await?;
            self.execute_refund(charge, key, amount);
            self.transfer().await
        })
    }
}

/// A message carrier that sometimes fails.
pub struct SimulatedCarrier {
    random: SimulationRandom,
    delivered: Mutex<BTreeMap<String, u32>>,
}

impl SimulatedCarrier {
    pub fn new(random: SimulationRandom) -> SimulatedCarrier {
        SimulatedCarrier { random, delivered: Mutex::default() }
    }

    /// How often a message was delivered.
    pub fn deliveries(&self, message: &str) -> u32 {
        self.delivered.lock().expect("one thread").get(message).copied().unwrap_or(0)
    }
}

impl Carrier for SimulatedCarrier {
    fn deliver<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Result<(), NotDelivered>> {
        Box::pin(async move {
            if self.random.fault(100) {
                return Err(NotDelivered("the carrier is down".to_owned()));
            }
            *self.delivered.lock().expect("one thread").entry(message.id.to_string()).or_default() += 1;
            Ok(())
        })
    }
}
