//! Each row of the policy's table, and malformed events.

use chassis::{Envelope, Malformed};
use contracts::money::v1::Money as MoneyMessage;
use contracts::order::v1::{
    Order, OrderCancellationRefused, OrderCancelled, OrderDelivered, OrderDrafted, OrderLapsed, OrderPlaced,
};
use contracts::payment::v1::{Purchase, PurchaseKept, PurchaseMade, PurchaseUsed, PurchaseVoided};
use contracts::rental::v1::{
    CarRented, CarReserved, CarReturned, RentRefused, RentalCancellationRefused, Reservation, ReservationCancelled,
};
use contracts::stay::v1::{Stay, StayCancellationRefused, StayCancelled, StayCompleted, StayConfirmed, StayReserved};
use contracts::wallet::v1::{DepositToppedUp, Entry};
use payment::policy::policy;
use prost::{Message, Name};

use super::*;

fn event<M: Message + Name>(message: &M) -> Envelope {
    Envelope {
        event_id: id().uuid(),
        kind: M::full_name(),
        source: M::PACKAGE.split('.').nth(1).unwrap_or_default().to_owned(),
        subject: String::new(),
        at: NOW,
        correlation_id: purchase().uuid(),
        causation_id: None,
        sequence: 1,
        traceparent: None,
        body: message.encode_to_vec(),
    }
}

fn reservation() -> Reservation {
    Reservation {
        reservation_id: purchase().to_string(),
        car_id: "7".to_owned(),
        customer_id: "ann".to_owned(),
        price: Some(MoneyMessage { currency_code: "KRW".to_owned(), amount_minor: 100 }),
        ..Reservation::default()
    }
}

#[track_caller]
fn check(event: &Envelope, then: &[Command]) {
    let commands = policy().react(event).expect("the event is right");
    assert_eq!(commands, then.iter().map(|command| (id(), command.clone())).collect::<Vec<_>>());
}

#[track_caller]
fn check_malformed(event: &Envelope, then: &str) {
    let reaction = policy().react(event).map_err(|Malformed(what)| what);
    assert!(reaction.as_ref().is_err_and(|what| what.contains(then)), "{reaction:?}");
}

fn voided(seller: &str) -> Command {
    Command::Void { purchase: purchase(), seller: seller.to_owned(), kept: 0 }
}

#[test]
fn c3_a_reservation_requests_the_payment_of_its_price() {
    let reservation = Some(reservation());
    check(&event(&CarReserved { reservation }), &[Command::Request(purchase(), owed(100))]);
}

#[test]
fn c4_a_cancelled_reservation_voids_its_payment() {
    let reservation = Some(reservation());
    check(&event(&ReservationCancelled { reservation }), &[voided("rental")]);
}

#[test]
fn c4_a_payment_that_came_too_late_is_voided() {
    let reservation = Some(reservation());
    check(&event(&RentRefused { reservation }), &[voided("rental")]);
}

#[test]
fn c6_after_the_return_the_money_is_kept() {
    let reservation = Some(reservation());
    check(
        &event(&RentalCancellationRefused { reservation: reservation.clone() }),
        &[Command::Keep("rental".to_owned())],
    );
    check(&event(&CarReturned { reservation }), &[Command::Settle("rental".to_owned())]);
}

fn stay() -> Option<Stay> {
    Some(Stay {
        stay_id: purchase().to_string(),
        customer_id: "ann".to_owned(),
        price: Some(MoneyMessage { currency_code: "KRW".to_owned(), amount_minor: 100 }),
        ..Stay::default()
    })
}

#[test]
fn r3_a_reserved_stay_requests_the_payment_of_its_price() {
    let owed = Owed { seller: "stay".to_owned(), reference: format!("stay/{}", purchase()), ..owed(100) };
    check(&event(&StayReserved { stay: stay() }), &[Command::Request(purchase(), owed)]);
}

#[test]
fn r8_a_cancelled_stay_voids_its_payment() {
    check(&event(&StayCancelled { stay: stay() }), &[voided("stay")]);
}

#[test]
fn the_money_for_a_stay_that_is_near_or_over_is_kept() {
    check(&event(&StayCancellationRefused { stay: stay() }), &[Command::Keep("stay".to_owned())]);
    check(&event(&StayCompleted { stay: stay() }), &[Command::Settle("stay".to_owned())]);
    check(&event(&StayConfirmed { stay: stay() }), &[]);
}

#[test]
fn b5_money_for_a_deposit_is_settled_once_it_is_in() {
    let entry = Some(Entry { reason_id: purchase().to_string(), ..Entry::default() });
    check(&event(&DepositToppedUp { wallet: None, entry }), &[Command::Settle("wallet".to_owned())]);
    check_malformed(&event(&DepositToppedUp { wallet: None, entry: None }), "no entry");
    check_malformed(&event(&DepositToppedUp { wallet: None, entry: Some(Entry::default()) }), "purchase_id");
}

#[test]
fn a_stay_that_breaks_its_contract_is_malformed() {
    check_malformed(&event(&StayReserved { stay: None }), "no stay");
    check_malformed(&event(&StayCancelled { stay: Some(Stay::default()) }), "purchase_id");
    let free = stay().map(|stay| Stay { price: None, ..stay });
    check_malformed(&event(&StayReserved { stay: free }), "no price");
}

fn order() -> Option<Order> {
    Some(Order {
        order_id: purchase().to_string(),
        customer_id: "ann".to_owned(),
        price: Some(MoneyMessage { currency_code: "KRW".to_owned(), amount_minor: 100 }),
        ..Order::default()
    })
}

#[test]
fn o2_a_drafted_order_requests_the_payment_of_its_price() {
    let owed = Owed { seller: "order".to_owned(), reference: format!("order/{}", purchase()), ..owed(100) };
    check(&event(&OrderDrafted { order: order() }), &[Command::Request(purchase(), owed)]);
    check(&event(&OrderPlaced { order: order() }), &[]);
}

#[test]
fn o5_a_cancelled_or_lapsed_order_voids_its_payment() {
    check(&event(&OrderCancelled { order: order() }), &[voided("order")]);
    check(&event(&OrderLapsed { order: order() }), &[voided("order")]);
}

#[test]
fn o7_the_money_for_an_order_that_is_on_its_way_is_kept() {
    check(&event(&OrderCancellationRefused { order: order() }), &[Command::Keep("order".to_owned())]);
    check(&event(&OrderDelivered { order: order() }), &[Command::Settle("order".to_owned())]);
}

#[test]
fn an_order_that_breaks_its_contract_is_malformed() {
    check_malformed(&event(&OrderDrafted { order: None }), "no order");
    check_malformed(&event(&OrderCancelled { order: Some(Order::default()) }), "purchase_id");
    let free = order().map(|order| Order { price: None, ..order });
    check_malformed(&event(&OrderDrafted { order: free }), "no price");
}

/// An event of a context that `payment` does not know.
fn by_a_market<M: Message + Name>(message: &M) -> Envelope {
    Envelope { source: "market".to_owned(), ..event(message) }
}

#[test]
fn x7_whoever_sells_something_is_paid_by_our_own_contract() {
    let purchase_id = purchase().to_string();
    let price = Some(MoneyMessage { currency_code: "KRW".to_owned(), amount_minor: 100 });
    let sold = Purchase {
        purchase_id: purchase_id.clone(),
        customer_id: "ann".to_owned(),
        amount: price,
        seller_reference: "stand 7".to_owned(),
        used: true,
    };
    let (seller, reference) = ("market".to_owned(), "stand 7".to_owned());
    let owed = Owed { seller, reference, used: true, ..owed(100) };
    let made = |purchase| by_a_market(&PurchaseMade { purchase });
    check(&made(Some(sold.clone())), &[Command::Request(purchase(), owed)]);
    check_malformed(&made(None), "no purchase");
    check_malformed(&made(Some(Purchase { amount: None, ..sold })), "no amount");
    check(&by_a_market(&PurchaseVoided { purchase_id: purchase_id.clone(), kept: None }), &[voided("market")]);
    check(&by_a_market(&PurchaseKept { purchase_id: purchase_id.clone() }), &[Command::Keep("market".to_owned())]);
    check(&by_a_market(&PurchaseUsed { purchase_id }), &[Command::Settle("market".to_owned())]);
    check_malformed(&by_a_market(&PurchaseUsed::default()), "purchase_id");
}

#[test]
fn x7_every_event_whose_contract_asks_for_it_is_subscribed_to() {
    let asking: Vec<&str> = contracts::EVENTS.iter().filter_map(|e| e.purchase.map(|_| e.name)).collect();
    assert_eq!(asking.len(), 20, "16 of the sellers, 4 of our own: {asking:?}");
    assert!(asking.iter().all(|kind| policy().subscription().matches(kind)));
    let others = contracts::EVENTS.iter().filter(|event| !asking.contains(&event.name));
    assert!(others.into_iter().all(|event| !policy().subscription().matches(event.name)));
}

#[test]
fn x7_the_code_of_payments_names_no_seller() {
    let code = concat!(include_str!("../../src/policy.rs"), include_str!("../../src/domain.rs"));
    for seller in ["rental", "stay.v1", "order.v1", "wallet", "driving", "car/", "stay/", "order/", "taxi/", "deposit/"]
    {
        assert!(!code.contains(seller), "{seller}");
    }
}

#[test]
fn an_event_that_no_rule_is_about_leads_to_nothing() {
    check(&event(&CarRented { reservation: Some(reservation()) }), &[]);
}

#[test]
fn an_event_that_breaks_its_contract_is_malformed() {
    check_malformed(&event(&CarReserved { reservation: None }), "no reservation");
    check_malformed(&event(&CarReturned { reservation: Some(Reservation::default()) }), "purchase_id");
    let free = Reservation { price: None, ..reservation() };
    check_malformed(&event(&CarReserved { reservation: Some(free) }), "no price");
    let price = Some(MoneyMessage { currency_code: "₩".to_owned(), amount_minor: 100 });
    let odd = Reservation { price, ..reservation() };
    check_malformed(&event(&CarReserved { reservation: Some(odd) }), "amount.currency_code");
    let garbage = Envelope { body: vec![0xff], ..event(&CarReserved { reservation: None }) };
    check_malformed(&garbage, "");
}
