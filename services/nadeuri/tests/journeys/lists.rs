//! What no other journey asks for: every list with every combination of its filters, and dead letters that are dropped.
//! So the test of the plans sees all statements.

use std::sync::Arc;

use chassis::db::{Durability, Unit};
use chassis::dead_letters::{self, DeadLetter};
use chassis::{Envelope, Id};
use contracts::chronicle::v1::ListEventsRequest;
use contracts::notification::v1::ListMessagesRequest;
use contracts::payment::v1::ListPaymentsRequest;
use contracts::voucher::v1::ListVouchersRequest;
use contracts::{bike, billing, delivery, fleet, mypage, order, rental, resort, stay};

use crate::runner::{Suite, journeys};
use crate::support::client::{Client, Who};
use crate::support::cluster::{Cluster, Setup};
use crate::support::stays::nights;
use crate::support::verbs::won;
use crate::support::{new_id, now, period};

/// Adds the journeys of this module.
pub fn add(suite: &mut Suite) {
    journeys! { suite.journey: every_list_has_a_page_for_every_combination_of_filters, }
    journeys! { suite.own: x9_a_dead_letter_is_listed_and_dropped, }
}

async fn every_list_has_a_page_for_every_combination_of_filters(app: Arc<Cluster>) {
    let (admin, customer) = (app.admin(), app.by("lists"));
    for caller in [&admin, &customer] {
        of_purchases(caller).await;
        of_summaries(caller).await;
    }
    let courier = app.client(Who::Named { name: "lists".to_owned(), roles: "courier" });
    for state in 0..=2 {
        for caller in [&admin, &courier] {
            caller.send(delivery::v1::ListDeliveriesRequest { state, ..Default::default() }).await.unwrap();
        }
        admin.send(bike::v1::ListBikesRequest { state, ..Default::default() }).await.unwrap();
    }
    of_offers(&customer).await;
    let kinds = ["nadeuri.fleet.v1.CarRegistered", "nadeuri.rental.v1.CarReserved"].map(str::to_owned);
    for types in [&kinds[..0], &kinds[..1], &kinds] {
        admin.send(ListEventsRequest { types: types.to_vec(), ..Default::default() }).await.unwrap();
    }
}

/// Lists of what customers buy, with a state or without.
async fn of_purchases(caller: &Client) {
    for state in [0, 3] {
        caller.send(rental::v1::ListReservationsRequest { state, ..Default::default() }).await.unwrap();
        caller.send(stay::v1::ListStaysRequest { state, ..Default::default() }).await.unwrap();
        caller.send(billing::v1::ListBillsRequest { state, ..Default::default() }).await.unwrap();
        caller.send(order::v1::ListOrdersRequest { state, ..Default::default() }).await.unwrap();
        for stay_id in [String::new(), new_id()] {
            caller.send(ListVouchersRequest { stay_id, state, ..Default::default() }).await.unwrap();
        }
    }
    for id in [String::new(), new_id()] {
        caller.send(ListPaymentsRequest { purchase_id: id.clone(), ..Default::default() }).await.unwrap();
        caller.send(ListMessagesRequest { flow_id: id, ..Default::default() }).await.unwrap();
    }
}

async fn of_summaries(caller: &Client) {
    caller.send(mypage::v1::ListCarRentalsRequest::default()).await.unwrap();
    caller.send(mypage::v1::ListTaxiRidesRequest::default()).await.unwrap();
    caller.send(mypage::v1::ListStaysRequest::default()).await.unwrap();
    caller.send(mypage::v1::ListBikeRidesRequest::default()).await.unwrap();
    caller.send(mypage::v1::ListOrdersRequest::default()).await.unwrap();
}

/// Lists of what can be reserved.
async fn of_offers(caller: &Client) {
    for which in 0..16 {
        let with = |bit: i32| which & bit != 0;
        let cars = fleet::v1::ListCarsRequest {
            status: which & 1,
            place_name: if with(2) { "Gimpo Airport".to_owned() } else { String::new() },
            min_daily_rate: with(4).then(|| won(1)),
            max_daily_rate: with(4).then(|| won(1_000_000)),
            free_period: with(8).then(|| period(1, 1)),
            ..Default::default()
        };
        caller.send(cars).await.unwrap();
        let resorts = resort::v1::ListResortsRequest {
            kind: if with(1) { "villa".to_owned() } else { String::new() },
            max_nightly_rate: with(2).then(|| won(1_000_000)),
            free_dates: with(4).then(|| nights(1, 1)),
            ..Default::default()
        };
        caller.send(resorts).await.unwrap();
    }
}

async fn x9_a_dead_letter_is_listed_and_dropped(setup: Setup) {
    let app = Cluster::new(setup).started().await;
    let id = new_id();
    let event_id = id.parse::<Id<()>>().unwrap().uuid();
    let event = Envelope {
        event_id,
        kind: "nadeuri.fleet.v1.CarRegistered".to_owned(),
        source: "fleet".to_owned(),
        subject: id.clone(),
        at: now(),
        correlation_id: event_id,
        causation_id: None,
        sequence: 1,
        traceparent: None,
        body: Vec::new(),
    };
    let letter = DeadLetter { event, reason: "it is a test".to_owned(), dead_at: now() };
    let unit: Unit<'static, ()> = Box::new(move |tx| Box::pin(dead_letters::dead_letter(tx, letter)));
    app.open_store("rental").await.write(Durability::Full, unit).await.unwrap();

    let server = app.url("rental");
    let run = |arguments: &[&str]| {
        let output = app.run(&[&["dead"], arguments, &["--server", &server]].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(run(&["list", "rental"]).contains(&id));
    run(&["drop", "rental", "--event", &id]);
    assert!(!run(&["list", "rental"]).contains(&id));
    app.down().await;
}
