//! Every transition of a product, and every refusal, once.

use chassis::Refusal as _;
use chassis::error::RefusalCode;
use product::domain::MAX_STOCK;

use super::*;

#[test]
fn o1_a_product_is_created_once() {
    check(&[], create(5), Ok(&[created(5)]));
    check(&[created(5)], create(9), Ok(&[]));
}

#[test]
fn o1_stock_is_added_up_to_a_limit() {
    check(&[created(5)], Command::Add(3), Ok(&[Event::Added(3, NOW)]));
    check(&[created(0)], Command::Add(MAX_STOCK), Ok(&[Event::Added(MAX_STOCK, NOW)]));
    check(&[created(1)], Command::Add(MAX_STOCK), Err(Refusal::TooMuchStock));
    check(&[created(1)], Command::Add(u64::MAX), Err(Refusal::TooMuchStock));
}

#[test]
fn a_price_is_changed_if_it_is_another() {
    check(&[created(5)], Command::Reprice(won(100)), Ok(&[Event::Repriced(won(100), NOW)]));
    check(&[created(5)], Command::Reprice(won(120_000)), Ok(&[]));
}

#[test]
fn o3_an_order_takes_what_there_is_and_not_more() {
    check(&[created(5)], Command::Take(order(1), 5), Ok(&[Event::Taken(order(1), 5, NOW)]));
    check(&[created(5)], Command::Take(order(1), 6), Ok(&[Event::Refused(order(1), 6)]));
    let given = [created(5), Event::Taken(order(1), 3, NOW)];
    check(&given, Command::Take(order(2), 2), Ok(&[Event::Taken(order(2), 2, NOW)]));
    check(&given, Command::Take(order(2), 3), Ok(&[Event::Refused(order(2), 3)]));
}

#[test]
fn o3_a_repeated_order_takes_nothing() {
    let take = || Command::Take(order(1), 3);
    check(&[created(5), Event::Taken(order(1), 3, NOW)], take(), Ok(&[]));
    check(&[created(5), Event::Taken(order(1), 3, NOW), Event::Restored(order(1), 3, NOW)], take(), Ok(&[]));
    check(&[created(0), Event::Refused(order(1), 3), Event::Added(9, NOW)], take(), Ok(&[]));
}

#[test]
fn o5_a_cancelled_order_gives_back_what_it_took_once() {
    let restore = || Command::Restore(order(1), 3);
    let taken = [created(5), Event::Taken(order(1), 3, NOW)];
    check(&taken, restore(), Ok(&[Event::Restored(order(1), 3, NOW)]));
    check(&[&taken[..], &[Event::Restored(order(1), 3, NOW)]].concat(), restore(), Ok(&[]));
    check(&[created(0), Event::Refused(order(1), 3)], restore(), Ok(&[]));
}

#[test]
fn o5_an_order_whose_cancellation_arrives_first_takes_nothing() {
    check(&[created(5)], Command::Restore(order(1), 3), Ok(&[Event::Barred(order(1), 3)]));
    let barred = [created(5), Event::Barred(order(1), 3)];
    check(&barred, Command::Take(order(1), 3), Ok(&[]));
    check(&barred, Command::Restore(order(1), 3), Ok(&[]));
    assert_eq!(product(&barred).map(|product| product.stock), Some(5));
}

#[test]
fn x12_a_product_has_another_owner() {
    let transferred = Event::Transferred("sol".to_owned(), NOW);
    check(&[created(5)], Command::Transfer("sol".to_owned()), Ok(std::slice::from_ref(&transferred)));
    check(&[created(5), transferred.clone()], Command::Transfer("sol".to_owned()), Ok(&[]));
    assert_eq!(product(&[created(5), transferred]).map(|product| product.owner).as_deref(), Some("sol"));
}

#[test]
fn a_product_that_was_not_created_is_not_found() {
    for command in
        [Command::Reprice(won(1)), Command::Add(1), Command::Take(order(1), 1), Command::Restore(order(1), 1)]
    {
        check(&[], command, Err(Refusal::NoSuchProduct));
    }
}

#[test]
fn every_refusal_has_its_reason() {
    for (refusal, code, reason) in [
        (Refusal::NoSuchProduct, RefusalCode::NotFound, "PRODUCT_NOT_FOUND"),
        (Refusal::TooMuchStock, RefusalCode::Precondition, "TOO_MUCH_STOCK"),
    ] {
        assert_eq!((refusal.code(), refusal.reason()), (code, reason));
    }
}
