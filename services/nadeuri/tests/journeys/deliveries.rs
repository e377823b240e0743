//! Deliveries of orders: couriers, cancellation, and the read model of customers.

use std::sync::Arc;

use contracts::delivery::v1::{DeliveryState, ListDeliveriesRequest};
use contracts::mypage::v1 as mypage;
use contracts::order::v1::{CancellationCause, OrderState};
use contracts::payment::v1::PaymentState;
use tonic::Code;

use crate::runner::{Suite, journeys};
use crate::support::client::Who;
use crate::support::cluster::Cluster;
use crate::support::orders::ADDRESS;
use crate::support::verbs::won;
use crate::support::{new_id, precondition, reason, refused};

pub fn add(suite: &mut Suite) {
    journeys! { suite.journey:
        o4_one_courier_starts_and_completes_a_delivery,
        o5_an_order_that_waits_for_its_courier_is_cancelled,
        o5_once_the_delivery_has_started_it_is_too_late,
        o5_a_cancellation_that_crosses_the_start_has_one_outcome_for_all,
        o6_mypage_shows_order_payment_and_delivery_and_each_change_is_notified,
    }
}

async fn o4_one_courier_starts_and_completes_a_delivery(app: Arc<Cluster>) {
    let mina = app.by("mina");
    let (kim, lee) = (app.client(Who::courier("kim")), app.client(Who::courier("lee")));
    let tent = app.client(Who::shop_staff()).new_product("Tent", 120_000, 5).await;
    let order = mina.order(&tent, 1).await.unwrap();
    let delivery = kim.sees_delivery(&order).await;
    precondition(kim.complete(&delivery).await, "DELIVERY_NOT_STARTED");
    let (one, other) = tokio::join!(kim.start(&delivery), lee.start(&delivery));
    let (winner, loser, started) = match (one, other) {
        (Ok(started), Err(status)) => {
            assert_eq!(reason(&status), "DELIVERY_TAKEN");
            (&kim, &lee, started)
        }
        (Err(status), Ok(started)) => {
            assert_eq!(reason(&status), "DELIVERY_TAKEN");
            (&lee, &kim, started)
        }
        both => panic!("exactly one gets it: {both:?}"),
    };
    assert_eq!(started.state(), DeliveryState::Started);
    assert_eq!(winner.start(&delivery).await.unwrap(), started, "a repetition changes nothing");
    refused(loser.delivery(&delivery).await, Code::NotFound, "DELIVERY_NOT_FOUND");
    refused(loser.complete(&delivery).await, Code::NotFound, "DELIVERY_NOT_FOUND");
    let theirs = ListDeliveriesRequest { page_size: 1_000, state: DeliveryState::Started.into(), ..Default::default() };
    let has = |listed: Vec<contracts::delivery::v1::Delivery>| listed.iter().any(|it| it.order_id == order.order_id);
    assert!(has(winner.send(theirs.clone()).await.unwrap().deliveries));
    assert!(!has(loser.send(theirs.clone()).await.unwrap().deliveries));
    assert!(has(app.admin().send(theirs).await.unwrap().deliveries));
    mina.sees_order(&order, OrderState::Delivering).await;
    let completed = winner.complete(&delivery).await.unwrap();
    assert_eq!(completed.state(), DeliveryState::Completed);
    mina.sees_order(&order, OrderState::Delivered).await;
    mina.sees_order_payment(&order.order_id, PaymentState::Settled).await;
    let unknown = contracts::delivery::v1::Delivery { delivery_id: new_id(), ..delivery.clone() };
    refused(kim.start(&unknown).await, Code::NotFound, "DELIVERY_NOT_FOUND");
    refused(mina.start(&delivery).await, Code::PermissionDenied, "ROLE_MISSING");
}

async fn o5_an_order_that_waits_for_its_courier_is_cancelled(app: Arc<Cluster>) {
    let (mina, kim) = (app.by("mina"), app.client(Who::courier("kim")));
    let tent = app.client(Who::shop_staff()).new_product("Tent", 120_000, 5).await;
    // Immediately, in whatever state it is.
    let order = mina.order(&tent, 2).await.unwrap();
    mina.cancel_order(&order).await.unwrap();
    let cancelled = mina.sees_order(&order, OrderState::Cancelled).await;
    assert_eq!(cancelled.cancellation_cause(), CancellationCause::Customer);
    assert!(mina.sees_order_payment(&order.order_id, PaymentState::Cancelled).await.refunded);
    mina.sees_stock(&tent, 5).await;

    // After its delivery is prepared.
    let order = mina.order(&tent, 2).await.unwrap();
    let delivery = kim.sees_delivery(&order).await;
    mina.sees_stock(&tent, 3).await;
    let asked = mina.cancel_order(&order).await.unwrap();
    assert_eq!((asked.state(), asked.cancellation_cause()), (OrderState::Cancelling, CancellationCause::Customer));
    mina.sees_order(&order, OrderState::Cancelled).await;
    assert!(mina.sees_order_payment(&order.order_id, PaymentState::Cancelled).await.refunded);
    mina.sees_stock(&tent, 5).await;
    precondition(kim.start(&delivery).await, "DELIVERY_CANCELLED");
    refused(kim.delivery(&delivery).await, Code::NotFound, "DELIVERY_NOT_FOUND");
    assert_eq!(app.admin().delivery(&delivery).await.unwrap().state(), DeliveryState::Cancelled);
    let topics = ["ORDER_PLACED", "ORDER_CONFIRMED", "ORDER_CANCELLED", "PAYMENT_REFUNDED"];
    mina.is_notified_of_flow(&order.order_id, &topics).await;
    assert_eq!(mina.cancel_order(&order).await.unwrap().state(), OrderState::Cancelled);
}

async fn o5_once_the_delivery_has_started_it_is_too_late(app: Arc<Cluster>) {
    let (mina, kim) = (app.by("mina"), app.client(Who::courier("kim")));
    let tent = app.client(Who::shop_staff()).new_product("Tent", 120_000, 5).await;
    let order = mina.order(&tent, 2).await.unwrap();
    let delivery = kim.sees_delivery(&order).await;
    kim.start(&delivery).await.unwrap();
    mina.sees_order(&order, OrderState::Delivering).await;
    precondition(mina.cancel_order(&order).await, "DELIVERY_STARTED");
    kim.complete(&delivery).await.unwrap();
    mina.sees_order(&order, OrderState::Delivered).await;
    precondition(mina.cancel_order(&order).await, "ORDER_DELIVERED");
    mina.sees_order_payment(&order.order_id, PaymentState::Settled).await;
    assert_eq!(mina.product(&tent).await.unwrap().stock, 3);
}

async fn o5_a_cancellation_that_crosses_the_start_has_one_outcome_for_all(app: Arc<Cluster>) {
    let (mina, kim) = (app.by("mina"), app.client(Who::courier("kim")));
    let tent = app.client(Who::shop_staff()).new_product("Tent", 120_000, 20).await;
    for _ in 0..8 {
        let order = mina.order(&tent, 1).await.unwrap();
        let delivery = kim.sees_delivery(&order).await;
        mina.sees_order(&order, OrderState::Confirmed).await;
        let (asked, started) = tokio::join!(mina.cancel_order(&order), kim.start(&delivery));
        if started.is_ok() {
            // It was too late, whether the response said so or an event.
            mina.sees_order_page(&order, OrderState::Delivering, PaymentState::Approved, DeliveryState::Started).await;
            let asked = asked.map(|order| order.state());
            assert!(
                matches!(&asked, Ok(OrderState::Cancelling))
                    || reason(asked.as_ref().unwrap_err()) == "DELIVERY_STARTED"
            );
            let mut topics = vec!["ORDER_PLACED", "ORDER_CONFIRMED", "DELIVERY_STARTED"];
            topics.extend(asked.is_ok().then_some("ORDER_CANCELLATION_REFUSED"));
            mina.is_notified_of_flow(&order.order_id, &topics).await;
        } else {
            precondition(started, "DELIVERY_CANCELLED");
            let (order_state, payment) = (OrderState::Cancelled, PaymentState::Cancelled);
            mina.sees_order_page(&order, order_state, payment, DeliveryState::Cancelled).await;
        }
    }
}

async fn o6_mypage_shows_order_payment_and_delivery_and_each_change_is_notified(app: Arc<Cluster>) {
    let (mina, jun, kim) = (app.by("mina"), app.by("jun"), app.client(Who::courier("kim")));
    let tent = app.client(Who::shop_staff()).new_product("Tent", 120_000, 5).await;
    let order = mina.order(&tent, 2).await.unwrap();
    let delivery = kim.sees_delivery(&order).await;
    let paid = PaymentState::Approved;
    let page = mina.sees_order_page(&order, OrderState::Confirmed, paid, DeliveryState::Prepared).await;
    assert_eq!((page.delivery_id, page.payment_id), (delivery.delivery_id.clone(), order.payment_id.clone()));
    assert_eq!((page.price, page.quantity, page.address.as_str()), (Some(won(240_000)), 2, ADDRESS));
    assert_eq!((page.start_time, page.complete_time, page.cancel_time), (None, None, None));
    kim.start(&delivery).await.unwrap();
    mina.sees_order_page(&order, OrderState::Delivering, paid, DeliveryState::Started).await;
    kim.complete(&delivery).await.unwrap();
    let (settled, completed) = (PaymentState::Settled, DeliveryState::Completed);
    let page = mina.sees_order_page(&order, OrderState::Delivered, settled, completed).await;
    assert!(page.start_time.is_some() && page.complete_time.is_some());
    let topics = ["ORDER_PLACED", "ORDER_CONFIRMED", "DELIVERY_STARTED", "DELIVERY_COMPLETED"];
    mina.is_notified_of_flow(&order.order_id, &topics).await;
    refused(jun.order_page(&order.order_id).await, Code::NotFound, "ORDER_NOT_FOUND");
    let own = mina.send(mypage::ListOrdersRequest { page_size: 1_000, ..Default::default() }).await.unwrap().orders;
    assert!(own.iter().all(|page| page.customer_id == "mina") && own.contains(&page));
}
