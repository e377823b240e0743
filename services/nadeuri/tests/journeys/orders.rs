//! Orders of the shop: stock, prices, payment, cancellation and delivery.

use std::sync::Arc;
use std::time::Duration;

use contracts::delivery::v1::{
    CompleteDeliveryRequest, DeliveryState, GetDeliveryRequest, ListDeliveriesRequest, StartDeliveryRequest,
};
use contracts::mypage::v1 as mypage;
use contracts::order::v1::{
    CancelOrderRequest, CancellationCause, CreateOrderRequest, GetOrderRequest, ListOrdersRequest, Order, OrderState,
};
use contracts::payment::v1::{ListPaymentsRequest, PaymentState};
use contracts::product::v1::{
    AddStockRequest, CreateProductRequest, GetProductRequest, ListProductsRequest, Product, RepriceProductRequest,
    TransferProductRequest,
};
use tonic::Code;

use crate::runner::{Suite, journeys};
use crate::support::client::{Client, Who};
use crate::support::cluster::{Cluster, Setup};
use crate::support::orders::{ADDRESS, order_request};
use crate::support::verbs::won;
use crate::support::{BAD_CARD, GOOD_CARD, eventually, new_id, precondition, reason, refused, retry_delay, wrong};

pub fn add(suite: &mut Suite) {
    journeys! { suite.journey:
        o1_a_manager_adds_products_and_stock,
        o2_an_order_is_paid_in_the_same_call_at_the_servers_price,
        o2_an_order_at_another_price_than_the_customer_saw_is_not_charged,
        o2_an_order_whose_payment_was_declined_does_not_exist,
        o2_a_repeated_request_orders_and_charges_once,
        o3_a_paid_order_takes_the_stock_and_is_to_be_delivered,
        o3_an_order_cancelled_during_its_payment_is_shown_as_cancelled,
        o3_out_of_stock_after_payment_is_refunded_and_notified,
        o3_two_hundred_customers_never_take_more_than_the_stock,
        o7_a_declined_order_is_paid_through_payment,
        o7_cancelling_the_payment_cancels_the_order,
        x11_staff_cancel_an_order_for_a_customer,
        x12_a_product_is_changed_by_its_owner,
        hostile_shop_requests_name_every_wrong_field,
    }
    journeys! { suite.own:
        o2_an_order_is_placed_by_a_late_response_to_its_payment,
        o2_an_order_that_is_not_paid_in_time_lapses,
        o6_the_read_model_of_orders_is_rebuilt_from_the_events,
    }
}

/// The one payment of a customer who has only one.
async fn only_payment(customer: &Client) -> contracts::payment::v1::Payment {
    let payments = customer.send(ListPaymentsRequest::default()).await.unwrap().payments;
    assert_eq!(payments.len(), 1, "{payments:?}");
    payments.into_iter().next().unwrap()
}

async fn o1_a_manager_adds_products_and_stock(app: Arc<Cluster>) {
    let (manager, mina) = (app.client(Who::shop_staff()), app.by("mina"));
    let tent = manager.new_product("Tent", 120_000, 3).await;
    assert_eq!((tent.stock, tent.price.clone(), tent.name.as_str()), (3, Some(won(120_000)), "Tent"));
    let request = AddStockRequest { request_id: new_id(), product_id: tent.product_id.clone(), quantity: 7 };
    for _ in 0..3 {
        assert_eq!(manager.send(request.clone()).await.unwrap().product.unwrap().stock, 10, "once, however often");
    }
    assert_eq!(mina.product(&tent).await.unwrap().stock, 10);
    precondition(manager.add_stock(&tent, 1_000_000_000).await, "TOO_MUCH_STOCK");
    let price = Some(won(99_000));
    let request = RepriceProductRequest { product_id: tent.product_id.clone(), price, ..Default::default() };
    assert_eq!(manager.send(request.clone()).await.unwrap().product.unwrap().price, Some(won(99_000)));
    eventually("orders have the new price", async || {
        let order = mina.order(&tent, 1).await.ok()?;
        (order.price == Some(won(99_000))).then_some(())
    })
    .await;

    let listed = eventually("it is listed", async || {
        let (mut page_token, mut all) = (String::new(), Vec::new());
        loop {
            let page = mina.send(ListProductsRequest { page_size: 2, page_token }).await.ok()?;
            all.extend(page.products);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break all.into_iter().find(|product: &Product| product.product_id == tent.product_id);
            }
        }
    });
    assert_eq!(listed.await.name, "Tent");
    let nothing = Product { product_id: new_id(), ..tent.clone() };
    refused(mina.product(&nothing).await, Code::NotFound, "PRODUCT_NOT_FOUND");
    refused(manager.add_stock(&nothing, 1).await, Code::NotFound, "PRODUCT_NOT_FOUND");
    refused(mina.add_stock(&tent, 1).await, Code::PermissionDenied, "ROLE_MISSING");
    refused(mina.send(request).await, Code::PermissionDenied, "ROLE_MISSING");
    let create = CreateProductRequest { product: Some(tent), ..Default::default() };
    refused(mina.send(create).await, Code::PermissionDenied, "ROLE_MISSING");
}

async fn o2_an_order_is_paid_in_the_same_call_at_the_servers_price(app: Arc<Cluster>) {
    let (mina, jun) = (app.by("mina"), app.by("jun"));
    let tent = app.client(Who::shop_staff()).new_product("Tent", 120_000, 10).await;
    let order = mina.order(&tent, 2).await.unwrap();
    assert_eq!((order.price.clone(), order.quantity, order.address.as_str()), (Some(won(240_000)), 2, ADDRESS));
    assert_eq!((order.product_name.as_str(), order.customer_id.as_str()), ("Tent", "mina"));
    let payment = mina.payment(&order.payment_id).await.unwrap();
    assert_eq!((payment.state(), payment.amount.clone()), (PaymentState::Approved, Some(won(240_000))));
    assert_eq!(payment.purchase_id, order.order_id);

    refused(jun.order_of(&order.order_id).await, Code::NotFound, "ORDER_NOT_FOUND");
    refused(jun.cancel_order(&order).await, Code::NotFound, "ORDER_NOT_FOUND");
    assert_eq!(app.admin().order_of(&order.order_id).await.unwrap().order_id, order.order_id);
    let unknown = CreateOrderRequest { product_id: new_id(), ..order_request(&tent, 1, GOOD_CARD) };
    refused(mina.send(unknown).await, Code::NotFound, "PRODUCT_NOT_FOUND");
    let palace = app.client(Who::shop_staff()).new_product("Palace", 1_000_000_000_000, 10).await;
    precondition(mina.order(&palace, 2).await, "PRICE_TOO_HIGH");
}

async fn o2_an_order_at_another_price_than_the_customer_saw_is_not_charged(app: Arc<Cluster>) {
    let (manager, mina) = (app.client(Who::shop_staff()), app.by(&format!("mina-{}", new_id())));
    let tent = manager.new_product("Tent", 19_000, 10).await;
    let seen = |price| CreateOrderRequest { expected_price: Some(won(price)), ..order_request(&tent, 2, GOOD_CARD) };
    precondition(mina.order_so(seen(19_000)).await, "PRICE_CHANGED");
    let (product_id, price) = (tent.product_id.clone(), Some(won(99_000)));
    manager.send(RepriceProductRequest { product_id, price, ..Default::default() }).await.unwrap();
    let changed = async || {
        let refused = mina.order_so(CreateOrderRequest { quantity: 1_000, ..seen(19_000_001) }).await;
        let status = refused.expect_err("nobody pays what they did not see");
        assert_eq!(reason(&status), "PRICE_CHANGED");
        status.message().contains("99000000 KRW").then_some(())
    };
    eventually("the new price is known", changed).await;
    precondition(mina.order_so(seen(38_000)).await, "PRICE_CHANGED");
    assert_eq!(mina.send(ListPaymentsRequest::default()).await.unwrap().payments, [], "nothing was charged");
    assert_eq!(mina.order_so(seen(198_000)).await.unwrap().price, Some(won(198_000)));
}

async fn o2_an_order_whose_payment_was_declined_does_not_exist(app: Arc<Cluster>) {
    let mina = app.by(&format!("mina-{}", new_id()));
    let tent = app.client(Who::shop_staff()).new_product("Tent", 120_000, 10).await;
    let request = order_request(&tent, 1, BAD_CARD);
    precondition(mina.order_so(request.clone()).await, "PAYMENT_REFUSED");
    precondition(mina.order_so(request).await, "PAYMENT_REFUSED");
    let payment = only_payment(&mina).await;
    assert_eq!(payment.state(), PaymentState::Refused);
    assert_eq!(mina.send(ListOrdersRequest::default()).await.unwrap().orders, []);
    assert_eq!(mina.send(mypage::ListOrdersRequest::default()).await.unwrap().orders, []);
    let id = payment.purchase_id;
    refused(mina.order_of(&id).await, Code::NotFound, "ORDER_NOT_FOUND");
    refused(app.admin().order_of(&id).await, Code::NotFound, "ORDER_NOT_FOUND");
    refused(mina.order_page(&id).await, Code::NotFound, "ORDER_NOT_FOUND");
    let it = Order { order_id: id, ..Default::default() };
    refused(mina.cancel_order(&it).await, Code::NotFound, "ORDER_NOT_FOUND");
    assert_eq!(mina.product(&tent).await.unwrap().stock, 10, "it takes no stock");
}

async fn o2_a_repeated_request_orders_and_charges_once(app: Arc<Cluster>) {
    let mina = app.by(&format!("mina-{}", new_id()));
    let tent = app.client(Who::shop_staff()).new_product("Tent", 120_000, 10).await;
    mina.order(&tent, 1).await.unwrap();
    let request = order_request(&tent, 2, GOOD_CARD);
    let attempts = futures::future::join_all((0..8).map(|_| mina.send(request.clone()))).await;
    let order = attempts[0].as_ref().unwrap().order.clone().unwrap();
    for attempt in attempts {
        assert_eq!(attempt.unwrap().order.unwrap(), order, "all attempts have one effect");
    }
    mina.sees_order(&order, OrderState::Confirmed).await;
    assert_eq!(
        mina.send(request.clone()).await.unwrap().order.unwrap(),
        order,
        "the response is the first one, whatever happened since"
    );
    let other = CreateOrderRequest { quantity: 3, ..request };
    refused(mina.send(other).await, Code::InvalidArgument, "REQUEST_ID_REUSED");
    mina.sees_stock(&tent, 7).await;
    assert_eq!(mina.send(ListOrdersRequest::default()).await.unwrap().orders.len(), 2);
    assert_eq!(mina.send(ListPaymentsRequest::default()).await.unwrap().payments.len(), 2);
}

async fn o2_an_order_is_placed_by_a_late_response_to_its_payment(setup: Setup) {
    let app = Cluster::new(setup).with(&["--set", "payment.processor_deadline_ms=300"]).started().await;
    let mina = app.by("mina");
    let tent = app.client(Who::shop_staff()).new_product("Tent", 120_000, 10).await;
    let request = order_request(&tent, 1, "sandbox-timeout-once");
    let pending = refused(mina.order_so(request.clone()).await, Code::Aborted, "PAYMENT_PENDING");
    assert!(retry_delay(&pending).is_some_and(|delay| delay > Duration::ZERO), "the response has a retry delay");
    let other_card = CreateOrderRequest { payment_method: GOOD_CARD.to_owned(), ..request.clone() };
    refused(mina.send(other_card).await, Code::InvalidArgument, "REQUEST_ID_REUSED");
    let order_id = only_payment(&mina).await.purchase_id;
    let it = Order { order_id, ..Default::default() };
    let order = mina.sees_order(&it, OrderState::Confirmed).await;
    mina.is_notified_of_flow(&order.order_id, &["ORDER_PLACED", "ORDER_CONFIRMED"]).await;
    let again = mina.send(request).await.unwrap().order.unwrap();
    assert_eq!((again.order_id, again.payment_id), (order.order_id, order.payment_id), "the same, charged once");
    app.down().await;
}

async fn o3_an_order_cancelled_during_its_payment_is_shown_as_cancelled(app: Arc<Cluster>) {
    let mina = app.by(&format!("mina-{}", new_id()));
    let gone = app.client(Who::shop_staff()).new_product("Gone", 10_000, 0).await;
    let request = order_request(&gone, 1, "sandbox-timeout-once");
    match mina.order_so(request.clone()).await {
        // The event was faster than the response.
        Ok(order) => assert!(matches!(order.state(), OrderState::Placed | OrderState::Cancelled), "{order:?}"),
        Err(status) => drop(refused::<()>(Err(status), Code::Aborted, "PAYMENT_PENDING")),
    }
    let it = Order { order_id: only_payment(&mina).await.purchase_id, ..Default::default() };
    let cancelled = mina.sees_order(&it, OrderState::Cancelled).await;
    assert_eq!(cancelled.cancellation_cause(), CancellationCause::OutOfStock);
    let again = mina.send(request).await.unwrap().order.unwrap();
    assert_eq!(again.order_id, cancelled.order_id);
}

async fn o3_a_paid_order_takes_the_stock_and_is_to_be_delivered(app: Arc<Cluster>) {
    let (mina, kim) = (app.by("mina"), app.client(Who::courier("kim")));
    let tent = app.client(Who::shop_staff()).new_product("Tent", 120_000, 5).await;
    let order = mina.order(&tent, 2).await.unwrap();
    mina.sees_stock(&tent, 3).await;
    let delivery = kim.sees_delivery(&order).await;
    assert_eq!((delivery.customer_id.as_str(), delivery.address.as_str()), ("mina", ADDRESS));
    assert_eq!((delivery.product_name.as_str(), delivery.quantity), ("Tent", 2));
    let kinds = ["OrderDrafted", "PaymentApproved", "OrderPlaced", "StockTaken", "OrderConfirmed", "DeliveryPrepared"];
    eventually("the events", async || {
        let story = app.admin().flow(&order.order_id).await;
        kinds.iter().all(|kind| story.iter().any(|event| event.r#type.ends_with(kind))).then_some(())
    })
    .await;
}

async fn o3_out_of_stock_after_payment_is_refunded_and_notified(app: Arc<Cluster>) {
    let mina = app.by("mina");
    let tent = app.client(Who::shop_staff()).new_product("Tent", 120_000, 2).await;
    let order = mina.order(&tent, 3).await.unwrap();
    let cancelled = mina.sees_order(&order, OrderState::Cancelled).await;
    assert_eq!(cancelled.cancellation_cause(), CancellationCause::OutOfStock);
    let payment = mina.sees_order_payment(&order.order_id, PaymentState::Cancelled).await;
    assert!(payment.refunded, "it was refunded");
    mina.is_notified_of_flow(&order.order_id, &["ORDER_PLACED", "ORDER_CANCELLED", "PAYMENT_REFUNDED"]).await;
    let nothing = DeliveryState::Unspecified;
    let page = mina.sees_order_page(&order, OrderState::Cancelled, PaymentState::Cancelled, nothing).await;
    assert_eq!(page.cancellation_cause(), CancellationCause::OutOfStock);
    assert_eq!(mina.product(&tent).await.unwrap().stock, 2, "nothing was charged");
    assert_eq!(mina.cancel_order(&order).await.unwrap().state(), OrderState::Cancelled, "a repetition changes nothing");
}

async fn o3_two_hundred_customers_never_take_more_than_the_stock(app: Arc<Cluster>) {
    const CUSTOMERS: usize = 200;
    const STOCK: usize = 30;
    let tent = app.client(Who::shop_staff()).new_product("Tent", 120_000, STOCK as i64).await;
    let first = app.by("c0").order(&tent, 1).await.unwrap();
    let customers = (1..CUSTOMERS).map(|number| {
        let client = if number % 4 == 0 { app.stranger(&format!("c{number}")) } else { app.by(&format!("c{number}")) };
        let (client, tent) = (client.within(crate::support::PATIENCE), tent.clone());
        async move {
            let order = client.order(&tent, 1).await;
            order.map(|order| (client, order)).unwrap_or_else(|status| panic!("{status:?}, {}", reason(&status)))
        }
    });
    let mut placed = futures::future::join_all(customers).await;
    placed.push((app.by("c0"), first));
    let mut got = 0;
    for (client, order) in &placed {
        let decided = eventually("the order is decided", async || {
            let order = client.order_of(&order.order_id).await.ok()?;
            (order.state() != OrderState::Placed).then_some(order)
        })
        .await;
        match decided.state() {
            OrderState::Confirmed => got += 1,
            state => assert_eq!(
                (state, decided.cancellation_cause()),
                (OrderState::Cancelled, CancellationCause::OutOfStock)
            ),
        }
    }
    assert_eq!(got, STOCK, "exactly the stock");
    assert_eq!(app.by("mina").product(&tent).await.unwrap().stock, 0);
    for (client, order) in placed.iter().take(20) {
        let is_off = client.order_of(&order.order_id).await.unwrap().state() == OrderState::Cancelled;
        let state = if is_off { PaymentState::Cancelled } else { PaymentState::Approved };
        assert_eq!(client.sees_order_payment(&order.order_id, state).await.refunded, is_off);
    }
}

async fn o7_a_declined_order_is_paid_through_payment(app: Arc<Cluster>) {
    let mina = app.by(&format!("mina-{}", new_id()));
    let tent = app.client(Who::shop_staff()).new_product("Tent", 120_000, 5).await;
    let request = order_request(&tent, 1, BAD_CARD);
    precondition(mina.order_so(request.clone()).await, "PAYMENT_REFUSED");
    let payment = only_payment(&mina).await;
    mina.charge(&payment.payment_id, GOOD_CARD).await.unwrap();
    let it = Order { order_id: payment.purchase_id, ..Default::default() };
    let order = mina.sees_order(&it, OrderState::Confirmed).await;
    assert_eq!((order.payment_id, order.price), (payment.payment_id, Some(won(120_000))));
    let again = mina.send(request).await.unwrap().order.unwrap();
    assert_eq!(again.order_id, order.order_id, "the declined request has an order now");
    let topics = ["PAYMENT_REFUSED", "ORDER_PLACED", "ORDER_CONFIRMED"];
    mina.is_notified_of_flow(&order.order_id, &topics).await;

    // A cancelled payment costs nothing, and there is no order.
    let jun = app.by(&format!("jun-{}", new_id()));
    let request = order_request(&tent, 1, BAD_CARD);
    precondition(jun.order_so(request.clone()).await, "PAYMENT_REFUSED");
    let payment = only_payment(&jun).await;
    jun.cancel_payment(&payment.payment_id).await.unwrap();
    precondition(jun.charge(&payment.payment_id, GOOD_CARD).await, "PAYMENT_CANCELLED");
    let gone = eventually("the request is refused", async || {
        let status = jun.send(request.clone()).await.expect_err("there is no order");
        (reason(&status) == "ORDER_LAPSED").then_some(status)
    });
    assert_eq!(gone.await.code(), Code::FailedPrecondition);
}

async fn o7_cancelling_the_payment_cancels_the_order(app: Arc<Cluster>) {
    let (mina, kim) = (app.by("mina"), app.client(Who::courier("kim")));
    let tent = app.client(Who::shop_staff()).new_product("Tent", 120_000, 5).await;
    let order = mina.order(&tent, 1).await.unwrap();
    kim.sees_delivery(&order).await;
    let asked = mina.cancel_payment(&order.payment_id).await.unwrap();
    assert_eq!(asked.state(), PaymentState::Cancelling);
    let cancelled = mina.sees_order(&order, OrderState::Cancelled).await;
    assert_eq!(cancelled.cancellation_cause(), CancellationCause::Payment);
    assert!(mina.sees_order_payment(&order.order_id, PaymentState::Cancelled).await.refunded);
    mina.sees_stock(&tent, 5).await;

    // Too late: there is no refund, and the customer is notified.
    let order = mina.order(&tent, 1).await.unwrap();
    let delivery = kim.sees_delivery(&order).await;
    kim.start(&delivery).await.unwrap();
    mina.sees_order(&order, OrderState::Delivering).await;
    mina.cancel_payment(&order.payment_id).await.unwrap();
    let topics = ["ORDER_PLACED", "ORDER_CONFIRMED", "DELIVERY_STARTED", "ORDER_CANCELLATION_REFUSED"];
    mina.is_notified_of_flow(&order.order_id, &topics).await;
    mina.sees_order_payment(&order.order_id, PaymentState::Approved).await;
    kim.complete(&delivery).await.unwrap();
    mina.sees_order_payment(&order.order_id, PaymentState::Settled).await;
    precondition(mina.cancel_payment(&order.payment_id).await, "PAYMENT_SETTLED");
}

async fn o2_an_order_that_is_not_paid_in_time_lapses(setup: Setup) {
    let app = Cluster::new(setup).with(&["--set", "order.pay_within_seconds=1"]).started().await;
    let mina = app.by("mina");
    let tent = app.client(Who::shop_staff()).new_product("Tent", 120_000, 5).await;
    let request = order_request(&tent, 1, BAD_CARD);
    precondition(mina.order_so(request.clone()).await, "PAYMENT_REFUSED");
    let payment = only_payment(&mina).await;
    let voided = mina.sees_order_payment(&payment.purchase_id, PaymentState::Cancelled).await;
    assert!(!voided.refunded, "nothing was charged");
    precondition(mina.charge(&payment.payment_id, GOOD_CARD).await, "PAYMENT_CANCELLED");
    precondition(mina.order_so(request).await, "ORDER_LAPSED");
    refused(mina.order_of(&payment.purchase_id).await, Code::NotFound, "ORDER_NOT_FOUND");
    mina.is_notified_of_flow(&payment.purchase_id, &["PAYMENT_REFUSED"]).await;
    app.down().await;
}

async fn o6_the_read_model_of_orders_is_rebuilt_from_the_events(setup: Setup) {
    let app = Cluster::new(setup).started().await;
    let (mina, kim) = (app.by("mina"), app.client(Who::courier("kim")));
    let tent = app.client(Who::shop_staff()).new_product("Tent", 120_000, 5).await;
    let (brought, cancelled) = (mina.order(&tent, 1).await.unwrap(), mina.order(&tent, 5).await.unwrap());
    let delivery = kim.sees_delivery(&brought).await;
    kim.start(&delivery).await.unwrap();
    kim.complete(&delivery).await.unwrap();
    precondition(mina.order_so(order_request(&tent, 1, BAD_CARD)).await, "PAYMENT_REFUSED");
    let (settled, completed) = (PaymentState::Settled, DeliveryState::Completed);
    mina.sees_order_page(&brought, OrderState::Delivered, settled, completed).await;
    let nothing = DeliveryState::Unspecified;
    mina.sees_order_page(&cancelled, OrderState::Cancelled, PaymentState::Cancelled, nothing).await;
    let pages = async || mina.send(mypage::ListOrdersRequest::default()).await.unwrap().orders;
    let before = pages().await;
    let rebuild = app.run(&["rebuild", "mypage", "--server", &app.url("mypage")]);
    assert!(rebuild.status.success(), "{rebuild:?}");
    let after = pages().await;
    assert!(before.len() == 2 && after == before, "{after:?}");
    app.down().await;
}

async fn x11_staff_cancel_an_order_for_a_customer(app: Arc<Cluster>) {
    let (mina, sora, kim) = (app.by("mina"), app.client(Who::shop_staff()), app.client(Who::courier("kim")));
    let tent = sora.new_product("Tent", 120_000, 5).await;
    let order = mina.order(&tent, 2).await.unwrap();
    kim.sees_delivery(&order).await;
    let cancel = |reason: &str| CancelOrderRequest {
        order_id: order.order_id.clone(),
        reason: reason.to_owned(),
        ..Default::default()
    };
    wrong(sora.send(cancel("")).await, &["reason"]);
    sora.send(cancel("it has a hole")).await.unwrap();
    let cancelled = mina.sees_order(&order, OrderState::Cancelled).await;
    assert_eq!(cancelled.cancellation_cause(), CancellationCause::Staff);
    let intervention = cancelled.intervention.unwrap();
    assert_eq!((intervention.staff_id.as_str(), intervention.reason.as_str()), ("sora", "it has a hole"));
    assert!(mina.sees_order_payment(&order.order_id, PaymentState::Cancelled).await.refunded);
    mina.sees_stock(&tent, 5).await;
    let told = mina.is_told(&order.order_id, "ORDER_CANCELLED").await;
    assert!(told.contains("it has a hole"), "{told}");
}

async fn x12_a_product_is_changed_by_its_owner(app: Arc<Cluster>) {
    let staff = |name: &str| Who::Named { name: format!("{name}-{}", new_id()), roles: "shop_staff" };
    let (sol, hana) = (app.client(staff("sol")), app.client(staff("hana")));
    let tent = sol.new_product("Tent", 120_000, 5).await;
    assert_eq!(tent.owner_id, sol.name());
    let product_id = tent.product_id.clone();
    let reprice = RepriceProductRequest { product_id: product_id.clone(), price: Some(won(1)), ..Default::default() };
    refused(hana.send(reprice.clone()).await, Code::NotFound, "PRODUCT_NOT_FOUND");
    refused(hana.add_stock(&tent, 1).await, Code::NotFound, "PRODUCT_NOT_FOUND");
    let transfer = TransferProductRequest { product_id, owner_id: hana.name().to_owned(), ..Default::default() };
    refused(sol.send(transfer.clone()).await, Code::PermissionDenied, "ROLE_MISSING");
    assert_eq!(app.admin().send(transfer).await.unwrap().product.unwrap().owner_id, hana.name());
    refused(sol.send(reprice.clone()).await, Code::NotFound, "PRODUCT_NOT_FOUND");
    hana.send(reprice).await.unwrap();
    wrong(app.admin().send(TransferProductRequest::default()).await, &["product_id", "owner_id"]);
}

async fn hostile_shop_requests_name_every_wrong_field(app: Arc<Cluster>) {
    let (manager, mina, kim) = (app.client(Who::shop_staff()), app.by("mina"), app.client(Who::courier("kim")));
    let id = || "not-a-uuid".to_owned();
    wrong(manager.send(CreateProductRequest::default()).await, &["product"]);
    let product = Product { name: "a\u{0}".to_owned(), price: Some(won(0)), stock: -1, ..Default::default() };
    let create = CreateProductRequest { request_id: id(), product: Some(product) };
    wrong(manager.send(create).await, &["request_id", "product.name", "product.price.amount_minor", "product.stock"]);
    let add = AddStockRequest { request_id: id(), product_id: id(), quantity: 0 };
    wrong(manager.send(add).await, &["request_id", "product_id", "quantity"]);
    let add = AddStockRequest { product_id: new_id(), quantity: i64::MAX, ..Default::default() };
    wrong(manager.send(add).await, &["quantity"]);
    let reprice = RepriceProductRequest { request_id: id(), product_id: id(), price: None };
    wrong(manager.send(reprice).await, &["request_id", "product_id", "price"]);
    wrong(mina.send(GetProductRequest { product_id: "'; DROP TABLE products; --".to_owned() }).await, &["product_id"]);
    let list = ListProductsRequest { page_size: -1, page_token: "x".to_owned() };
    wrong(mina.send(list).await, &["page_size", "page_token"]);
    let all = ["product_id", "quantity", "address", "payment_method"];
    wrong(mina.send(CreateOrderRequest::default()).await, &all);
    let request = CreateOrderRequest {
        request_id: id(),
        product_id: id(),
        quantity: 1_001,
        address: "a".repeat(201),
        payment_method: "\n".to_owned(),
        expected_price: Some(contracts::money::v1::Money::default()),
    };
    let fields = ["request_id", "product_id", "quantity", "address", "payment_method"];
    let price = ["expected_price.currency_code", "expected_price.amount_minor"];
    wrong(mina.send(request).await, &[&fields[..], &price].concat());
    wrong(
        mina.send(CancelOrderRequest { request_id: id(), order_id: id(), ..Default::default() }).await,
        &["request_id", "order_id"],
    );
    wrong(mina.send(GetOrderRequest { order_id: id() }).await, &["order_id"]);
    wrong(mina.send(mypage::GetOrderRequest { order_id: id() }).await, &["order_id"]);
    let list = ListOrdersRequest { page_size: 1_001, page_token: "x".to_owned(), state: 99 };
    wrong(mina.send(list).await, &["page_size", "page_token", "state"]);
    let list = mypage::ListOrdersRequest { page_size: 1_001, page_token: "x".to_owned() };
    wrong(mina.send(list).await, &["page_size", "page_token"]);
    wrong(kim.send(StartDeliveryRequest { request_id: id(), delivery_id: id() }).await, &["request_id", "delivery_id"]);
    let complete = CompleteDeliveryRequest { request_id: id(), delivery_id: id() };
    wrong(kim.send(complete).await, &["request_id", "delivery_id"]);
    wrong(kim.send(GetDeliveryRequest { delivery_id: id() }).await, &["delivery_id"]);
    let list = ListDeliveriesRequest { page_size: -1, page_token: "x".to_owned(), state: -1 };
    wrong(kim.send(list).await, &["page_size", "page_token", "state"]);
}
