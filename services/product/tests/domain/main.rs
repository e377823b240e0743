//! The rules of products: as tables of given, when and then; as properties of random histories; and the reactions of
//! the policy.

mod histories;
mod policy;
mod transitions;

use chassis::values::{Currency, Money};
use chassis::{Aggregate, Timestamp};
use product::domain::{Command, Event, Listing, OrderId, Product, ProductId, Refusal};

/// 2026-07-01T00:00:00Z.
const NOW: Timestamp = Timestamp::from_micros(1_782_864_000_000_000);

/// The id with this number at its end.
fn id<T: std::str::FromStr>(number: u64) -> T {
    format!("00000000-0000-4000-8000-{number:012}").parse().ok().expect("the test gives a UUID")
}

fn product_id() -> ProductId {
    id(7)
}

fn order(number: u64) -> OrderId {
    id(number)
}

fn won(minor: i64) -> Money {
    Money { minor, currency: Currency::parse("KRW").expect("the test gives a currency") }
}

fn tent() -> Listing {
    Listing { name: "Tent".to_owned(), price: won(120_000) }
}

fn create(stock: u64) -> Command {
    Command::Create(product_id(), tent(), stock, "hana".to_owned())
}

fn created(stock: u64) -> Event {
    Event::Created(product_id(), tent(), stock, "hana".to_owned(), NOW)
}

/// The product that the events led to.
fn product(given: &[Event]) -> Option<Product> {
    given.iter().fold(None, |product, event| Some(Product::evolve(product, event)))
}

#[track_caller]
fn check(given: &[Event], when: Command, then: Result<&[Event], Refusal>) {
    let decided = Product::decide(product(given).as_ref(), &when, NOW);
    assert_eq!(decided, then.map(<[Event]>::to_vec), "given {given:?}, when {when:?}");
}
