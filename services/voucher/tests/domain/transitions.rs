//! Every transition of a voucher, and every refusal, once.

use chassis::Refusal as _;
use chassis::error::RefusalCode;

use super::*;

fn given_issued() -> Vec<Event> {
    vec![issued()]
}

fn given_sent() -> Vec<Event> {
    vec![issued(), Event::Sent(NOW)]
}

fn given_redeemed() -> Vec<Event> {
    vec![issued(), Event::Sent(NOW), Event::Redeemed(begin())]
}

fn given_deactivated() -> Vec<Event> {
    vec![issued(), Event::Deactivated(NOW)]
}

fn given_barred() -> Vec<Event> {
    vec![Event::Barred(stay(), NOW)]
}

fn a_moment_before(time: Timestamp) -> Timestamp {
    Timestamp::from_micros(time.micros() - 1)
}

#[test]
fn r5_a_voucher_is_issued_once_and_keeps_its_code() {
    check(&[], Command::Issue(stay(), grant()), NOW, Ok(&[issued()]));
    let again = Grant { code: Code::new([8; 10]), ..grant() };
    for given in [given_issued(), given_sent(), given_redeemed(), given_deactivated(), given_barred()] {
        check(&given, Command::Issue(stay(), again.clone()), NOW, Ok(&[]));
    }
}

#[test]
fn a_voucher_that_was_not_issued_is_neither_sent_nor_redeemed() {
    for command in [Command::Send, Command::Redeem] {
        check(&[], command, begin(), Err(Refusal::NoSuchVoucher));
    }
}

#[test]
fn r5_a_voucher_is_sent_once() {
    check(&given_issued(), Command::Send, NOW, Ok(&[Event::Sent(NOW)]));
    for given in [given_sent(), given_redeemed(), given_deactivated(), given_barred()] {
        check(&given, Command::Send, NOW, Ok(&[]));
    }
}

#[test]
fn a_voucher_is_redeemed_between_begin_and_end_of_the_stay() {
    for given in [given_issued(), given_sent()] {
        check(&given, Command::Redeem, a_moment_before(begin()), Err(Refusal::TooEarly(begin())));
        for now in [begin(), a_moment_before(end())] {
            check(&given, Command::Redeem, now, Ok(&[Event::Redeemed(now)]));
        }
        check(&given, Command::Redeem, end(), Err(Refusal::Expired(end())));
    }
}

#[test]
fn a_voucher_is_redeemed_once() {
    check(&given_redeemed(), Command::Redeem, begin(), Err(Refusal::AlreadyRedeemed));
}

#[test]
fn r7_the_voucher_of_a_cancelled_stay_is_invalid() {
    for given in [given_issued(), given_sent()] {
        check(&given, Command::Deactivate(stay()), NOW, Ok(&[Event::Deactivated(NOW)]));
    }
    check(&given_deactivated(), Command::Deactivate(stay()), NOW, Ok(&[]));
    check(&given_deactivated(), Command::Redeem, begin(), Err(Refusal::VoucherDeactivated));
}

#[test]
fn r7_a_stay_that_is_cancelled_first_never_has_a_valid_voucher() {
    check(&[], Command::Deactivate(stay()), NOW, Ok(&[Event::Barred(stay(), NOW)]));
    check(&given_barred(), Command::Deactivate(stay()), NOW, Ok(&[]));
    check(&given_barred(), Command::Redeem, begin(), Err(Refusal::NoSuchVoucher));
}

#[test]
fn what_was_redeemed_is_not_deactivated_any_more() {
    check(&given_redeemed(), Command::Deactivate(stay()), end(), Ok(&[]));
}

#[test]
fn the_code_is_not_shown_where_vouchers_are_printed() {
    let shown = format!("{:?} {:?}", voucher(&given_sent()), Command::Issue(stay(), grant()));
    let code = grant().code;
    assert!(!shown.contains(&code.reveal()) && !shown.contains(code.plain()), "{shown}");
}

#[test]
fn a_refusal_has_a_code_and_a_reason_that_clients_can_tell_apart() {
    let refusals = [
        Refusal::NoSuchVoucher,
        Refusal::VoucherDeactivated,
        Refusal::AlreadyRedeemed,
        Refusal::TooEarly(NOW),
        Refusal::Expired(NOW),
    ];
    let reasons: std::collections::BTreeSet<_> = refusals.iter().map(|refusal| refusal.reason()).collect();
    assert_eq!(reasons.len(), refusals.len());
    for refusal in refusals {
        assert_eq!(refusal.code() == RefusalCode::NotFound, refusal == Refusal::NoSuchVoucher, "{refusal}");
    }
}
