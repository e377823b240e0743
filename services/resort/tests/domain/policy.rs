//! Each row of the policy's table, and malformed events.

use chassis::{Envelope, Malformed};
use contracts::money::v1::Money as MoneyMessage;
use contracts::stay::v1::{Stay, StayCancellationRefused, StayCancelled, StayCompleted, StayConfirmed, StayReserved};
use prost::{Message, Name};
use resort::policy::policy;

use super::*;

fn event<M: Message + Name>(message: &M) -> Envelope {
    Envelope {
        event_id: stay(90).uuid(),
        kind: M::full_name(),
        source: String::new(),
        subject: String::new(),
        at: NOW,
        correlation_id: stay(7).uuid(),
        causation_id: None,
        sequence: 1,
        traceparent: None,
        body: message.encode_to_vec(),
    }
}

fn published() -> Stay {
    let dates = july(10, 12);
    Stay {
        stay_id: stay(7).to_string(),
        resort_id: resort_id().to_string(),
        customer_id: "ann".to_owned(),
        dates: Some(dates.into()),
        price: Some(price(dates).into()),
        ..Stay::default()
    }
}

#[track_caller]
fn check(event: &Envelope, then: &[Command]) {
    let commands = policy().react(event).expect("the event is right");
    assert_eq!(commands, then.iter().map(|command| (resort_id(), command.clone())).collect::<Vec<_>>());
}

#[track_caller]
fn check_malformed(stay: Option<Stay>, then: &str) {
    let reaction = policy().react(&event(&StayReserved { stay })).map_err(|Malformed(what)| what);
    assert!(reaction.as_ref().is_err_and(|what| what.contains(then)), "{reaction:?}");
}

#[test]
fn each_event_of_a_stay_leads_to_its_command() {
    let stay = || Some(published());
    check(&event(&StayReserved { stay: stay() }), &[keep(7, july(10, 12))]);
    check(&event(&StayConfirmed { stay: stay() }), &[book(7, july(10, 12))]);
    check(&event(&StayCancelled { stay: stay() }), &[free(7, july(10, 12))]);
    check(&event(&StayCompleted { stay: stay() }), &[free(7, july(10, 12))]);
    check(&event(&StayCancellationRefused { stay: stay() }), &[]);
}

#[test]
fn an_event_that_breaks_its_contract_is_malformed() {
    check_malformed(None, "no stay");
    check_malformed(Some(Stay { resort_id: "villa".to_owned(), ..published() }), "resort_id");
    check_malformed(Some(Stay { stay_id: String::new(), ..published() }), "stay_id");
    check_malformed(Some(Stay { dates: None, ..published() }), "dates");
    check_malformed(Some(Stay { price: None, ..published() }), "no price");
    let won = MoneyMessage { currency_code: "won".to_owned(), amount_minor: 1 };
    check_malformed(Some(Stay { price: Some(won), ..published() }), "currency_code");
}
