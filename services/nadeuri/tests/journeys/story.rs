//! The events of a flow, read models and their rebuild, and deadlines.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use chassis::db::{Durability, Unit};
use contracts::billing::v1::BillState;
use contracts::chronicle::v1::chronicle_service_client::ChronicleServiceClient;
use contracts::chronicle::v1::{GetFlowRequest, ListEventsRequest, WatchEventsRequest};
use contracts::mypage::v1::{ListBikeRidesRequest, ListCarRentalsRequest};
use contracts::payment::v1::PaymentState;
use contracts::rental::v1::{CarReserved, RentCarRequest, ReservationState};
use prost_types::Any;
use tokio::sync::MutexGuard;
use tokio_stream::StreamExt as _;
use tonic::Code;

use crate::bikes::{new_customer, top_up};
use crate::runner::{Suite, journeys};
use crate::support::cluster::{Cluster, Setup};
use crate::support::verbs::won;
use crate::support::{PATIENCE, eventually, new_id, period, refused, wrong};
use crate::wire::Wire;

type Fragile = MutexGuard<'static, Option<Cluster>>;

pub fn add(suite: &mut Suite) {
    journeys! { suite.journey:
        x3_one_call_returns_all_events_of_a_flow,
        x3_events_are_streamed_as_they_arrive,
        x3_a_watch_resumes_after_the_last_position,
        x4_a_call_ends_at_the_callers_deadline,
    }
    journeys! { suite.own:
        x2_a_read_model_is_rebuilt_from_the_events,
        x3_events_older_than_their_retention_are_removed_and_readers_go_on,
    }
    journeys! { suite.fragile:
        x2_mypage_answers_from_its_own_store_alone,
    }
}

async fn x3_one_call_returns_all_events_of_a_flow(app: Arc<Cluster>) {
    let (admin, mina) = (app.admin(), app.by("mina"));
    let car = admin.new_car("Hyundai Casper", 54_000).await;
    let trip = mina.reserve(&car, period(1, 3)).await.unwrap();
    let rented = mina.rent(&trip).await.unwrap();
    mina.cancel_payment(&rented.payment_id).await.unwrap();
    mina.sees_payment(&trip, PaymentState::Cancelled).await;

    let expected = [
        ("rental", "nadeuri.rental.v1.CarReserved"),
        ("payment", "nadeuri.payment.v1.PaymentRequested"),
        ("payment", "nadeuri.payment.v1.PaymentApproved"),
        ("rental", "nadeuri.rental.v1.CarRented"),
        ("payment", "nadeuri.payment.v1.PaymentCancellationRequested"),
        ("rental", "nadeuri.rental.v1.ReservationCancelled"),
        ("payment", "nadeuri.payment.v1.PaymentCancelled"),
    ];
    let kinds = |events: &[contracts::chronicle::v1::Event]| -> BTreeSet<(String, String)> {
        events.iter().map(|event| (event.source.clone(), event.r#type.clone())).collect()
    };
    let expected: BTreeSet<_> =
        expected.iter().map(|(source, kind)| ((*source).to_owned(), (*kind).to_owned())).collect();
    let story = eventually("all events", async || {
        let events = admin.flow(&trip.reservation_id).await;
        expected.is_subset(&kinds(&events)).then_some(events)
    });
    let story = story.await;

    let ids: BTreeSet<&str> = story.iter().map(|event| event.event_id.as_str()).collect();
    assert_eq!(ids.len(), story.len(), "each event once");
    for (index, event) in story.iter().enumerate() {
        let is_after_its_cause = || story[..index].iter().any(|earlier| earlier.event_id == event.causation_id);
        assert!(event.causation_id.is_empty() || is_after_its_cause(), "a cause comes before its effect: {event:?}");
        assert_eq!(event.flow_id, trip.reservation_id);
        assert!(event.time.is_some() && event.data.is_some() && !event.subject.is_empty(), "{event:?}");
    }
    let find = |kind: &str| story.iter().find(|event| event.r#type.ends_with(kind)).unwrap();
    assert_eq!(find(".CarReserved").causation_id, "", "a call caused it");
    assert_eq!(find(".ReservationCancelled").causation_id, find(".PaymentCancellationRequested").event_id);
    let reserved: CarReserved = find(".CarReserved").data.as_ref().unwrap().to_msg().unwrap();
    assert_eq!(reserved.reservation.unwrap(), trip);

    refused(admin.send(GetFlowRequest { flow_id: new_id() }).await, Code::NotFound, "FLOW_NOT_FOUND");
    let flow_id = trip.reservation_id;
    refused(mina.send(GetFlowRequest { flow_id }).await, Code::PermissionDenied, "ROLE_MISSING");
}

async fn x3_events_are_streamed_as_they_arrive(app: Arc<Cluster>) {
    let (admin, mina) = (app.admin(), app.by("mina"));
    let car = admin.new_car("Hyundai Casper", 54_000).await;
    let types = vec!["nadeuri.rental.v1.CarReserved".to_owned()];
    let request = WatchEventsRequest { types, after_position: None };
    let mut chronicle = ChronicleServiceClient::new(admin.channel("chronicle"));
    let mut events = chronicle.watch_events(admin.endless(request)).await.unwrap().into_inner();
    let trip = mina.reserve(&car, period(1, 3)).await.unwrap();
    let next = async {
        loop {
            let event = events.next().await.expect("it does not end by itself").unwrap().event.unwrap();
            assert_eq!(event.r#type, "nadeuri.rental.v1.CarReserved");
            if event.flow_id == trip.reservation_id {
                return event;
            }
        }
    };
    tokio::time::timeout(PATIENCE, next).await.expect("the event arrives in time");
    let mina = app.by("mina");
    let denied = ChronicleServiceClient::new(mina.channel("chronicle"))
        .watch_events(mina.request(WatchEventsRequest::default()))
        .await;
    assert_eq!(denied.err().map(|status| status.code()), Some(Code::PermissionDenied));
}

async fn x3_a_watch_resumes_after_the_last_position(app: Arc<Cluster>) {
    let (admin, mina) = (app.admin(), app.by("mina"));
    let car = admin.new_car("Hyundai Casper", 54_000).await;
    let trip = mina.reserve(&car, period(1, 3)).await.unwrap();
    mina.cancel(&trip).await.unwrap();
    let story = eventually("both events", async || {
        Some(admin.flow(&trip.reservation_id).await)
            .filter(|events| events.iter().any(|event| event.r#type.ends_with("ReservationCancelled")))
    });
    let first = story.await.into_iter().next().unwrap();
    let watch = WatchEventsRequest { types: vec![], after_position: Some(first.position - 1) };
    let mut chronicle = ChronicleServiceClient::new(admin.channel("chronicle"));
    let mut events = chronicle.watch_events(admin.endless(watch)).await.unwrap().into_inner();
    let next = tokio::time::timeout(PATIENCE, events.next()).await.unwrap().unwrap().unwrap().event.unwrap();
    assert_eq!(next, first);

    let list = ListEventsRequest { after_position: first.position - 1, page_size: 1, ..Default::default() };
    let page = admin.send(list.clone()).await.unwrap();
    assert_eq!(page.events, std::slice::from_ref(&first));
    let next = ListEventsRequest { page_token: page.next_page_token.clone(), ..list.clone() };
    assert!(admin.send(next).await.unwrap().events[0].position > first.position);
    let types = vec!["nadeuri.rental.v1.CarReserved".to_owned()];
    let other = ListEventsRequest { types, page_token: page.next_page_token, ..list };
    wrong(admin.send(other).await, &["page_token"]);
    let unknown =
        ListEventsRequest { types: vec!["nadeuri.Nothing".to_owned()], after_position: -1, ..Default::default() };
    wrong(admin.send(unknown).await, &["types[0]", "after_position"]);
    let many = ListEventsRequest { types: vec![Any::default().type_url; 101], ..Default::default() };
    wrong(admin.send(many).await, &["types"]);
}

async fn x4_a_call_ends_at_the_callers_deadline(app: Arc<Cluster>) {
    let mina = app.by("mina");
    let car = app.admin().new_car("Hyundai Casper", 54_000).await;
    let trip = mina.reserve(&car, period(1, 3)).await.unwrap();
    let request = RentCarRequest {
        reservation_id: trip.reservation_id.clone(),
        payment_method: "sandbox-timeout".to_owned(),
        ..Default::default()
    };
    // A client with a timer of its own would sometimes end the call first.
    let mut wire = Wire::connect(app.address("rental")).await;
    let headers = [mina.credentials().as_slice(), &[("grpc-timeout", "200m".to_owned())]].concat();
    let start = tokio::time::Instant::now();
    let status = wire.call(&request, &headers).await;
    assert!(start.elapsed() < Duration::from_secs(2), "the call does not wait for the processor's three seconds");
    refused::<()>(Err(status), Code::DeadlineExceeded, "DEADLINE_EXCEEDED");
    mina.cancel(&trip).await.unwrap();
}

/// Changes rows of a context directly; returns how many.
async fn change(app: &Cluster, context: &'static str, statement: &'static str) -> usize {
    let unit: Unit<'static, usize> = Box::new(move |tx| {
        Box::pin(async move { Ok(chassis::sql!(tx, |c| diesel::sql_query(statement).execute(c))?) })
    });
    app.open_store(context).await.write(Durability::Full, unit).await.unwrap()
}

async fn x3_events_older_than_their_retention_are_removed_and_readers_go_on(setup: Setup) {
    let days =
        ["--set", "chronicle.retention_days=7", "--set", "notification.retention_days=7", "--dead-letter-days", "7"];
    let mut app = Cluster::new(setup).with(&days).started().await;
    let (admin, mina) = (app.admin(), app.by("mina"));
    let car = admin.new_car("Hyundai Casper", 54_000).await;
    let old = mina.reserve(&car, period(1, 1)).await.unwrap();
    let story = async |flow_id: &str, count: usize| {
        let told = async || Some(admin.flow(flow_id).await).filter(|events| events.len() >= count);
        eventually("the story is told", told).await
    };
    // Those of `rental`, `fleet` and `payment`: after that nothing happens.
    let last = story(&old.reservation_id, 3).await.iter().map(|event| event.position).max().unwrap();
    // Eight days pass.
    app.stop("chronicle").await;
    let statement = match setup {
        Setup::Embedded => "UPDATE events SET at = at - 691200000000",
        Setup::OneProcess | Setup::PerContext => "UPDATE events SET at = at - interval '8 days'",
    };
    assert!(change(&app, "chronicle", statement).await >= 2);
    app.start("chronicle").await;
    let is_gone = async || {
        let answer = admin.send(GetFlowRequest { flow_id: old.reservation_id.clone() }).await;
        matches!(answer, Err(status) if status.code() == Code::NotFound).then_some(())
    };
    eventually("the old events are removed", is_gone).await;

    let new = mina.reserve(&car, period(5, 1)).await.unwrap();
    let positions: Vec<i64> = story(&new.reservation_id, 2).await.iter().map(|event| event.position).collect();
    assert!(positions.iter().all(|position| *position > last), "no position is used again: {positions:?}, {last}");
    let listed = admin.send(ListEventsRequest { after_position: last - 1, ..Default::default() }).await.unwrap();
    let first = listed.events.first().expect("there are newer events");
    assert!(first.position > last, "{first:?}");
    let request = WatchEventsRequest { types: vec![], after_position: Some(last - 1) };
    let mut chronicle = ChronicleServiceClient::new(admin.channel("chronicle"));
    let mut events = chronicle.watch_events(admin.endless(request)).await.unwrap().into_inner();
    let next = tokio::time::timeout(PATIENCE, events.next()).await.expect("it goes on").unwrap().unwrap();
    assert_eq!(next.event.as_ref(), Some(first));
    drop(events);
    app.down().await;
}

async fn x2_mypage_answers_from_its_own_store_alone(mut app: Fragile) {
    let app = app.as_mut().expect("it runs");
    let mina = new_customer(app);
    let car = app.admin().new_car("Hyundai Casper", 54_000).await;
    let trip = mina.reserve(&car, period(1, 3)).await.unwrap();
    mina.rent(&trip).await.unwrap();
    top_up(&mina, 1_000).await;
    let ride = mina.take(&app.admin().new_bike().await).await.unwrap();
    mina.sees_page(&trip, ReservationState::Rented, PaymentState::Approved).await;
    mina.sees_bike_page(&ride, BillState::Open).await;
    let rides = async || mina.send(ListBikeRidesRequest::default()).await.unwrap();
    let has_deposit = async || (rides().await.wallet?.deposit == Some(won(1_000))).then_some(());
    eventually("the deposit on the page", has_deposit).await;

    app.kill_others("mypage");
    assert!(mina.reservation(&trip).await.is_err() && mina.ride(&ride).await.is_err(), "no other context is running");
    let page = mina.page(&trip).await.unwrap();
    assert_eq!((page.rental_state(), page.payment_state()), (ReservationState::Rented, PaymentState::Approved));
    assert_eq!((&page.car_id, &page.price, &page.period), (&trip.car_id, &trip.price, &trip.period));
    assert_eq!(mina.send(ListCarRentalsRequest::default()).await.unwrap().car_rentals, [page]);
    let page = mina.bike_page(&ride).await.unwrap();
    assert_eq!((page.bill_state(), &page.bike_id, &page.from), (BillState::Open, &ride.bike_id, &ride.from));
    let listed = rides().await;
    assert_eq!((listed.bike_rides, listed.wallet.unwrap().deposit), (vec![page], Some(won(1_000))));
    refused(app.by("jun").page(&trip).await, Code::NotFound, "CAR_RENTAL_NOT_FOUND");
    app.up().await;
}

async fn x2_a_read_model_is_rebuilt_from_the_events(setup: Setup) {
    let app = Cluster::new(setup).started().await;
    let (admin, mina) = (app.admin(), app.by("mina"));
    let mut trips = Vec::new();
    for day in 0..6 {
        let car = admin.new_car("Hyundai Casper", 54_000).await;
        // Two of them are brought back, for which they have to have begun.
        let start = if [1, 2].contains(&day) { 0 } else { 1 + day };
        let trip = mina.reserve(&car, period(start, 1)).await.unwrap();
        match day {
            0 => drop(mina.cancel(&trip).await.unwrap()),
            1..=3 => drop(mina.rent(&trip).await.unwrap()),
            _ => {}
        }
        if day == 2 {
            mina.bring_back(&trip).await.unwrap();
            mina.rate(&trip, 3).await.unwrap();
        }
        trips.push(trip);
    }
    let rented = mina.reservation(&trips[3]).await.unwrap();
    mina.cancel_payment(&rented.payment_id).await.unwrap();
    mina.sees_page(&trips[0], ReservationState::Cancelled, PaymentState::Cancelled).await;
    mina.sees_page(&trips[1], ReservationState::Rented, PaymentState::Approved).await;
    mina.sees_page(&trips[2], ReservationState::Returned, PaymentState::Settled).await;
    mina.sees_page(&trips[3], ReservationState::Cancelled, PaymentState::Cancelled).await;
    mina.sees_page(&trips[5], ReservationState::Reserved, PaymentState::Requested).await;
    eventually("the stars", async || (mina.page(&trips[2]).await.ok()?.stars == 3).then_some(())).await;

    let pages = async || admin.send(ListCarRentalsRequest::default()).await.unwrap().car_rentals;
    let before = pages().await;
    assert_eq!(before.len(), trips.len());
    // The read model is corrupted: one row is deleted, the others are wrong.
    assert_eq!(change(&app, "mypage", "DELETE FROM car_rentals WHERE stars = 3").await, 1);
    let statement = "UPDATE car_rentals SET price_minor = 1, payment_state = 0, rented_at = NULL";
    assert_eq!(change(&app, "mypage", statement).await, trips.len() - 1);
    assert_eq!(mina.page(&trips[2]).await.err().map(|status| status.code()), Some(Code::NotFound));
    let wrong = pages().await;
    assert_eq!(wrong.len(), trips.len() - 1);
    assert!(wrong.iter().all(|page| page.price == Some(won(1)) && !before.contains(page)), "{wrong:?}");
    let rebuild = app.run(&["rebuild", "mypage", "--server", &app.url("mypage")]);
    assert!(rebuild.status.success(), "{rebuild:?}");
    let said = String::from_utf8(rebuild.stdout).unwrap();
    assert!(said.starts_with("mypage was rebuilt from "), "{said}");
    assert_eq!(pages().await, before);

    // Later events are projected as well.
    mina.bring_back(&trips[1]).await.unwrap();
    mina.sees_page(&trips[1], ReservationState::Returned, PaymentState::Settled).await;
    let no_view = app.run(&["rebuild", "rental", "--server", &app.url("rental")]);
    assert!(!no_view.status.success());
    app.down().await;
}
