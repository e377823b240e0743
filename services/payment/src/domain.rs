//! A payment and its legal transitions. Pure: no clock, no database, no network.
//!
//! There is one payment per purchase, so nothing is charged twice.
//!
//! ```text
//! (none) --Request--> Requested --Charge--> Charging --Approve--> Approved --Settle--> Settled
//!                        |  ^                  |                   |    ^
//!                        |  +--Charge-- Refused <--Refuse          |    +--Keep-- Cancelling
//!                        |                |                        +--Cancel--------^  |
//!                        +-Cancel, Void---+--> Cancelled <--Refunded-- Refunding <-Void+
//! ```
//! A purchase that was used before it is paid can't be cancelled by the customer, and is settled as soon as it is
//! approved. `Cancel` comes from the customer, `Void` from the seller. Only the seller has a paid purchase refunded: a
//! customer's request for a refund waits (`Cancelling`) until the seller answers with `Void` or `Keep`. A `Void` during
//! a charge is stored, and executed when the processor has answered. A payment is its seller's alone: what another context
//! voids, keeps or settles is refused, and what it voided before the request does not bar the payment.
//!
//! A seller that voids a purchase may keep a share of the price. Staff refund a part of what was paid (`Refund`), with a
//! reason: the payment is then what it was before. A customer whose card does not answer may pay with another one: the
//! charge is voided at the processor before the next one starts.

mod messages;

use std::time::Duration;

use chassis::values::{Intervention, Money};
use chassis::{Aggregate, Timestamp};

pub use self::messages::{Command, Event, Refusal, Step};

chassis::ids! {
    /// The id of a payment, made from its purchase.
    PaymentId = "payment";
    /// The id of what is paid for: a reservation, a ride, an order. It is the id of the flow.
    PurchaseId = "purchase";
}

/// The payment for a purchase.
pub fn payment_of(purchase: PurchaseId) -> PaymentId {
    PaymentId::derived_from(purchase.uuid())
}

/// Attempts of a charge before it is voided at the processor.
pub const CHARGE_ATTEMPTS: u32 = 5;

/// The pause before the next attempt: doubled each time, from 2 seconds to 5 minutes.
fn pause(attempt: u32) -> Duration {
    Duration::from_secs(2 << attempt.min(8)).min(Duration::from_secs(300))
}

/// A payment of one customer for one purchase.
#[derive(Clone, Debug, PartialEq)]
pub struct Payment {
    /// Its id.
    pub id: PaymentId,
    /// The purchase.
    pub purchase: PurchaseId,
    /// The context that sold it, or voided it before the request; empty in payments from before this field existed.
    pub seller: String,
    /// The amount due, its customer and seller; `None` while only a cancellation is known.
    pub owed: Option<Owed>,
    /// Its state.
    pub state: State,
    /// The number of charges so far: together with the id, the key of the charge at the processor.
    pub charge: u32,
    /// The number of refunds so far: together with that of the charge, the key of the refund.
    pub refund: u32,
    /// What was refunded so far, in the minor unit.
    pub refunded: i64,
    /// What staff did about it last.
    pub intervention: Option<Intervention>,
    /// When the first event about it was processed.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// An amount due, its customer and seller.
#[derive(Clone, Debug, PartialEq)]
pub struct Owed {
    /// The context that sold the purchase; empty in payments from before this field existed.
    pub seller: String,
    /// The subject of the customer.
    pub customer: String,
    /// The amount.
    pub amount: Money,
    /// The seller's reference.
    pub reference: String,
    /// The purchase was used before it was paid: there is nothing to cancel.
    pub used: bool,
}

impl Owed {
    /// Whether both are the same. An unknown seller matches any.
    fn is_same(&self, other: &Owed) -> bool {
        let seller = if self.seller.is_empty() { &other.seller } else { &self.seller };
        *self == Owed { seller: self.seller.clone(), ..other.clone() } && *seller == other.seller
    }
}

/// States of a payment.
#[derive(Clone, Debug, PartialEq)]
pub enum State {
    /// It awaits the customer.
    Requested,
    /// The processor was called, and its answer is not known.
    Charging {
        /// The payment method.
        method: String,
        /// Attempts without an answer.
        attempt: u32,
        /// When the next attempt is due.
        ask_at: Timestamp,
        /// The seller voided the purchase meanwhile, and keeps so much.
        voided: Option<i64>,
        /// The customer pays with this instead, once the charge is voided at the processor.
        next: Option<String>,
    },
    /// The processor took the money.
    Approved,
    /// The processor declined, for this reason.
    Refused(String),
    /// The customer requested a refund; the seller decides.
    Cancelling,
    /// The refund is in progress.
    Refunding {
        /// How much, in the minor unit.
        amount: i64,
        /// What the payment is after it.
        then: Then,
        /// Attempts without an answer of the processor.
        attempt: u32,
        /// When the next attempt is due.
        ask_at: Timestamp,
    },
    /// No money was taken, or it was refunded.
    Cancelled {
        /// It was refunded.
        refunded: bool,
    },
    /// The purchase was used: the payment is final.
    Settled,
}

/// What a payment is after a refund.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// Cancelled: the seller voided the purchase, and keeps so much.
    Void {
        /// In the minor unit.
        kept: i64,
    },
    /// Approved, as before.
    Approved,
    /// Settled, as before or since then.
    Settled,
}

impl Payment {
    /// Attempts without an answer of the processor.
    pub fn attempt(&self) -> u32 {
        match self.state {
            State::Charging { attempt, .. } | State::Refunding { attempt, .. } => attempt,
            _ => 0,
        }
    }

    /// Why the processor declined, if it did.
    pub fn refusal(&self) -> &str {
        if let State::Refused(why) = &self.state { why } else { "" }
    }

    /// The processor took the money, and no refund was requested.
    pub fn is_paid(&self) -> bool {
        matches!(self.state, State::Approved | State::Settled)
    }

    /// The next call of the processor, if there is one.
    pub fn next_step(&self) -> Option<Step> {
        match &self.state {
            State::Charging { attempt, next, .. } if next.is_some() || self.gives_up(*attempt) => {
                Some(Step::GiveUp(self.charge))
            }
            State::Charging { method, .. } => {
                let amount = self.owed.as_ref()?.amount;
                Some(Step::Charge { charge: self.charge, method: method.clone(), amount })
            }
            State::Refunding { amount, .. } => {
                let amount = Money { minor: *amount, ..self.owed.as_ref()?.amount };
                Some(Step::Refund { charge: self.charge, refund: self.refund, amount })
            }
            _ => None,
        }
    }
}

impl Aggregate for Payment {
    const NAME: &'static str = "payment";
    type Id = PaymentId;
    type Command = Command;
    type Event = Event;
    type Refusal = Refusal;

    fn decide(payment: Option<&Payment>, command: &Command, now: Timestamp) -> Result<Vec<Event>, Refusal> {
        let is_barred_by_another = |payment: &&Payment| payment.owed.is_none() && !payment.is_of(command);
        let Some(payment) = payment.filter(|payment| !is_barred_by_another(payment)) else {
            return decide_first(command, now);
        };
        let is_other = |owed: &Owed| payment.owed.as_ref().is_some_and(|known| !known.is_same(owed));
        match command {
            Command::Request(_, owed) if is_other(owed) => Err(Refusal::PurchaseDiffers),
            Command::Request(purchase, owed) if payment.owed.is_none() => {
                Ok(vec![Event::Requested(*purchase, owed.clone(), now), Event::Cancelled(now)])
            }
            Command::Request(..) => Ok(vec![]),
            Command::Charge { collect: Some((_, owed)), .. } if is_other(owed) => Err(Refusal::PurchaseDiffers),
            Command::Charge { method, .. } => payment.decide_charge(method, now),
            Command::Approve(_) | Command::Refuse(..) | Command::NoAnswer(_) | Command::Refunded(_) => {
                Ok(payment.decide_answer(command, now))
            }
            Command::Cancel if payment.owed.is_none() => Err(Refusal::NoSuchPayment),
            Command::Cancel => payment.decide_cancel(now),
            Command::Void { .. } | Command::Keep(_) | Command::Settle(_) if !payment.is_of(command) => {
                Err(Refusal::PurchaseDiffers)
            }
            Command::Void { kept, .. } => Ok(payment.decide_void(*kept, now)),
            Command::Refund(intervention, amount) => payment.decide_refund(intervention, *amount, now),
            Command::Keep(_) | Command::Settle(_) => Ok(payment.decide_final(command, now)),
            Command::Ask => Ok(vec![]),
        }
    }

    fn evolve(payment: Option<Payment>, event: &Event) -> Payment {
        let first = |purchase: PurchaseId, now: Timestamp| {
            let state = State::Cancelled { refunded: false };
            let (id, seller, created_at, updated_at) = (payment_of(purchase), String::new(), now, now);
            let (owed, intervention, charge, refund, refunded) = (None, None, 0, 0, 0);
            Payment {
                id,
                purchase,
                seller,
                owed,
                state,
                charge,
                refund,
                refunded,
                intervention,
                created_at,
                updated_at,
            }
        };
        let mut payment = match (payment, event) {
            (Some(payment), _) => payment,
            (None, Event::Requested(purchase, _, now) | Event::Barred(purchase, _, now)) => first(*purchase, *now),
            // Not printed: it may hold the payment method, and the text of a panic is logged.
            (None, _) => unreachable!("a payment begins with its request, or with the end of its purchase"),
        };
        payment.apply(event);
        payment
    }

    fn due_at(&self) -> Option<(Timestamp, Command)> {
        match self.state {
            State::Charging { ask_at, .. } | State::Refunding { ask_at, .. } => Some((ask_at, Command::Ask)),
            _ => None,
        }
    }
}

fn decide_first(command: &Command, now: Timestamp) -> Result<Vec<Event>, Refusal> {
    match command {
        Command::Request(purchase, owed) => Ok(vec![Event::Requested(*purchase, owed.clone(), now)]),
        Command::Charge { method, collect: Some((purchase, owed)) } => {
            let started = Event::ChargeStarted(method.clone(), now + pause(0));
            Ok(vec![Event::Requested(*purchase, owed.clone(), now), started])
        }
        Command::Void { purchase, seller, .. } => Ok(vec![Event::Barred(*purchase, seller.clone(), now)]),
        _ => Err(Refusal::NoSuchPayment),
    }
}

impl Payment {
    /// Whether no other seller than that of the payment commands it. An unknown seller may be any.
    fn is_of(&self, command: &Command) -> bool {
        command.seller().is_none_or(|seller| self.seller.is_empty() || *seller == self.seller)
    }

    fn decide_charge(&self, with: &str, now: Timestamp) -> Result<Vec<Event>, Refusal> {
        match &self.state {
            State::Requested | State::Refused(_) => Ok(vec![Event::ChargeStarted(with.to_owned(), now + pause(0))]),
            State::Charging { method, next, .. } if next.as_ref().unwrap_or(method) == with => Ok(vec![]),
            State::Charging { voided: Some(_), .. } => Err(Refusal::PaymentCancelled),
            // The card is being asked for the first time: it may answer in a moment.
            State::Charging { attempt: 0, next: None, .. } => Err(Refusal::PaymentProcessing),
            State::Charging { .. } => Ok(vec![Event::MethodReplaced(with.to_owned())]),
            State::Approved | State::Settled => Ok(vec![]),
            State::Refunding { then: Then::Approved | Then::Settled, .. } => Ok(vec![]),
            State::Cancelling | State::Refunding { .. } | State::Cancelled { .. } => Err(Refusal::PaymentCancelled),
        }
    }

    /// Decides about the processor's answers. A late one, or one for a charge that was given up, decides nothing.
    fn decide_answer(&self, answer: &Command, now: Timestamp) -> Vec<Event> {
        match (&self.state, answer) {
            // This charge is voided at the processor, now or already: it has no money.
            (State::Charging { attempt, next, .. }, Command::Approve(_))
                if next.is_some() || self.gives_up(*attempt) =>
            {
                vec![]
            }
            (State::Charging { voided, .. }, Command::Approve(charge)) if *charge == self.charge => {
                let after = match voided {
                    Some(kept) => Some(self.take_back(*kept, self.refunded, now)),
                    None => self.is_used().then_some(Event::Settled(now)),
                };
                std::iter::once(Event::Approved(now)).chain(after).collect()
            }
            (State::Charging { voided, next, .. }, Command::Refuse(charge, why)) if *charge == self.charge => {
                vec![match (voided, next) {
                    // It can't be charged again, so the customer is not asked to.
                    (Some(_), _) => Event::Cancelled(now),
                    (None, Some(next)) => Event::ChargeStarted(next.clone(), now + pause(0)),
                    (None, None) => Event::Refused(why.clone(), now),
                }]
            }
            (State::Charging { attempt, .. } | State::Refunding { attempt, .. }, Command::NoAnswer(asked))
                if attempt == asked =>
            {
                vec![Event::Postponed(now + pause(*attempt))]
            }
            (State::Refunding { amount, then, .. }, Command::Refunded(refund)) if *refund == self.refund => {
                match then {
                    Then::Approved | Then::Settled => vec![Event::PartRefunded(now)],
                    Then::Void { kept } => match self.take_back(*kept, self.refunded + amount, now) {
                        // It was voided while staff refunded a part.
                        rest @ Event::RefundStarted(..) => vec![Event::PartRefunded(now), rest],
                        done => vec![done],
                    },
                }
            }
            _ => vec![],
        }
    }

    /// Whether to void a charge that the processor never answered. A used purchase stays due until it is paid, so its
    /// charge is repeated until there is an answer.
    fn gives_up(&self, attempt: u32) -> bool {
        attempt >= CHARGE_ATTEMPTS && !self.is_used()
    }

    /// The purchase was used before it was paid.
    pub fn is_used(&self) -> bool {
        self.owed.as_ref().is_some_and(|owed| owed.used)
    }

    fn decide_cancel(&self, now: Timestamp) -> Result<Vec<Event>, Refusal> {
        match &self.state {
            _ if self.is_used() => Err(Refusal::PaymentSettled),
            State::Requested | State::Refused(_) => Ok(vec![Event::Cancelled(now)]),
            State::Charging { .. } | State::Refunding { then: Then::Approved, .. } => Err(Refusal::PaymentProcessing),
            State::Refunding { then: Then::Settled, .. } => Err(Refusal::PaymentSettled),
            State::Approved => Ok(vec![Event::CancellationRequested(now)]),
            State::Cancelling | State::Refunding { .. } | State::Cancelled { .. } => Ok(vec![]),
            State::Settled => Err(Refusal::PaymentSettled),
        }
    }

    fn decide_void(&self, kept: i64, now: Timestamp) -> Vec<Event> {
        match &self.state {
            State::Requested | State::Refused(_) => vec![Event::Cancelled(now)],
            State::Charging { voided: None, .. } | State::Refunding { then: Then::Approved, .. } => {
                vec![Event::VoidNoted(kept)]
            }
            State::Approved | State::Cancelling => vec![self.take_back(kept, self.refunded, now)],
            State::Charging { .. } | State::Refunding { .. } | State::Cancelled { .. } | State::Settled => vec![],
        }
    }

    /// The end of a paid purchase that was voided: the refund of what neither the seller keeps nor was refunded before.
    fn take_back(&self, kept: i64, refunded: i64, now: Timestamp) -> Event {
        let paid = self.owed.as_ref().map_or(0, |owed| owed.amount.minor);
        let rest = paid - kept.max(0) - refunded;
        if rest > 0 { Event::RefundStarted(rest, Then::Void { kept }, now) } else { Event::Cancelled(now) }
    }

    fn decide_refund(&self, by: &Intervention, amount: Money, now: Timestamp) -> Result<Vec<Event>, Refusal> {
        let then = match &self.state {
            State::Approved => Then::Approved,
            State::Settled => Then::Settled,
            State::Charging { .. } | State::Cancelling | State::Refunding { .. } => {
                return Err(Refusal::PaymentProcessing);
            }
            State::Requested | State::Refused(_) | State::Cancelled { .. } => return Err(Refusal::NothingPaid),
        };
        let paid = self.owed.as_ref().ok_or(Refusal::NoSuchPayment)?.amount;
        let rest = Money { minor: paid.minor - self.refunded, ..paid };
        if amount.currency != rest.currency || amount.minor > rest.minor {
            return Err(Refusal::RefundTooHigh(rest));
        }
        Ok(vec![Event::Intervened(by.clone()), Event::RefundStarted(amount.minor, then, now)])
    }

    /// The seller keeps the money, for now (`Keep`) or for good (`Settle`).
    fn decide_final(&self, command: &Command, now: Timestamp) -> Vec<Event> {
        let is_settlement = matches!(command, Command::Settle(_));
        if is_settlement && matches!(self.state, State::Refunding { then: Then::Approved, .. }) {
            return vec![Event::Settled(now)];
        }
        let refused = matches!(self.state, State::Cancelling).then_some(Event::CancellationRefused(now));
        let is_paid = matches!(self.state, State::Approved | State::Cancelling);
        let settled = (is_paid && is_settlement).then_some(Event::Settled(now));
        refused.into_iter().chain(settled).collect()
    }

    fn apply(&mut self, event: &Event) {
        match event {
            Event::Requested(_, owed, _) => {
                self.seller.clone_from(&owed.seller);
                self.owed = Some(owed.clone());
                self.state = State::Requested;
            }
            Event::Barred(_, seller, _) => self.seller.clone_from(seller),
            Event::ChargeStarted(method, ask_at) => {
                self.charge += 1;
                let (method, ask_at) = (method.clone(), *ask_at);
                self.state = State::Charging { method, attempt: 0, ask_at, voided: None, next: None };
            }
            Event::VoidNoted(kept) => match &mut self.state {
                State::Charging { voided, .. } => *voided = Some(*kept),
                State::Refunding { then, .. } => *then = Then::Void { kept: *kept },
                _ => {}
            },
            Event::MethodReplaced(with) => {
                if let State::Charging { next, .. } = &mut self.state {
                    *next = Some(with.clone());
                }
            }
            Event::Intervened(intervention) => self.intervention = Some(intervention.clone()),
            Event::Postponed(until) => {
                if let State::Charging { attempt, ask_at, .. } | State::Refunding { attempt, ask_at, .. } =
                    &mut self.state
                {
                    *attempt += 1;
                    *ask_at = *until;
                }
            }
            Event::Approved(_) | Event::CancellationRefused(_) => self.state = State::Approved,
            Event::Refused(why, _) => self.state = State::Refused(why.clone()),
            Event::CancellationRequested(_) => self.state = State::Cancelling,
            Event::RefundStarted(amount, then, now) => {
                self.refund += 1;
                self.state = State::Refunding { amount: *amount, then: *then, attempt: 0, ask_at: *now };
            }
            Event::PartRefunded(_) => {
                if let State::Refunding { amount, then, .. } = self.state {
                    self.refunded += amount;
                    self.state = if then == Then::Settled { State::Settled } else { State::Approved };
                }
            }
            Event::Cancelled(_) => {
                if let State::Refunding { amount, .. } = self.state {
                    self.refunded += amount;
                }
                self.state = State::Cancelled { refunded: self.refunded > 0 };
            }
            Event::Settled(_) => match &mut self.state {
                State::Refunding { then, .. } => *then = Then::Settled,
                state => *state = State::Settled,
            },
        }
        if let Some(now) = event.time() {
            self.updated_at = now;
        }
    }
}
