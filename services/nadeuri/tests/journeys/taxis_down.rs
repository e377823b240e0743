//! Taxis while contexts are down, with one process per context.

use contracts::dispatch::v1::HailState;
use contracts::driving::v1::{DriveState, FareState};
use contracts::payment::v1::PaymentState;
use tokio::sync::MutexGuard;

use crate::breakers::PeerClient;
use crate::runner::{Suite, journeys};
use crate::support::cluster::Cluster;
use crate::support::stand_in::Behaviour;
use crate::support::taxis::somewhere;
use crate::support::{GOOD_CARD, somebody};

type Fragile = MutexGuard<'static, Option<Cluster>>;

pub fn add(suite: &mut Suite) {
    journeys! { suite.fragile:
        t7_with_driving_down_requests_are_taken_and_reach_it_when_it_is_back,
        t7_with_dispatch_down_offers_are_accepted,
        t8_with_payment_down_the_drive_ends_and_is_charged_when_payment_is_back,
        t8_with_payment_overloaded_or_hanging_drives_end_and_are_charged_when_payment_is_back,
        x6_two_replicas_of_the_taxi_line_handle_each_event_once,
    }
}

async fn t7_with_driving_down_requests_are_taken_and_reach_it_when_it_is_back(mut app: Fragile) {
    let app = app.as_mut().expect("it runs");
    let (mina, kim) = (app.by(&somebody("mina")), app.driver(&somebody("kim")));
    app.stop("driving").await;
    let hail = mina.hail().await;
    let jun = app.by(&somebody("jun"));
    let unwanted = jun.hail().await;
    // `driving` decides about the cancellation when it is back.
    assert_eq!(jun.cancel_hail(&unwanted).await.unwrap().state(), HailState::Cancelling);
    app.start("driving").await;
    let drive = kim.sees_offer(&hail).await;
    kim.accept(&drive).await.unwrap();
    mina.sees_hail(&hail, HailState::Allocated).await;
    jun.sees_hail(&unwanted, HailState::Cancelled).await;
}

async fn t7_with_dispatch_down_offers_are_accepted(mut app: Fragile) {
    let app = app.as_mut().expect("it runs");
    let (mina, kim) = (app.by(&somebody("mina")), app.driver(&somebody("kim")));
    let hail = mina.hail().await;
    let drive = kim.sees_offer(&hail).await;
    app.kill("dispatch");
    assert_eq!(kim.accept(&drive).await.unwrap().state(), DriveState::Accepted);
    kim.depart(&drive).await.unwrap();
    let finished = kim.arrive(&drive).await.unwrap();
    assert_eq!(finished.fare_state(), FareState::Paid);
    app.start("dispatch").await;
    let hail = mina.sees_hail(&hail, HailState::Finished).await;
    assert_eq!(hail.driver_id, finished.driver_id);
}

async fn t8_with_payment_down_the_drive_ends_and_is_charged_when_payment_is_back(mut app: Fragile) {
    let app = app.as_mut().expect("it runs");
    let (mina, kim) = (app.by(&somebody("mina")), app.driver(&somebody("kim")));
    let hail = mina.hail_from(somewhere(), GOOD_CARD).await.unwrap();
    let drive = kim.sees_offer(&hail).await;
    kim.accept(&drive).await.unwrap();
    kim.depart(&drive).await.unwrap();
    app.stop("payment").await;
    let finished = kim.arrive(&drive).await.unwrap();
    assert_eq!((finished.state(), finished.fare_state()), (DriveState::Finished, FareState::Due));
    assert!(finished.fare.is_some(), "the fare is frozen");
    // `driving` is killed as well, and must still retry the charge.
    app.kill("driving");
    app.start("driving").await;
    app.start("payment").await;
    let paid = kim.sees_drive(&drive, "the fare is paid", |drive| drive.fare_state() == FareState::Paid).await;
    assert_eq!((paid.fare, paid.finish_time), (finished.fare, finished.finish_time));
    mina.sees_ride_page(&hail, "it is paid", |page| page.payment_state() == PaymentState::Settled).await;
    let story = app.admin().flow(&hail.hail_id).await;
    let charges = story.iter().filter(|event| event.r#type == "nadeuri.payment.v1.PaymentApproved").count();
    assert_eq!(charges, 1, "{story:?}");
}

async fn t8_with_payment_overloaded_or_hanging_drives_end_and_are_charged_when_payment_is_back(mut app: Fragile) {
    const CHARGE: PeerClient = PeerClient { caller: "driving", peer: "payment", reason: "" };
    let app = app.as_mut().expect("it runs");
    let mut drives = Vec::new();
    for _ in 0..2 {
        let (mina, kim) = (app.by(&somebody("mina")), app.driver(&somebody("kim")));
        let hail = mina.hail_from(somewhere(), GOOD_CARD).await.unwrap();
        let drive = kim.sees_offer(&hail).await;
        kim.accept(&drive).await.unwrap();
        let drive = kim.depart(&drive).await.unwrap();
        drives.push((mina, kim, hail, drive));
    }
    let peer = CHARGE.stand_in(app, Behaviour::Overloaded).await;
    let mut ended = Vec::new();
    for ((mina, kim, hail, drive), behaviour) in drives.iter().zip([Behaviour::Overloaded, Behaviour::Hangs]) {
        peer.behave(behaviour);
        let before = peer.arrived(CHARGE.caller);
        let finished = kim.arrive(drive).await.unwrap();
        assert!(peer.arrived(CHARGE.caller) > before, "`driving` tried to charge the fare");
        assert_eq!((finished.state(), finished.fare_state()), (DriveState::Finished, FareState::Due));
        assert!(finished.fare.is_some(), "the fare is frozen");
        ended.push((mina, kim, hail, finished));
    }
    peer.leave().await;
    app.start("payment").await;
    for (mina, kim, hail, finished) in ended {
        let paid = kim.sees_drive(&finished, "the fare is paid", |drive| drive.fare_state() == FareState::Paid).await;
        assert_eq!((paid.fare, paid.finish_time), (finished.fare, finished.finish_time));
        mina.sees_ride_page(hail, "it is paid", |page| page.payment_state() == PaymentState::Settled).await;
    }
}

async fn x6_two_replicas_of_the_taxi_line_handle_each_event_once(mut app: Fragile) {
    let app = app.as_mut().expect("it runs");
    for context in ["dispatch", "driving"] {
        app.replicate(context).await;
    }
    let rides = (0..8).map(|_| {
        let (mina, kim) = (app.by(&somebody("mina")), app.driver(&somebody("kim")));
        async move {
            let hail = mina.hail().await;
            let drive = kim.sees_offer(&hail).await;
            kim.accept(&drive).await.unwrap();
            kim.depart(&drive).await.unwrap();
            kim.arrive(&drive).await.unwrap();
            mina.sees_hail(&hail, HailState::Finished).await;
            let topics = ["TAXI_HAILED", "TAXI_ALLOCATED", "DRIVE_STARTED", "DRIVE_FINISHED", "PAYMENT_RECEIVED"];
            mina.is_notified_of_flow(&hail.hail_id, &topics).await;
        }
    });
    futures::future::join_all(rides).await;
    app.stop_replicas().await;
}
