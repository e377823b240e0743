//! The rules of payments: as tables of given, when and then; as properties of random histories with a processor that
//! answers late, twice or never; and the reactions of the policy.

mod histories;
mod policy;
mod transitions;

use std::time::Duration;

use chassis::values::{Currency, Intervention, Money};
use chassis::{Aggregate, Timestamp};
use payment::domain::{
    CHARGE_ATTEMPTS, Command, Event, Owed, Payment, PaymentId, PurchaseId, Refusal, State, Step, Then, payment_of,
};

const NOW: Timestamp = Timestamp::from_micros(1_782_864_000_000_000);
const CARD: &str = "card";
const SELLER: &str = "rental";

fn seconds(seconds: u64) -> Timestamp {
    NOW + Duration::from_secs(seconds)
}

fn purchase() -> PurchaseId {
    "00000000-0000-4000-8000-000000000007".parse().expect("the test gives a UUID")
}

fn id() -> PaymentId {
    payment_of(purchase())
}

fn owed(minor: i64) -> Owed {
    let currency = Currency::parse("KRW").expect("the test gives a currency");
    let (seller, customer, reference) = (SELLER.to_owned(), "ann".to_owned(), "car/7".to_owned());
    Owed { seller, customer, amount: Money { minor, currency }, reference, used: false }
}

fn void() -> Command {
    void_keeping(0)
}

fn void_keeping(kept: i64) -> Command {
    Command::Void { purchase: purchase(), seller: SELLER.to_owned(), kept }
}

fn intervention() -> Intervention {
    Intervention { staff: "sol".to_owned(), reason: "the car was dirty".to_owned(), at: NOW }
}

fn refund(minor: i64) -> Command {
    Command::Refund(intervention(), Money { minor, currency: Currency::WON })
}

fn keep() -> Command {
    Command::Keep(SELLER.to_owned())
}

fn settle() -> Command {
    Command::Settle(SELLER.to_owned())
}

fn charge() -> Command {
    Command::Charge { method: CARD.to_owned(), collect: None }
}

fn requested() -> Event {
    Event::Requested(purchase(), owed(100), NOW)
}

fn charge_started(now: Timestamp) -> Event {
    Event::ChargeStarted(CARD.to_owned(), now + Duration::from_secs(2))
}

/// The payment that the events led to.
fn payment(given: &[Event]) -> Option<Payment> {
    given.iter().fold(None, |payment, event| Some(Payment::evolve(payment, event)))
}

#[track_caller]
fn check(given: &[Event], when: Command, now: Timestamp, then: Result<&[Event], Refusal>) {
    let decided = Payment::decide(payment(given).as_ref(), &when, now);
    assert_eq!(decided, then.map(<[Event]>::to_vec), "given {given:?}, when {when:?}");
}
