//! What a payment is, and which moves are legal. Pure: no clock, no database, no network.
//!
//! There is one payment for a purchase, so nothing is charged twice: the rule has one place.
//!
//! ```text
//! (none) --Request--> Requested --Charge--> Charging --Approve--> Approved --Settle--> Settled
//!                        |  ^                  |                   |    ^
//!                        |  +--Charge-- Refused <--Refuse          |    +--Keep-- Cancelling
//!                        |                |                        +--Cancel--------^  |
//!                        +-Cancel, Void---+--> Cancelled <--Refunded-- Refunding <-Void+
//! ```
//! What was used up before it is paid can't be cancelled by the customer, and is settled as soon as it is approved.
//! `Cancel` is the customer's wish, `Void` the seller's word. A paid purchase is refunded on the seller's word alone: who
//! wants the money back is asked about first (`Cancelling`), and the seller answers with `Void` or `Keep`.
//! A `Void` while the processor is asked is remembered and executed when its answer is known.

use std::time::Duration;

use chassis::error::RefusalCode;
use chassis::values::Money;
use chassis::{Aggregate, Timestamp};

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

/// How often the processor is asked for a charge before it is told to forget it.
pub const CHARGE_ATTEMPTS: u32 = 5;

/// The pause before the processor is asked again: twice as long each time, from 2 seconds to 5 minutes.
fn pause(attempt: u32) -> Duration {
    Duration::from_secs(2 << attempt.min(8)).min(Duration::from_secs(300))
}

/// What one customer owes, or paid, for one purchase.
#[derive(Clone, Debug, PartialEq)]
pub struct Payment {
    /// Its id.
    pub id: PaymentId,
    /// What is paid for.
    pub purchase: PurchaseId,
    /// Who owes how much; `None` while only a cancellation was heard of.
    pub owed: Option<Owed>,
    /// Where it stands.
    pub state: State,
    /// How often the customer tried: names the charge at the processor, together with the id.
    pub charge: u32,
    /// When it was first heard of.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// Who owes how much.
#[derive(Clone, Debug, PartialEq)]
pub struct Owed {
    /// The context that sold the purchase; empty in payments of before this was noted.
    pub seller: String,
    /// The subject of the customer.
    pub customer: String,
    /// How much.
    pub amount: Money,
    /// What the seller noted with it.
    pub reference: String,
    /// What is paid for was used up before: there is nothing to take back.
    pub used: bool,
}

impl Owed {
    /// Whether both are about the same. A seller that is not known differs from none.
    fn is_same(&self, other: &Owed) -> bool {
        let seller = if self.seller.is_empty() { &other.seller } else { &self.seller };
        *self == Owed { seller: self.seller.clone(), ..other.clone() } && *seller == other.seller
    }
}

/// Where a payment stands.
#[derive(Clone, Debug, PartialEq)]
pub enum State {
    /// It waits for the customer.
    Requested,
    /// The processor was asked and its answer is not known.
    Charging {
        /// With what.
        method: String,
        /// How often it was asked and did not answer.
        attempt: u32,
        /// When it is asked again.
        ask_at: Timestamp,
        /// The seller took the purchase back meanwhile.
        voided: bool,
    },
    /// The processor took the money.
    Approved,
    /// The processor declined, for this reason.
    Refused(String),
    /// The customer wants the money back; the seller is asked.
    Cancelling,
    /// The money is on its way back.
    Refunding {
        /// How often the processor was asked and did not answer.
        attempt: u32,
        /// When it is asked (again).
        ask_at: Timestamp,
    },
    /// No money was taken, or it was given back.
    Cancelled {
        /// It was given back.
        refunded: bool,
    },
    /// The purchase was used up: the money stays.
    Settled,
}

/// What a payment is told.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// A purchase was made.
    Request(PurchaseId, Owed),
    /// The customer pays with this. `collect` requests the payment, if that was not heard of yet.
    Charge {
        /// The processor's name of the card.
        method: String,
        /// What the seller says is owed.
        collect: Option<(PurchaseId, Owed)>,
    },
    /// The processor took the money of this charge.
    Approve(u32),
    /// The processor declined this charge, or was told to forget it.
    Refuse(u32, String),
    /// The processor gave the money back.
    Refunded,
    /// The processor did not answer in this attempt, counted from 0: several who asked at the same time are one.
    NoAnswer(u32),
    /// The customer wants to pay no more, or the money back.
    Cancel,
    /// The seller took the purchase back.
    Void(PurchaseId),
    /// The seller can't take the purchase back.
    Keep,
    /// The purchase was used up.
    Settle,
    /// It is time to ask the processor. Decides nothing: what to ask is [`Payment::next_step`].
    Ask,
}

/// What happened to a payment.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// It was asked for.
    Requested(PurchaseId, Owed, Timestamp),
    /// The purchase was taken back before it was asked for.
    Barred(PurchaseId, Timestamp),
    /// The processor is asked.
    ChargeStarted(String, Timestamp),
    /// The seller took the purchase back while the processor is asked.
    VoidNoted,
    /// The processor did not answer, or is only asked next: it is asked at this time.
    Postponed(Timestamp),
    /// The processor took the money.
    Approved(Timestamp),
    /// The processor declined.
    Refused(String, Timestamp),
    /// The customer wants the money back.
    CancellationRequested(Timestamp),
    /// The money stays.
    CancellationRefused(Timestamp),
    /// The money goes back.
    RefundStarted(Timestamp),
    /// It is void.
    Cancelled(Timestamp),
    /// It is final.
    Settled(Timestamp),
}

/// Why a payment said no.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// Nobody asked for it.
    #[error("there is no such payment")]
    NoSuchPayment,
    /// It was asked for with another customer or amount.
    #[error("the purchase is known with another customer or amount")]
    PurchaseDiffers,
    /// It is void.
    #[error("the payment was cancelled")]
    PaymentCancelled,
    /// The purchase was used up.
    #[error("what was paid for was used, so the payment can't be cancelled any more")]
    PaymentSettled,
    /// The processor is being asked.
    #[error("the processor is being asked; try again in a moment")]
    PaymentProcessing,
}

/// What is to be asked of the processor.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// To take the money.
    Charge {
        /// Which charge.
        charge: u32,
        /// From what.
        method: String,
        /// How much.
        amount: Money,
    },
    /// To forget a charge that it never answered to, and give back what it may have taken.
    GiveUp(u32),
    /// To give the money of a charge back.
    Refund(u32),
}

impl Payment {
    /// How often the processor was asked and did not answer.
    pub fn attempt(&self) -> u32 {
        match self.state {
            State::Charging { attempt, .. } | State::Refunding { attempt, .. } => attempt,
            _ => 0,
        }
    }

    /// Why the processor declined, if that is how it stands.
    pub fn refusal(&self) -> &str {
        if let State::Refused(why) = &self.state { why } else { "" }
    }

    /// The processor took the money, and nobody wants it back.
    pub fn is_paid(&self) -> bool {
        matches!(self.state, State::Approved | State::Settled)
    }

    /// What is to be asked of the processor, if anything is.
    pub fn next_step(&self) -> Option<Step> {
        match &self.state {
            State::Charging { attempt, .. } if self.gives_up(*attempt) => Some(Step::GiveUp(self.charge)),
            State::Charging { method, .. } => {
                let amount = self.owed.as_ref()?.amount;
                Some(Step::Charge { charge: self.charge, method: method.clone(), amount })
            }
            State::Refunding { .. } => Some(Step::Refund(self.charge)),
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
        let Some(payment) = payment else { return decide_first(command, now) };
        let is_other = |owed: &Owed| payment.owed.as_ref().is_some_and(|known| !known.is_same(owed));
        match command {
            Command::Request(_, owed) if is_other(owed) => Err(Refusal::PurchaseDiffers),
            Command::Request(purchase, owed) if payment.owed.is_none() => {
                Ok(vec![Event::Requested(*purchase, owed.clone(), now), Event::Cancelled(now)])
            }
            Command::Request(..) => Ok(vec![]),
            Command::Charge { collect: Some((_, owed)), .. } if is_other(owed) => Err(Refusal::PurchaseDiffers),
            Command::Charge { method, .. } => payment.decide_charge(method, now),
            Command::Approve(_) | Command::Refuse(..) | Command::NoAnswer(_) | Command::Refunded => {
                Ok(payment.decide_answer(command, now))
            }
            Command::Cancel if payment.owed.is_none() => Err(Refusal::NoSuchPayment),
            Command::Cancel => payment.decide_cancel(now),
            Command::Void(_) => Ok(payment.decide_void(now)),
            Command::Keep | Command::Settle => Ok(payment.decide_final(command, now)),
            Command::Ask => Ok(vec![]),
        }
    }

    fn evolve(payment: Option<Payment>, event: &Event) -> Payment {
        let first = |purchase: PurchaseId, now: Timestamp| {
            let state = State::Cancelled { refunded: false };
            let (id, created_at, updated_at) = (payment_of(purchase), now, now);
            Payment { id, purchase, owed: None, state, charge: 0, created_at, updated_at }
        };
        let mut payment = match (payment, event) {
            (Some(payment), _) => payment,
            (None, Event::Requested(purchase, _, now) | Event::Barred(purchase, now)) => first(*purchase, *now),
            (None, event) => unreachable!("{event:?} can't be the first event of a payment"),
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
        Command::Void(purchase) => Ok(vec![Event::Barred(*purchase, now)]),
        _ => Err(Refusal::NoSuchPayment),
    }
}

impl Payment {
    fn decide_charge(&self, with: &str, now: Timestamp) -> Result<Vec<Event>, Refusal> {
        match &self.state {
            State::Requested | State::Refused(_) => Ok(vec![Event::ChargeStarted(with.to_owned(), now + pause(0))]),
            State::Charging { method, .. } if method == with => Ok(vec![]),
            State::Charging { .. } => Err(Refusal::PaymentProcessing),
            State::Approved | State::Settled => Ok(vec![]),
            State::Cancelling | State::Refunding { .. } | State::Cancelled { .. } => Err(Refusal::PaymentCancelled),
        }
    }

    /// The processor's answers. One that comes late, or for a charge that was given up, decides nothing.
    fn decide_answer(&self, answer: &Command, now: Timestamp) -> Vec<Event> {
        match (&self.state, answer) {
            // The processor may have been told already to forget this charge, and will be: then there is no money.
            (State::Charging { attempt, .. }, Command::Approve(_)) if self.gives_up(*attempt) => vec![],
            (State::Charging { voided, .. }, Command::Approve(charge)) if *charge == self.charge => {
                let refund = voided.then_some(Event::RefundStarted(now));
                let settled = (self.is_used() && !voided).then_some(Event::Settled(now));
                std::iter::once(Event::Approved(now)).chain(refund).chain(settled).collect()
            }
            (State::Charging { voided, .. }, Command::Refuse(charge, why)) if *charge == self.charge => {
                // What was taken back meanwhile can't be tried again, so nobody is asked to.
                vec![if *voided { Event::Cancelled(now) } else { Event::Refused(why.clone(), now) }]
            }
            (State::Charging { attempt, .. } | State::Refunding { attempt, .. }, Command::NoAnswer(asked))
                if attempt == asked =>
            {
                vec![Event::Postponed(now + pause(*attempt))]
            }
            (State::Refunding { .. }, Command::Refunded) => vec![Event::Cancelled(now)],
            _ => vec![],
        }
    }

    /// Whether the processor is told to forget a charge that it never answered to. What was used is owed until it is paid,
    /// so for that the processor is asked until it answers.
    fn gives_up(&self, attempt: u32) -> bool {
        attempt >= CHARGE_ATTEMPTS && !self.is_used()
    }

    /// What is paid for was used up before.
    pub fn is_used(&self) -> bool {
        self.owed.as_ref().is_some_and(|owed| owed.used)
    }

    fn decide_cancel(&self, now: Timestamp) -> Result<Vec<Event>, Refusal> {
        match &self.state {
            _ if self.is_used() => Err(Refusal::PaymentSettled),
            State::Requested | State::Refused(_) => Ok(vec![Event::Cancelled(now)]),
            State::Charging { .. } => Err(Refusal::PaymentProcessing),
            State::Approved => Ok(vec![Event::CancellationRequested(now)]),
            State::Cancelling | State::Refunding { .. } | State::Cancelled { .. } => Ok(vec![]),
            State::Settled => Err(Refusal::PaymentSettled),
        }
    }

    fn decide_void(&self, now: Timestamp) -> Vec<Event> {
        match &self.state {
            State::Requested | State::Refused(_) => vec![Event::Cancelled(now)],
            State::Charging { voided: false, .. } => vec![Event::VoidNoted],
            State::Approved | State::Cancelling => vec![Event::RefundStarted(now)],
            State::Charging { .. } | State::Refunding { .. } | State::Cancelled { .. } | State::Settled => vec![],
        }
    }

    /// The seller keeps the money, for now (`Keep`) or for good (`Settle`).
    fn decide_final(&self, command: &Command, now: Timestamp) -> Vec<Event> {
        let refused = matches!(self.state, State::Cancelling).then_some(Event::CancellationRefused(now));
        let is_paid = matches!(self.state, State::Approved | State::Cancelling);
        let settled = (is_paid && *command == Command::Settle).then_some(Event::Settled(now));
        refused.into_iter().chain(settled).collect()
    }

    fn apply(&mut self, event: &Event) {
        match event {
            Event::Requested(_, owed, _) => {
                self.owed = Some(owed.clone());
                self.state = State::Requested;
            }
            Event::Barred(..) => {}
            Event::ChargeStarted(method, ask_at) => {
                self.charge += 1;
                self.state = State::Charging { method: method.clone(), attempt: 0, ask_at: *ask_at, voided: false };
            }
            Event::VoidNoted => {
                if let State::Charging { voided, .. } = &mut self.state {
                    *voided = true;
                }
            }
            Event::Postponed(until) => {
                if let State::Charging { attempt, ask_at, .. } | State::Refunding { attempt, ask_at } = &mut self.state
                {
                    *attempt += 1;
                    *ask_at = *until;
                }
            }
            Event::Approved(_) | Event::CancellationRefused(_) => self.state = State::Approved,
            Event::Refused(why, _) => self.state = State::Refused(why.clone()),
            Event::CancellationRequested(_) => self.state = State::Cancelling,
            Event::RefundStarted(now) => self.state = State::Refunding { attempt: 0, ask_at: *now },
            Event::Cancelled(_) => {
                self.state = State::Cancelled { refunded: matches!(self.state, State::Refunding { .. }) };
            }
            Event::Settled(_) => self.state = State::Settled,
        }
        if let Some(now) = event.time() {
            self.updated_at = now;
        }
    }
}

impl Event {
    fn time(&self) -> Option<Timestamp> {
        match self {
            Event::Requested(_, _, now)
            | Event::Barred(_, now)
            | Event::Approved(now)
            | Event::Refused(_, now)
            | Event::CancellationRequested(now)
            | Event::CancellationRefused(now)
            | Event::RefundStarted(now)
            | Event::Cancelled(now)
            | Event::Settled(now) => Some(*now),
            Event::ChargeStarted(..) | Event::VoidNoted | Event::Postponed(_) => None,
        }
    }
}

impl chassis::Refusal for Refusal {
    fn code(&self) -> RefusalCode {
        match self {
            Refusal::NoSuchPayment => RefusalCode::NotFound,
            _ => RefusalCode::Precondition,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Refusal::NoSuchPayment => "PAYMENT_NOT_FOUND",
            Refusal::PurchaseDiffers => "PURCHASE_DIFFERS",
            Refusal::PaymentCancelled => "PAYMENT_CANCELLED",
            Refusal::PaymentSettled => "PAYMENT_SETTLED",
            Refusal::PaymentProcessing => "PAYMENT_PROCESSING",
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        matches!(self, Refusal::PaymentProcessing).then_some(Duration::from_secs(2))
    }
}
