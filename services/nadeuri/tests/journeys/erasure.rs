//! Personal data: what is stored about a customer is handed to them, and erased (X16).

use std::collections::BTreeSet;
use std::sync::Arc;

use contracts::chronicle::v1::chronicle_service_client::ChronicleServiceClient;
use contracts::chronicle::v1::{Event, ExportCustomerRequest};
use contracts::mypage::v1::{self as mypage, EraseCustomerRequest, Erasure};
use contracts::order::v1::OrderState;
use contracts::payment::v1::PaymentState;
use contracts::wallet::v1::CheckLedgerRequest;
use tokio_stream::StreamExt as _;
use tonic::Code;

use crate::runner::{Suite, journeys};
use crate::support::client::{Client, Who};
use crate::support::cluster::{Cluster, Setup, contexts};
use crate::support::orders::ADDRESS;
use crate::support::stored::tables_with;
use crate::support::taxis::somewhere;
use crate::support::{GOOD_CARD, eventually, new_id, period, precondition, reason, somebody, wrong};

pub fn add(suite: &mut Suite) {
    suite.own("x16_a_customer_is_exported_and_erased_in_all_contexts", x16_a_customer_is_exported_and_erased);
    journeys! { suite.journey: x16_a_customer_with_open_flows_is_not_erased, }
}

/// The customer. Nothing else contains this name.
const MINA: &str = "mina.kim@example.com";

fn erase(customer: &str) -> EraseCustomerRequest {
    EraseCustomerRequest { customer_id: customer.to_owned(), reason: "ticket 7".to_owned(), ..Default::default() }
}

/// All that is known about a customer.
async fn exported(admin: &Client, customer: &str) -> Vec<Event> {
    let mut chronicle = ChronicleServiceClient::new(admin.channel("chronicle"));
    let request = ExportCustomerRequest { customer_id: customer.to_owned() };
    let mut exported = chronicle.export_customer(admin.endless(request)).await.unwrap().into_inner();
    let mut events = Vec::new();
    while let Some(answer) = exported.next().await {
        events.extend(answer.unwrap().event);
    }
    events
}

/// A day of Mina's in all lines of business, in which every flow ends.
async fn a_day(app: &Cluster) {
    let (mina, admin) = (app.by(MINA), app.admin());
    mina.top_up(20_000).await.unwrap();

    let kim = app.driver(&somebody("kim"));
    let hail = mina.hail_from(somewhere(), GOOD_CARD).await.unwrap();
    let drive = kim.accept(&kim.sees_offer(&hail).await).await.unwrap();
    kim.depart(&drive).await.unwrap();
    kim.arrive(&drive).await.unwrap();
    mina.sees_ride_page(&hail, "the ride is paid", |page| page.payment_state() == PaymentState::Settled).await;

    let tent = app.client(Who::shop_staff()).new_product("Tent", 120_000, 5).await;
    let order = mina.order(&tent, 1).await.unwrap();
    let courier = app.client(Who::courier("courier"));
    let delivery = courier.sees_delivery(&order).await;
    courier.start(&delivery).await.unwrap();
    courier.complete(&delivery).await.unwrap();
    mina.sees_order(&order, OrderState::Delivered).await;
    eventually("the order is settled", async || {
        let page = mina.order_page(&order.order_id).await.ok()?;
        (page.order_state() == OrderState::Delivered && page.payment_state() == PaymentState::Settled).then_some(())
    })
    .await;

    let car = admin.new_car("Hyundai Casper", 54_000).await;
    let trip = mina.reserve(&car, period(0, 3)).await.unwrap();
    mina.rent(&trip).await.unwrap();
    mina.bring_back(&trip).await.unwrap();
    mina.rate(&trip, 5).await.unwrap();
    eventually("the rental is settled", async || {
        let page = mina.page(&trip).await.ok()?;
        (page.payment_state() == PaymentState::Settled && page.stars == 5).then_some(())
    })
    .await;
}

/// What everybody's pages show, without who they are.
async fn pages(admin: &Client) -> (Vec<mypage::Order>, Vec<mypage::TaxiRide>, Vec<mypage::CarRental>) {
    let orders = admin.send(mypage::ListOrdersRequest { page_size: 1_000, ..Default::default() }).await.unwrap();
    let rides = admin.send(mypage::ListTaxiRidesRequest { page_size: 1_000, ..Default::default() }).await.unwrap();
    let rentals = admin.send(mypage::ListCarRentalsRequest { page_size: 1_000, ..Default::default() }).await.unwrap();
    (orders.orders, rides.taxi_rides, rentals.car_rentals)
}

async fn x16_a_customer_is_exported_and_erased(setup: Setup) {
    let app = Cluster::new(setup).with(&["--erasure-delay", "2"]).started().await;
    let (mina, admin) = (app.by(MINA), app.admin());
    a_day(&app).await;
    let other = app.by("bob");
    other.top_up(7_000).await.unwrap();

    let all = ["dispatch", "driving", "order", "delivery", "rental", "payment", "wallet"];
    let events = eventually(&format!("events of {all:?}"), async || {
        let events = exported(&admin, MINA).await;
        let sources: BTreeSet<&str> = events.iter().map(|event| event.source.as_str()).collect();
        all.iter().all(|source| sources.contains(source)).then_some(events)
    })
    .await;
    let printed = app.run(&["customer", "export", MINA, "--server", &app.url("chronicle")]);
    let printed = String::from_utf8(printed.stdout).unwrap();
    assert!(printed.contains(ADDRESS) && printed.contains(GOOD_CARD), "she is handed her address and her card");
    assert_eq!(printed.lines().count(), exported(&admin, MINA).await.len());
    let known = exported(&admin, "bob").await.len();

    let erasure: Erasure = admin.send(erase(MINA)).await.unwrap().erasure.unwrap();
    assert_eq!(erasure.pseudonym, format!("erased-{}", erasure.erasure_id));
    eventually("she is refused", async || {
        let refused = mina.send(mypage::ListOrdersRequest::default()).await.err()?;
        (refused.code() == Code::PermissionDenied && reason(&refused) == "SUBJECT_ERASED").then_some(())
    })
    .await;
    for context in contexts() {
        let store = app.open_store(context).await;
        eventually(&format!("{context} tells nothing of her"), async || {
            // These end with the retention of idempotency keys.
            let mut tables = tables_with(&store, MINA).await.unwrap();
            tables.retain(|table| table != "erasures" && table != "done");
            tables.is_empty().then_some(())
        })
        .await;
    }
    assert_eq!(exported(&admin, MINA).await, []);
    assert_eq!(exported(&admin, "bob").await.len(), known, "others stay");
    let kept = exported(&admin, &erasure.pseudonym).await;
    assert!(kept.len() >= events.len(), "no event is lost: {} of {}", kept.len(), events.len());

    let before = pages(&admin).await;
    let (orders, rides, rentals) = &before;
    let who = [&orders[0].customer_id, &rides[0].customer_id, &rentals[0].customer_id];
    assert!(who.iter().all(|who| **who == erasure.pseudonym), "{who:?}");
    assert_eq!((orders[0].address.as_str(), orders[0].price.as_ref().unwrap().amount_minor), ("erased", 120_000));
    assert_eq!(rides[0].pickup.as_ref().unwrap().name, "erased");
    let rebuilt = app.run(&["rebuild", "mypage", "--server", &app.url("mypage")]);
    assert!(rebuilt.status.success(), "{}", String::from_utf8_lossy(&rebuilt.stderr));
    assert_eq!(pages(&admin).await, before, "what is rebuilt from the events is the same");
    let ledger = admin.send(CheckLedgerRequest {}).await.unwrap();
    assert_eq!((ledger.findings.as_slice(), ledger.wallets), ([].as_slice(), 2));
    app.down().await;
}

async fn x16_a_customer_with_open_flows_is_not_erased(app: Arc<Cluster>) {
    let name = format!("mina-{}", new_id());
    let (mina, admin) = (app.by(&name), app.admin());
    let car = admin.new_car("Hyundai Casper", 54_000).await;
    let trip = mina.reserve(&car, period(1, 3)).await.unwrap();
    mina.sees_page(&trip, trip.state(), PaymentState::Requested).await;
    let refused = precondition(admin.send(erase(&name)).await, "FLOWS_OPEN");
    assert!(refused.message().contains(&trip.reservation_id), "{}", refused.message());
    for other in ["payment", "admin", ""] {
        wrong(admin.send(erase(other)).await, &["customer_id"]);
    }
    let by_customer = mina.send(erase(&name)).await.unwrap_err();
    assert_eq!(by_customer.code(), Code::PermissionDenied);
    mina.cancel(&trip).await.unwrap();
    eventually("her erasure begins", async || admin.send(erase(&name)).await.ok()).await;
}
