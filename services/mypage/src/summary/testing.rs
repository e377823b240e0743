//! What the tests of all kinds of summaries need.

use chassis::{Envelope, Id, Timestamp};
use contracts::payment::v1::{Payment, PaymentState};
use prost::{Message, Name};

use crate::summary::{Rules, Summary};

/// The flow that the tests are about.
pub const FLOW: &str = "00000000-0000-4000-8000-000000000001";

fn flow<K>() -> Id<K> {
    FLOW.parse().expect("the test gives a UUID")
}

pub fn envelope<M: Message + Name>(message: &M, sequence: i64) -> Envelope {
    Envelope {
        event_id: flow::<()>().uuid(),
        kind: M::full_name(),
        source: String::new(),
        subject: String::new(),
        at: Timestamp::from_micros(sequence * 1_000_000),
        correlation_id: flow::<()>().uuid(),
        causation_id: None,
        sequence,
        traceparent: None,
        body: message.encode_to_vec(),
    }
}

pub fn paid(seller: &str, state: PaymentState) -> Option<Payment> {
    let (payment_id, purchase_id, seller) = ("pay".into(), FLOW.into(), seller.into());
    Some(Payment { payment_id, purchase_id, seller, state: state.into(), ..Default::default() })
}

impl<S: Summary> Rules<S> {
    /// Applies an event to a summary, whatever its id is.
    pub fn apply(&self, event: &Envelope, summary: &mut S) {
        if let Some(update) = self.decode(event).expect("it is right") {
            (update.apply)(summary);
        }
    }
}

/// The summary that the events make in this order.
pub fn summary<'a, S: Summary>(events: impl IntoIterator<Item = &'a Envelope>) -> S {
    let mut summary = S::blank(flow());
    for event in events {
        S::rules().apply(event, &mut summary);
    }
    summary
}

/// Checks that the events make the same summary in every order, and that none of them changes it when it comes again.
pub fn check_every_order<S: Summary + PartialEq + std::fmt::Debug>(mut events: Vec<Envelope>) {
    let (expected, mut orders, length) = (summary::<S>(&events), 0, events.len());
    for again in &events {
        assert_eq!(summary::<S>(events.iter().chain([again])), expected, "{} came again", again.kind);
    }
    for_every_order(&mut events, length, &mut |events| {
        assert_eq!(summary::<S>(events), expected);
        orders += 1;
    });
    assert_eq!(orders, (1..=length).product::<usize>());
}

/// Calls `check` with every order of `items[..length]` before the rest.
fn for_every_order<T>(items: &mut [T], length: usize, check: &mut impl FnMut(&[T])) {
    if length <= 1 {
        return check(items);
    }
    for index in 0..length {
        items.swap(index, length - 1);
        for_every_order(items, length - 1, check);
        items.swap(index, length - 1);
    }
}
