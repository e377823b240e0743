//! Each row of the policy's table, and malformed events.

use chassis::ids::Ids;
use chassis::{Envelope, Malformed};
use contracts::notification::v1::{Message as Letter, MessageDelivered};
use contracts::stay::v1::{Stay, StayCancelled, StayConfirmed, StayReserved};
use prost::{Message, Name};
use voucher::policy::policy;

use super::*;

fn event<M: Message + Name>(message: &M) -> Envelope {
    Envelope {
        event_id: stay().uuid(),
        kind: M::full_name(),
        source: String::new(),
        subject: String::new(),
        at: NOW,
        correlation_id: stay().uuid(),
        causation_id: None,
        sequence: 1,
        traceparent: None,
        body: message.encode_to_vec(),
    }
}

fn published() -> Stay {
    Stay {
        stay_id: stay().to_string(),
        resort_id: grant().resort.to_string(),
        resort_name: "Sea View".to_owned(),
        customer_id: "ann".to_owned(),
        dates: Some(grant().dates.into()),
        begin_time: Some(begin().to_proto()),
        end_time: Some(end().to_proto()),
        payment_id: stay().to_string(),
        ..Stay::default()
    }
}

#[track_caller]
fn check_malformed(stay: Option<Stay>, then: &str) {
    let event = event(&StayConfirmed { stay });
    let reaction = policy(Ids::seeded(1)).react(&event).map_err(|Malformed(what)| what);
    assert!(reaction.as_ref().is_err_and(|what| what.contains(then)), "{reaction:?}");
}

#[test]
fn r5_a_confirmed_stay_gets_a_voucher_with_a_code_of_its_own() {
    let policy = policy(Ids::seeded(1));
    let mut codes = Vec::new();
    for _ in 0..100 {
        let commands = policy.react(&event(&StayConfirmed { stay: Some(published()) })).expect("the event is right");
        let [(id, Command::Issue(of, issued))] = &commands[..] else { panic!("{commands:?}") };
        assert_eq!((*id, *of), (voucher_of(stay()), stay()));
        assert_eq!(*issued, Grant { code: issued.code, ..grant() });
        assert!(!codes.contains(&issued.code));
        codes.push(issued.code);
    }
}

#[test]
fn r7_a_paid_stay_that_is_cancelled_loses_its_voucher() {
    let commands = policy(Ids::seeded(1)).react(&event(&StayCancelled { stay: Some(published()) }));
    assert_eq!(commands.expect("the event is right"), [(voucher_of(stay()), Command::Deactivate(stay()))]);
}

#[test]
fn a_stay_that_was_never_paid_has_no_voucher_to_lose() {
    let unpaid = Some(Stay { payment_id: String::new(), ..published() });
    let policy = policy(Ids::seeded(1));
    assert_eq!(policy.react(&event(&StayCancelled { stay: unpaid.clone() })).expect("the event is right"), []);
    assert_eq!(policy.react(&event(&StayReserved { stay: unpaid })).expect("the event is right"), []);
}

#[test]
fn r5_the_message_with_the_voucher_sends_it_when_it_is_delivered() {
    let react = |topic: &str, flow_id: String| {
        let message = Some(Letter { topic: topic.to_owned(), flow_id, ..Letter::default() });
        policy(Ids::seeded(1)).react(&event(&MessageDelivered { message }))
    };
    let sent = react("VOUCHER_ISSUED", stay().to_string()).expect("the event is right");
    assert_eq!(sent, [(voucher_of(stay()), Command::Send)]);
    assert_eq!(react("STAY_CONFIRMED", stay().to_string()).expect("the event is right"), []);
    assert!(react("VOUCHER_ISSUED", "7".to_owned()).is_err());
}

#[test]
fn an_event_that_breaks_its_contract_is_malformed() {
    check_malformed(None, "no stay");
    check_malformed(Some(Stay { stay_id: "7".to_owned(), ..published() }), "stay_id");
    check_malformed(Some(Stay { resort_id: "villa".to_owned(), ..published() }), "resort_id");
    check_malformed(Some(Stay { dates: None, ..published() }), "dates");
    check_malformed(Some(Stay { begin_time: None, ..published() }), "begin_time");
    check_malformed(Some(Stay { end_time: None, ..published() }), "end_time");
}
