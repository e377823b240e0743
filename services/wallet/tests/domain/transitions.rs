//! Tables: given these operations, when this one follows, then these events.

use super::*;

/// An event in short: its entry and the balance after it, or its bill and the state of it.
fn summary(event: &Event) -> String {
    let holds = |entry: &Entry| format!("{} -> {}/{}", entry.amount, entry.after.deposit, entry.after.points);
    let number = |bill: &Bill| {
        bill.id.to_string().trim_start_matches("00000000-0000-4000-8000-").trim_start_matches('0').to_owned()
    };
    match event {
        Event::Opened(holder, _) => format!("opened for {}", holder.owner),
        Event::ToppedUp(entry) => format!("topped up {}", holds(entry)),
        Event::BillPaid(bill, entry) => format!("paid {}: {}", number(bill), holds(entry)),
        Event::BillUnpaid(bill) => format!("unpaid {}", number(bill)),
        Event::BillRefunded(bill, entry) => format!("refunded {}: {}", number(bill), holds(entry)),
        Event::BillDropped(bill, _) => format!("dropped {}", number(bill)),
        Event::BillBarred(bill) => format!("barred {}", number(bill)),
        Event::PointsEarned(entry) => format!("earned {}", holds(entry)),
        Event::PointsConverted(entry) => format!("converted {}", holds(entry)),
    }
}

#[track_caller]
fn check(given: &[Operation], when: Operation, then: &[&str]) {
    let events = execute(after(given).as_ref(), when).expect("it is not refused");
    let then: Vec<&str> =
        if given.is_empty() && !then.is_empty() { [&["opened for ann"], then].concat() } else { then.to_vec() };
    assert_eq!(events.iter().map(summary).collect::<Vec<_>>(), then, "given {given:?}, when {when:?}");
}

#[track_caller]
fn check_refused(given: &[Operation], when: Operation, then: Refusal) {
    assert_eq!(execute(after(given).as_ref(), when), Err(then), "given {given:?}, when {when:?}");
}

#[test]
fn b5_a_top_up_raises_the_deposit_once() {
    check(&[], top_up(1, 500), &["topped up 500 -> 500/0"]);
    check(&[top_up(1, 500)], top_up(2, 300), &["topped up 300 -> 800/0"]);
    check(&[top_up(1, 500)], top_up(1, 500), &[]);
}

#[test]
fn b5_a_bill_is_paid_from_the_deposit_once() {
    check(&[top_up(1, 500)], pay(7, 200), &["paid 7: 200 -> 300/0"]);
    check(&[top_up(1, 500)], pay(7, 500), &["paid 7: 500 -> 0/0"]);
    check(&[top_up(1, 500), pay(7, 200)], pay(7, 200), &[]);
}

#[test]
fn b5_a_bill_that_exceeds_the_deposit_waits_for_the_next_top_up() {
    check(&[], pay(7, 200), &["unpaid 7"]);
    check(&[top_up(1, 100)], pay(7, 200), &["unpaid 7"]);
    check(&[pay(7, 200)], pay(7, 200), &[]);
    check(&[pay(7, 200)], top_up(1, 100), &["topped up 100 -> 100/0"]);
    check(&[pay(7, 200), top_up(1, 100)], top_up(2, 150), &["topped up 150 -> 250/0", "paid 7: 200 -> 50/0"]);
    check(&[pay(7, 200), top_up(1, 250)], pay(7, 200), &[]);
}

#[test]
fn bills_that_wait_are_paid_strictly_the_oldest_first() {
    let waiting = [pay(7, 200), pay(3, 50), pay(9, 10)];
    check(&waiting, top_up(1, 100), &["topped up 100 -> 100/0"]);
    check(&waiting, top_up(1, 255), &["topped up 255 -> 255/0", "paid 7: 200 -> 55/0", "paid 3: 50 -> 5/0"]);
    let all = ["topped up 260 -> 260/0", "paid 7: 200 -> 60/0", "paid 3: 50 -> 10/0", "paid 9: 10 -> 0/0"];
    check(&waiting, top_up(1, 260), &all);
    // A bill that arrives while others wait queues behind them, though the deposit would suffice.
    check(&[top_up(1, 100), pay(7, 200)], pay(3, 50), &["unpaid 3"]);
}

#[test]
fn a_void_bill_that_was_paid_is_refunded_once() {
    let paid = [top_up(1, 500), pay(7, 200)];
    check(&paid, void(7), &["refunded 7: 200 -> 500/0"]);
    let refunded = [&paid[..], &[void(7)]].concat();
    check(&refunded, void(7), &[]);
    check(&refunded, pay(7, 200), &[]);
    // The refund pays the waiting bills.
    let with_next = [&paid[..], &[pay(8, 400)]].concat();
    check(&with_next, void(7), &["refunded 7: 200 -> 500/0", "paid 8: 400 -> 100/0"]);
}

#[test]
fn a_void_bill_that_waited_is_dropped_and_those_behind_it_go_on() {
    check(&[pay(7, 200)], void(7), &["dropped 7"]);
    check(&[pay(7, 200), void(7)], void(7), &[]);
    check(&[pay(7, 200), void(7)], pay(7, 200), &[]);
    check(&[pay(7, 200), void(7)], top_up(1, 300), &["topped up 300 -> 300/0"]);
    check(&[top_up(1, 100), pay(7, 200), pay(8, 60), pay(9, 60)], void(7), &["dropped 7", "paid 8: 60 -> 40/0"]);
}

#[test]
fn a_bill_that_is_voided_before_it_arrives_is_not_paid() {
    check(&[], void(7), &["barred 7"]);
    check(&[top_up(1, 500)], void(7), &["barred 7"]);
    check(&[top_up(1, 500), void(7)], pay(7, 200), &[]);
    check(&[top_up(1, 500), void(7)], void(7), &[]);
}

#[test]
fn b8_a_report_earns_points_once() {
    check(&[], Operation::Earn(id(4), 1_000), &["earned 1000 -> 0/1000"]);
    check(&[Operation::Earn(id(4), 1_000)], Operation::Earn(id(4), 1_000), &[]);
}

#[test]
fn b9_points_become_as_much_deposit_once() {
    let earned = [Operation::Earn(id(4), 1_000)];
    let convert = |points| Operation::Convert(id(5), points);
    check(&earned, convert(600), &["converted 600 -> 600/400"]);
    check(&[earned[0], convert(600)], convert(600), &[]);
    check(&[earned[0], pay(7, 500)], convert(600), &["converted 600 -> 600/400", "paid 7: 500 -> 100/400"]);
    check_refused(&earned, convert(1_001), Refusal::NotEnoughPoints);
    check_refused(&[], convert(1), Refusal::NotEnoughPoints);
    check(&[earned[0], convert(1_000)], convert(1_000), &[]);
}

#[test]
fn a_top_up_beyond_the_limit_is_refused_before_the_card_is_charged() {
    let expect = |number, amount| Operation::Expect(id(number), won(amount));
    check(&[], expect(1, Money::MAX_MINOR), &[]);
    check(&[top_up(1, 1)], expect(2, Money::MAX_MINOR - 1), &[]);
    check_refused(&[top_up(1, 1)], expect(2, Money::MAX_MINOR), Refusal::DepositTooLarge);
    // Two concurrent charges are both accepted, and a repeated check of either succeeds.
    let full = [top_up(1, Money::MAX_MINOR), top_up(2, Money::MAX_MINOR)];
    check(&full[..1], full[1], &["topped up 1000000000000 -> 2000000000000/0"]);
    check(&full, expect(2, Money::MAX_MINOR), &[]);
    check_refused(&full, expect(3, 1), Refusal::DepositTooLarge);
    check_refused(&[full[0], Operation::Earn(id(4), 10)], Operation::Convert(id(5), 10), Refusal::DepositTooLarge);
}

#[test]
fn a_wallet_has_one_currency() {
    let euro = Currency::parse("EUR").expect("it is one");
    check_refused(
        &[],
        Operation::Expect(id(1), Money { minor: 1, currency: euro }),
        Refusal::WalletCurrency(ann().currency),
    );
    let holder = Holder { currency: euro, ..ann() };
    let wallet = after(&[top_up(1, 500)]);
    let decided = Wallet::decide(wallet.as_ref(), &Command { holder, operation: top_up(2, 1) }, NOW);
    assert_eq!(decided, Err(Refusal::WalletCurrency(ann().currency)));
}

#[test]
fn arrears_have_no_limit() {
    let many: Vec<Operation> = (0..2_000).map(|number| pay(number, 1)).collect();
    let wallet = after(&many).expect("there is one");
    assert_eq!(wallet.waiting().count(), 2_000);
    check(&many, pay(0, 1), &[]);
}

#[test]
fn the_id_of_an_entry_follows_from_its_reason() {
    let reasons = |number| {
        let (bill, top_up): (BillId, TopUpId) = (id(number), id(number));
        let (report, conversion): (ReportId, ConversionId) = (id(number), id(number));
        let all = [Reason::TopUp(top_up), Reason::Bill(bill), Reason::Refund(bill), Reason::Report(report)];
        [&all[..], &[Reason::Conversion(conversion)]].concat()
    };
    let all = [reasons(1), reasons(2)].concat();
    let ids: std::collections::BTreeSet<_> = all.iter().map(|reason| reason.entry()).collect();
    assert_eq!(ids.len(), all.len(), "no two have one");
    for reason in all {
        let (credit, debit) = reason.accounts();
        assert_eq!(Reason::between(credit.name(), debit.name(), reason.id()), Some(reason));
    }
    assert_eq!(Reason::between(Account::Cash.name(), Account::Revenue.name(), id(1)), None);
}
