//! Orders while contexts are down, with one process per context.

use contracts::delivery::v1::DeliveryState;
use contracts::order::v1::{CancellationCause, CreateOrderRequest, ListOrdersRequest, OrderState};
use contracts::payment::v1::PaymentState;
use contracts::product::v1::Product;
use tokio::sync::MutexGuard;

use crate::breakers::PeerClient;
use crate::runner::{Suite, journeys};
use crate::support::client::{Client, Who};
use crate::support::cluster::Cluster;
use crate::support::orders::order_request;
use crate::support::stand_in::Behaviour;
use crate::support::{GOOD_CARD, PATIENCE, eventually_within, new_id};

type Fragile = MutexGuard<'static, Option<Cluster>>;

pub fn add(suite: &mut Suite) {
    journeys! { suite.fragile:
        o2_with_payment_hanging_or_down_nothing_is_ordered_and_ordering_later_works,
        o2_with_payment_overloaded_nothing_is_ordered_and_ordering_later_works,
        o3_with_product_down_orders_are_taken_and_compensated_when_it_is_back,
        o4_with_order_down_deliveries_go_on,
        o5_with_delivery_down_orders_are_taken_and_cancelled,
        x1_an_order_whose_contexts_stop_in_between_ends_completed_or_compensated,
        x6_two_replicas_of_the_order_line_handle_each_event_once,
    }
}

const ORDER: PeerClient = PeerClient { caller: "order", peer: "payment", reason: "PAYMENT_AWAY" };

async fn o2_with_payment_hanging_or_down_nothing_is_ordered_and_ordering_later_works(mut app: Fragile) {
    let app = app.as_mut().expect("it runs");
    let mina = app.by(&format!("mina-{}", new_id()));
    let tent = app.client(Who::shop_staff()).new_product("Tent", 120_000, 5).await;
    mina.order(&tent, 1).await.unwrap();
    let request = order_request(&tent, 2, GOOD_CARD);
    let peer = ORDER.stand_in(app, Behaviour::Hangs).await;
    // One customer retries, the others call once each.
    ORDER.is_away(mina.order_so(request.clone()).await);
    ORDER.opens_when_calls_hang(&peer, async || mina.order_so(order_request(&tent, 2, GOOD_CARD)).await).await;
    peer.leave().await;
    for _ in 0..28 {
        ORDER.is_away(mina.order_so(request.clone()).await);
    }
    ordering_later_works(app, &mina, &tent, request).await;
}

async fn o2_with_payment_overloaded_nothing_is_ordered_and_ordering_later_works(mut app: Fragile) {
    let app = app.as_mut().expect("it runs");
    let mina = app.by(&format!("mina-{}", new_id()));
    let tent = app.client(Who::shop_staff()).new_product("Tent", 120_000, 5).await;
    mina.order(&tent, 1).await.unwrap();
    let request = order_request(&tent, 2, GOOD_CARD);
    let peer = ORDER.stand_in(app, Behaviour::Overloaded).await;
    ORDER.opens_when_overloaded(&peer, async || mina.order_so(request.clone()).await).await;
    peer.leave().await;
    ordering_later_works(app, &mina, &tent, request).await;
}

/// There is no order while `payment` is down. When it is back, the repeated request makes one order.
async fn ordering_later_works(app: &mut Cluster, mina: &Client, tent: &Product, request: CreateOrderRequest) {
    assert_eq!(mina.send(ListOrdersRequest::default()).await.unwrap().orders.len(), 1, "there is no order yet");
    app.start("payment").await;
    let ordering = async || mina.order_so(request.clone()).await.ok();
    let order = eventually_within(PATIENCE * 2, "ordering works again", ordering).await;
    mina.sees_order(&order, OrderState::Confirmed).await;
    mina.sees_stock(tent, 2).await;
    assert_eq!(mina.send(ListOrdersRequest::default()).await.unwrap().orders.len(), 2, "all attempts make one order");
}

async fn o3_with_product_down_orders_are_taken_and_compensated_when_it_is_back(mut app: Fragile) {
    let app = app.as_mut().expect("it runs");
    let (mina, jun) = (app.by("mina"), app.by("jun"));
    let tent = app.client(Who::shop_staff()).new_product("Tent", 120_000, 2).await;
    mina.order(&tent, 1).await.unwrap();
    mina.sees_stock(&tent, 1).await;
    app.kill("product");
    let first = mina.order(&tent, 1).await.unwrap();
    let second = jun.order(&tent, 1).await.unwrap();
    let undone = mina.order(&tent, 1).await.unwrap();
    assert_eq!(first.state(), OrderState::Placed);
    assert_eq!(mina.cancel_order(&undone).await.unwrap().state(), OrderState::Cancelled, "at once: it has no stock");
    app.start("product").await;
    let (one, other) = tokio::join!(
        eventually_within(PATIENCE, "it is decided", async || {
            mina.order_of(&first.order_id).await.ok().filter(|order| order.state() != OrderState::Placed)
        }),
        eventually_within(PATIENCE, "it is decided", async || {
            jun.order_of(&second.order_id).await.ok().filter(|order| order.state() != OrderState::Placed)
        }),
    );
    let mut states = [(one.state(), one.cancellation_cause()), (other.state(), other.cancellation_cause())];
    states.sort();
    let right = [
        (OrderState::Confirmed, CancellationCause::Unspecified),
        (OrderState::Cancelled, CancellationCause::OutOfStock),
    ];
    assert_eq!(states, right, "one of them got the last one");
    let (loser, lost) = if one.state() == OrderState::Cancelled { (&mina, one) } else { (&jun, other) };
    assert!(loser.sees_order_payment(&lost.order_id, PaymentState::Cancelled).await.refunded);
    assert!(mina.sees_order_payment(&undone.order_id, PaymentState::Cancelled).await.refunded);
    mina.sees_stock(&tent, 0).await;
}

async fn o4_with_order_down_deliveries_go_on(mut app: Fragile) {
    let app = app.as_mut().expect("it runs");
    let (mina, kim) = (app.by("mina"), app.client(Who::courier("kim")));
    let tent = app.client(Who::shop_staff()).new_product("Tent", 120_000, 5).await;
    let order = mina.order(&tent, 1).await.unwrap();
    let delivery = kim.sees_delivery(&order).await;
    app.kill("order");
    kim.start(&delivery).await.unwrap();
    kim.complete(&delivery).await.unwrap();
    let topics = ["ORDER_PLACED", "ORDER_CONFIRMED", "DELIVERY_STARTED", "DELIVERY_COMPLETED"];
    mina.is_notified_of_flow(&order.order_id, &topics).await;
    // `payment` does not know deliveries: a cancellation waits for `order`, which refuses it.
    assert_eq!(mina.cancel_payment(&order.payment_id).await.unwrap().state(), PaymentState::Cancelling);
    app.start("order").await;
    mina.sees_order(&order, OrderState::Delivered).await;
    mina.sees_order_payment(&order.order_id, PaymentState::Settled).await;
}

async fn o5_with_delivery_down_orders_are_taken_and_cancelled(mut app: Fragile) {
    let app = app.as_mut().expect("it runs");
    let (mina, kim) = (app.by("mina"), app.client(Who::courier("kim")));
    let tent = app.client(Who::shop_staff()).new_product("Tent", 120_000, 5).await;
    let late = mina.order(&tent, 1).await.unwrap();
    let delivery = kim.sees_delivery(&late).await;
    kim.start(&delivery).await.unwrap();
    mina.sees_order(&late, OrderState::Delivering).await;
    app.kill("delivery");
    let (kept, dropped) = (mina.order(&tent, 1).await.unwrap(), mina.order(&tent, 2).await.unwrap());
    mina.sees_order(&kept, OrderState::Confirmed).await;
    mina.sees_order(&dropped, OrderState::Confirmed).await;
    assert_eq!(mina.cancel_order(&dropped).await.unwrap().state(), OrderState::Cancelling);
    app.start("delivery").await;
    kim.sees_delivery(&kept).await;
    mina.sees_order(&dropped, OrderState::Cancelled).await;
    assert!(mina.sees_order_payment(&dropped.order_id, PaymentState::Cancelled).await.refunded);
    mina.sees_stock(&tent, 3).await;
    kim.complete(&delivery).await.unwrap();
    mina.sees_order(&late, OrderState::Delivered).await;
}

async fn x1_an_order_whose_contexts_stop_in_between_ends_completed_or_compensated(mut app: Fragile) {
    let app = app.as_mut().expect("it runs");
    let (mina, kim) = (app.by("mina"), app.client(Who::courier("kim")));
    let tent = app.client(Who::shop_staff()).new_product("Tent", 120_000, 5).await;
    let order = mina.order(&tent, 1).await.unwrap();
    kim.sees_delivery(&order).await;
    mina.sees_order(&order, OrderState::Confirmed).await;

    // The payment is cancelled while `order` is down: the order is cancelled when it is back, and only then refunded.
    app.kill("order");
    assert_eq!(mina.cancel_payment(&order.payment_id).await.unwrap().state(), PaymentState::Cancelling);
    app.start("order").await;
    mina.sees_order_page(&order, OrderState::Cancelled, PaymentState::Cancelled, DeliveryState::Cancelled).await;
    mina.sees_stock(&tent, 5).await;

    // Cancelled while all others are down: refunded and restocked when they are back.
    let order = mina.order(&tent, 1).await.unwrap();
    kim.sees_delivery(&order).await;
    mina.sees_order(&order, OrderState::Confirmed).await;
    for context in ["payment", "product", "delivery", "mypage"] {
        app.kill(context);
    }
    assert_eq!(mina.cancel_order(&order).await.unwrap().state(), OrderState::Cancelling);
    app.up().await;
    mina.sees_order_page(&order, OrderState::Cancelled, PaymentState::Cancelled, DeliveryState::Cancelled).await;
    assert!(mina.sees_order_payment(&order.order_id, PaymentState::Cancelled).await.refunded);
    mina.sees_stock(&tent, 5).await;
}

async fn x6_two_replicas_of_the_order_line_handle_each_event_once(mut app: Fragile) {
    let app = app.as_mut().expect("it runs");
    for context in ["product", "order", "delivery", "notification"] {
        app.replicate(context).await;
    }
    let tent = app.client(Who::shop_staff()).new_product("Tent", 120_000, 6).await;
    app.by("mina").order(&tent, 1).await.unwrap();
    let orders = (0..8).map(|number| {
        let (customer, kim, tent) = (app.by(&format!("s{number}")), app.client(Who::courier("kim")), tent.clone());
        async move {
            let order = customer.order(&tent, 1).await.unwrap();
            let decided = eventually_within(PATIENCE, "it is decided", async || {
                customer.order_of(&order.order_id).await.ok().filter(|order| order.state() != OrderState::Placed)
            });
            if decided.await.state() == OrderState::Cancelled {
                let topics = ["ORDER_PLACED", "ORDER_CANCELLED", "PAYMENT_REFUNDED"];
                customer.is_notified_of_flow(&order.order_id, &topics).await;
                return 0;
            }
            let delivery = kim.sees_delivery(&order).await;
            kim.start(&delivery).await.unwrap();
            kim.complete(&delivery).await.unwrap();
            let topics = ["ORDER_PLACED", "ORDER_CONFIRMED", "DELIVERY_STARTED", "DELIVERY_COMPLETED"];
            customer.is_notified_of_flow(&order.order_id, &topics).await;
            1
        }
    });
    let got: i32 = futures::future::join_all(orders).await.into_iter().sum();
    assert_eq!(got, 5, "exactly the stock");
    app.stop_replicas().await;
}
