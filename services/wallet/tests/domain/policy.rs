//! Each row of the policy's table, and malformed events.

use chassis::{Envelope, Malformed};
use contracts::billing::v1::{Bill as BillMessage, BillDue, BillOpened, BillVoided};
use contracts::money::v1::Money as MoneyMessage;
use contracts::payment::v1::{Payment, PaymentApproved};
use contracts::upkeep::v1::{Report, ReportTaken};
use prost::{Message, Name};
use wallet::policy::{policy, reference};

use super::*;

fn event<M: Message + Name>(message: &M) -> Envelope {
    Envelope {
        event_id: id::<()>(99).uuid(),
        kind: M::full_name(),
        source: String::new(),
        subject: String::new(),
        at: NOW,
        correlation_id: id::<()>(98).uuid(),
        causation_id: None,
        sequence: 1,
        traceparent: None,
        body: message.encode_to_vec(),
    }
}

#[track_caller]
fn check(event: &Envelope, then: &[Operation]) {
    let commands = policy(krw()).react(event).expect("the event is right");
    let then: Vec<_> =
        then.iter().map(|operation| (wallet_of("ann"), Command { holder: ann(), operation: *operation })).collect();
    assert_eq!(commands, then);
}

#[track_caller]
fn check_malformed(event: &Envelope, then: &str) {
    let reaction = policy(krw()).react(event).map_err(|Malformed(what)| what);
    assert!(reaction.as_ref().is_err_and(|what| what.contains(then)), "{reaction:?}");
}

fn money(amount_minor: i64) -> Option<MoneyMessage> {
    Some(MoneyMessage { currency_code: "KRW".to_owned(), amount_minor })
}

fn approved(change: impl FnOnce(&mut Payment)) -> Envelope {
    let mut payment = Payment {
        purchase_id: id::<()>(1).to_string(),
        customer_id: "ann".to_owned(),
        amount: money(500),
        seller: "wallet".to_owned(),
        seller_reference: reference(wallet_of("ann")),
        ..Payment::default()
    };
    change(&mut payment);
    event(&PaymentApproved { payment: Some(payment) })
}

fn bill(change: impl FnOnce(&mut BillMessage)) -> Option<BillMessage> {
    let mut bill = BillMessage {
        bill_id: id::<()>(7).to_string(),
        ride_id: flow(7).to_string(),
        customer_id: "ann".to_owned(),
        fee: money(200),
        ..BillMessage::default()
    };
    change(&mut bill);
    Some(bill)
}

#[test]
fn b5_a_payment_for_a_deposit_tops_it_up_and_others_do_not() {
    check(&approved(|_| ()), &[top_up(1, 500)]);
    check(&approved(|payment| payment.seller = "market".to_owned()), &[]);
    // Events from before the field `seller` existed are recognized by the reference alone.
    check(&approved(|payment| payment.seller.clear()), &[top_up(1, 500)]);
    let others =
        |payment: &mut Payment| (payment.seller, payment.seller_reference) = (String::new(), "car/7".to_owned());
    check(&approved(others), &[]);
    check_malformed(&approved(|payment| payment.purchase_id = "7".to_owned()), "purchase_id");
    check_malformed(&approved(|payment| payment.customer_id.clear()), "nobody");
    check_malformed(&event(&PaymentApproved { payment: None }), "no payment");
    let euro = Some(MoneyMessage { currency_code: "EUR".to_owned(), amount_minor: 5 });
    check_malformed(&approved(|payment| payment.amount = euro), "the ledger is in KRW");
}

#[test]
fn b5_a_bill_that_is_due_is_paid_and_a_void_one_is_not() {
    check(&event(&BillDue { bill: bill(|_| ()) }), &[pay(7, 200)]);
    check(&event(&BillVoided { bill: bill(|bill| bill.fee = None) }), &[void(7)]);
    check(&event(&BillOpened { bill: bill(|_| ()) }), &[]);
    check_malformed(&event(&BillDue { bill: None }), "no bill");
    check_malformed(&event(&BillDue { bill: bill(|bill| bill.fee = None) }), "no fee");
    check_malformed(&event(&BillDue { bill: bill(|bill| bill.fee = money(-1)) }), "fee.amount_minor");
    // A free ride has nothing to pay.
    check(&event(&BillDue { bill: bill(|bill| bill.fee = money(0)) }), &[]);
    check_malformed(&event(&BillVoided { bill: bill(|bill| bill.ride_id.clear()) }), "ride_id");
}

#[test]
fn b8_a_report_that_was_taken_earns_its_points() {
    let taken = |points| {
        let report_id = id::<()>(4).to_string();
        event(&ReportTaken {
            report: Some(Report { report_id, manager_id: "ann".to_owned(), points, ..Report::default() }),
        })
    };
    check(&taken(1_000), &[Operation::Earn(id(4), 1_000)]);
    check_malformed(&taken(0), "points");
    check_malformed(&event(&ReportTaken { report: None }), "no report");
}
