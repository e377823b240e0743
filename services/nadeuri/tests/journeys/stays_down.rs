//! Stays while contexts are down, with one process per context.

use contracts::payment::v1::PaymentState;
use contracts::resort::v1::Resort;
use contracts::stay::v1::{Stay, StayState};
use contracts::voucher::v1::VoucherState;
use tokio::sync::MutexGuard;

use crate::breakers::PeerClient;
use crate::runner::{Suite, journeys};
use crate::support::client::{Client, Who};
use crate::support::cluster::Cluster;
use crate::support::stand_in::Behaviour;
use crate::support::stays::nights;
use crate::support::{GOOD_CARD, PATIENCE, eventually_within};

type Fragile = MutexGuard<'static, Option<Cluster>>;

pub fn add(suite: &mut Suite) {
    journeys! { suite.fragile:
        r11_with_payment_voucher_and_mypage_down_reservations_are_taken,
        r12_with_resort_hanging_or_down_the_breaker_opens_and_customers_come_back_later,
        r12_with_resort_overloaded_the_breaker_opens_and_customers_come_back_later,
        x1_a_stay_whose_contexts_stop_in_between_ends_completed_or_compensated,
        x6_two_replicas_of_the_resort_line_handle_each_event_once,
    }
}

async fn r11_with_payment_voucher_and_mypage_down_reservations_are_taken(mut app: Fragile) {
    let app = app.as_mut().expect("it runs");
    let mina = app.by("mina");
    let villa = app.client(Who::resort_staff()).new_villa("Sea View", 90_000).await;
    app.stop("payment").await;
    app.kill("voucher");
    app.stop("mypage").await;
    let stay = mina.book(&villa, nights(10, 2)).await.unwrap();
    let other = mina.book(&villa, nights(20, 2)).await.unwrap();
    mina.cancel_stay(&other).await.unwrap();
    app.start("payment").await;
    mina.pay_stay(&stay).await;
    mina.sees_stay_payment(&other, PaymentState::Cancelled).await;
    app.start("voucher").await;
    mina.sees_voucher(&stay, VoucherState::Sent).await;
    app.start("mypage").await;
    mina.sees_stay_page(&stay, StayState::Confirmed, PaymentState::Approved, VoucherState::Sent).await;
    let nothing = VoucherState::Unspecified;
    mina.sees_stay_page(&other, StayState::Cancelled, PaymentState::Cancelled, nothing).await;
}

const BOOK: PeerClient = PeerClient { caller: "stay", peer: "resort", reason: "RESORT_AWAY" };

async fn r12_with_resort_hanging_or_down_the_breaker_opens_and_customers_come_back_later(mut app: Fragile) {
    let app = app.as_mut().expect("it runs");
    let mina = app.by("mina");
    let villa = app.client(Who::resort_staff()).new_villa("Sea View", 90_000).await;
    let paid = mina.book(&villa, nights(20, 2)).await.unwrap();
    let peer = BOOK.stand_in(app, Behaviour::Hangs).await;
    BOOK.opens_when_calls_hang(&peer, async || mina.book(&villa, nights(10, 2)).await).await;
    peer.leave().await;
    for _ in 0..28 {
        BOOK.is_away(mina.book(&villa, nights(10, 2)).await);
    }
    reserving_later_works(app, &mina, &villa, &paid).await;
}

async fn r12_with_resort_overloaded_the_breaker_opens_and_customers_come_back_later(mut app: Fragile) {
    let app = app.as_mut().expect("it runs");
    let mina = app.by("mina");
    let villa = app.client(Who::resort_staff()).new_villa("Sea View", 90_000).await;
    let paid = mina.book(&villa, nights(20, 2)).await.unwrap();
    let peer = BOOK.stand_in(app, Behaviour::Overloaded).await;
    BOOK.opens_when_overloaded(&peer, async || mina.book(&villa, nights(10, 2)).await).await;
    peer.leave().await;
    reserving_later_works(app, &mina, &villa, &paid).await;
}

/// Reserved stays are paid and confirmed while `resort` is down. Others reserve when it is back.
async fn reserving_later_works(app: &mut Cluster, mina: &Client, villa: &Resort, paid: &Stay) {
    mina.pay_stay(paid).await;
    app.start("resort").await;
    let reserving = async || mina.book(villa, nights(10, 2)).await.ok();
    let stay = eventually_within(PATIENCE * 2, "reserving works again", reserving).await;
    assert_eq!(stay.state(), StayState::Reserved);
    assert_eq!(mina.resort(villa).await.occupied.len(), 2, "failed attempts hold no nights");
}

async fn x1_a_stay_whose_contexts_stop_in_between_ends_completed_or_compensated(mut app: Fragile) {
    let app = app.as_mut().expect("it runs");
    let mina = app.by("mina");
    let villa = app.client(Who::resort_staff()).new_villa("Sea View", 90_000).await;

    // Paid while `stay` is down: it is confirmed when it is back.
    let paid = mina.book(&villa, nights(10, 1)).await.unwrap();
    let payment = mina.sees_stay_payment(&paid, PaymentState::Requested).await;
    app.kill("stay");
    mina.charge(&payment.payment_id, GOOD_CARD).await.unwrap();
    app.start("stay").await;
    mina.sees_stay(&paid, StayState::Confirmed).await;

    // The payment is cancelled while `stay` is down: the stay is cancelled when it is back, and only then refunded.
    app.kill("stay");
    assert_eq!(mina.cancel_payment(&payment.payment_id).await.unwrap().state(), PaymentState::Cancelling);
    app.start("stay").await;
    mina.sees_stay(&paid, StayState::Cancelled).await;
    assert!(mina.sees_stay_payment(&paid, PaymentState::Cancelled).await.refunded);
    mina.sees_voucher(&paid, VoucherState::Deactivated).await;

    // Cancelled while `payment`, `voucher` and `resort` are down: refunded, deactivated and released when they are
    // back.
    let stay = mina.book(&villa, nights(20, 1)).await.unwrap();
    mina.pay_stay(&stay).await;
    mina.sees_voucher(&stay, VoucherState::Sent).await;
    for context in ["payment", "voucher", "resort"] {
        app.kill(context);
    }
    mina.cancel_stay(&stay).await.unwrap();
    app.up().await;
    assert!(mina.sees_stay_payment(&stay, PaymentState::Cancelled).await.refunded);
    mina.sees_voucher(&stay, VoucherState::Deactivated).await;
    mina.sees_stay_page(&stay, StayState::Cancelled, PaymentState::Cancelled, VoucherState::Deactivated).await;
    let again = async || app.by("jun").book(&villa, nights(20, 1)).await.ok();
    eventually_within(PATIENCE * 2, "the night is free again", again).await;
}

async fn x6_two_replicas_of_the_resort_line_handle_each_event_once(mut app: Fragile) {
    let app = app.as_mut().expect("it runs");
    for context in ["resort", "stay", "voucher", "notification", "mypage"] {
        app.replicate(context).await;
    }
    let villa = app.client(Who::resort_staff()).new_villa("Sea View", 90_000).await;
    let customers: Vec<_> = (0..8).map(|number| app.by(&format!("g{number}"))).collect();
    let stays = customers.iter().zip(0..).map(|(customer, number)| {
        let villa = villa.clone();
        async move {
            let stay = customer.book(&villa, nights(10 + 2 * number, 2)).await.unwrap();
            customer.pay_stay(&stay).await
        }
    });
    let stays = futures::future::join_all(stays).await;
    for (customer, stay) in customers.iter().zip(&stays) {
        customer.sees_stay_page(stay, StayState::Confirmed, PaymentState::Approved, VoucherState::Sent).await;
        customer.is_notified_of_flow(&stay.stay_id, &["STAY_RESERVED", "STAY_CONFIRMED", "VOUCHER_ISSUED"]).await;
    }
    app.stop_replicas().await;
}
