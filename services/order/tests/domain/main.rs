//! The rules of orders: as tables of given, when and then; as properties of random histories; and the reactions of the
//! policy.

mod histories;
mod policy;
mod transitions;

use std::time::Duration;

use chassis::values::{Currency, Intervention, Money};
use chassis::{Aggregate, Timestamp};
use order::domain::{Cause, Command, Event, Order, OrderId, PaymentId, Purchase, Refusal, State};

/// 2026-07-01T00:00:00Z.
const NOW: Timestamp = Timestamp::from_micros(1_782_864_000_000_000);
const PAY_WITHIN: Duration = Duration::from_secs(1_800);

/// The id with this number at its end.
fn id<T: std::str::FromStr>(number: u64) -> T {
    format!("00000000-0000-4000-8000-{number:012}").parse().ok().expect("the test gives a UUID")
}

fn order_id() -> OrderId {
    id(7)
}

fn payment() -> PaymentId {
    id(2)
}

fn won(minor: i64) -> Money {
    Money { minor, currency: Currency::parse("KRW").expect("the test gives a currency") }
}

fn purchase() -> Purchase {
    Purchase {
        customer: "ann".to_owned(),
        product: id(1),
        product_name: "Tent".to_owned(),
        quantity: 2,
        price: won(240_000),
        address: "1 Sejong-daero".to_owned(),
    }
}

fn draft() -> Command {
    Command::Draft(order_id(), purchase(), PAY_WITHIN)
}

fn drafted() -> Event {
    Event::Drafted(Box::new(Order {
        id: order_id(),
        purchase: purchase(),
        state: State::Draft { expires: NOW + PAY_WITHIN },
        payment_id: None,
        intervention: None,
        created_at: NOW,
        updated_at: NOW,
    }))
}

/// Staff act, and say why.
fn by_staff() -> Intervention {
    Intervention { staff: "sora".to_owned(), reason: "it has a hole".to_owned(), at: NOW }
}

/// The order that the events led to.
fn order(given: &[Event]) -> Option<Order> {
    given.iter().fold(None, |order, event| Some(Order::evolve(order, event)))
}

#[track_caller]
fn check_at(given: &[Event], when: Command, now: Timestamp, then: Result<&[Event], Refusal>) {
    let decided = Order::decide(order(given).as_ref(), &when, now);
    assert_eq!(decided, then.map(<[Event]>::to_vec), "given {given:?}, when {when:?}");
}

#[track_caller]
fn check(given: &[Event], when: Command, then: Result<&[Event], Refusal>) {
    check_at(given, when, NOW, then);
}
