//! Each row of the policy's table, events about other sellers, and malformed events.

use chassis::{Envelope, Malformed};
use contracts::delivery::v1::{
    Delivery, DeliveryCancellationRefused, DeliveryCancelled, DeliveryCompleted, DeliveryStarted,
};
use contracts::money::v1::Money as MoneyMessage;
use contracts::payment::v1::{Payment, PaymentApproved, PaymentCancellationRequested, PaymentCancelled};
use contracts::product::v1::{Product, ProductCreated, ProductRepriced, StockRefused, StockTaken, Taking};
use order::offer::{Learn, Learned, Offer};
use order::policy::{offers, orders};
use prost::{Message, Name};

use super::*;

fn event<M: Message + Name>(message: &M) -> Envelope {
    Envelope {
        event_id: order_id().uuid(),
        kind: M::full_name(),
        source: String::new(),
        subject: String::new(),
        at: NOW,
        correlation_id: order_id().uuid(),
        causation_id: None,
        sequence: 4,
        traceparent: None,
        body: message.encode_to_vec(),
    }
}

fn paid(seller: &str, seller_reference: &str) -> Option<Payment> {
    let (payment_id, purchase_id) = (payment().to_string(), order_id().to_string());
    let (seller, seller_reference) = (seller.to_owned(), seller_reference.to_owned());
    Some(Payment { payment_id, purchase_id, seller, seller_reference, ..Payment::default() })
}

fn ours() -> Option<Payment> {
    paid("order", "")
}

#[track_caller]
fn check_policy(event: &Envelope, then: &[Command]) {
    assert!(orders().subscription().matches(&event.kind), "{} is not subscribed to", event.kind);
    let commands = orders().react(event).expect("the event is right");
    assert_eq!(commands, then.iter().map(|command| (order_id(), command.clone())).collect::<Vec<_>>());
}

#[track_caller]
fn check_malformed(event: &Envelope, then: &str) {
    let reaction = orders().react(event).map(|_| ()).and(offers().react(event).map(|_| ()));
    let reaction = reaction.map_err(|Malformed(what)| what);
    assert!(reaction.as_ref().is_err_and(|what| what.contains(then)), "{reaction:?}");
}

#[test]
fn o2_o7_each_event_of_a_payment_leads_to_its_command() {
    check_policy(&event(&PaymentApproved { payment: ours() }), &[Command::Place(payment())]);
    check_policy(&event(&PaymentCancellationRequested { payment: ours() }), &[Command::TakeBack]);
    check_policy(&event(&PaymentCancelled { payment: ours() }), &[Command::Drop]);
}

#[test]
fn o3_stock_confirms_or_rejects() {
    let taking = Some(Taking { order_id: order_id().to_string(), ..Taking::default() });
    check_policy(&event(&StockTaken { taking: taking.clone() }), &[Command::Confirm]);
    check_policy(&event(&StockRefused { taking }), &[Command::Reject]);
}

#[test]
fn o4_o5_each_event_of_a_delivery_leads_to_its_command() {
    let delivery = Some(Delivery { order_id: order_id().to_string(), ..Delivery::default() });
    check_policy(&event(&DeliveryStarted { delivery: delivery.clone() }), &[Command::Dispatch]);
    check_policy(&event(&DeliveryCompleted { delivery: delivery.clone() }), &[Command::Complete]);
    check_policy(&event(&DeliveryCancelled { delivery: delivery.clone() }), &[Command::Withdraw]);
    check_policy(&event(&DeliveryCancellationRefused { delivery }), &[Command::Dispatch]);
}

#[test]
fn a_payment_from_before_the_seller_field_is_recognized_by_its_reference() {
    let ours = paid("", &format!("order/{}", order_id()));
    check_policy(&event(&PaymentApproved { payment: ours }), &[Command::Place(payment())]);
}

#[test]
fn payments_of_other_sellers_are_not_ours() {
    let own = format!("order/{}", order_id());
    let sold_by = [("rental", ""), ("market", &*own), ("orders", "")];
    // Events from before the field `seller` existed are recognized by the reference alone.
    let known_by_reference =
        ["car/00000000-0000-4000-8000-000000000007", "stay/7", "", "orders/7"].map(|reference| ("", reference));
    for (seller, reference) in sold_by.into_iter().chain(known_by_reference) {
        check_policy(&event(&PaymentApproved { payment: paid(seller, reference) }), &[]);
        check_policy(&event(&PaymentCancellationRequested { payment: paid(seller, reference) }), &[]);
        check_policy(&event(&PaymentCancelled { payment: paid(seller, reference) }), &[]);
    }
}

#[test]
fn o2_an_offer_is_that_of_the_newest_event_of_its_product() {
    let offer = |minor, sequence| Offer { product_id: id(1), name: "Tent".to_owned(), price: won(minor), sequence };
    let price = Some(MoneyMessage { currency_code: "KRW".to_owned(), amount_minor: 120_000 });
    let (product_id, name) = (id::<OrderId>(1).to_string(), "Tent".to_owned());
    let product = Some(Product { product_id, name, price, ..Product::default() });
    for published in [event(&ProductCreated { product: product.clone() }), event(&ProductRepriced { product })] {
        assert!(offers().subscription().matches(&published.kind));
        assert_eq!(offers().react(&published).expect("the event is right"), [(id(1), Learn(offer(120_000, 4)))]);
    }
    let decide =
        |known: Option<&Offer>, learn: Offer| Offer::decide(known, &Learn(learn), NOW).expect("it never refuses");
    assert_eq!(decide(None, offer(1, 4)), [Learned(offer(1, 4))]);
    assert_eq!(decide(Some(&offer(1, 4)), offer(2, 5)), [Learned(offer(2, 5))]);
    assert_eq!(decide(Some(&offer(1, 4)), offer(2, 4)), []);
    assert_eq!(decide(Some(&offer(1, 4)), offer(2, 3)), []);
}

#[test]
fn an_event_that_breaks_its_contract_is_malformed() {
    check_malformed(&event(&PaymentApproved { payment: None }), "no payment");
    let unknown = ours().map(|payment| Payment { purchase_id: "tent".to_owned(), ..payment });
    check_malformed(&event(&PaymentApproved { payment: unknown }), "purchase_id");
    let nameless = ours().map(|payment| Payment { payment_id: String::new(), ..payment });
    check_malformed(&event(&PaymentCancelled { payment: nameless }), "payment_id");
    check_malformed(&event(&StockTaken { taking: None }), "no taking");
    check_malformed(&event(&StockRefused { taking: Some(Taking::default()) }), "order_id");
    check_malformed(&event(&DeliveryStarted { delivery: Some(Delivery::default()) }), "order_id");
    check_malformed(&event(&ProductCreated { product: None }), "no product");
    check_malformed(&event(&ProductRepriced { product: Some(Product::default()) }), "product_id");
}
