//! Bikes while contexts are down, with one process per context.

use std::time::Duration;

use contracts::bike::v1::{Bike, BikeState};
use contracts::billing::v1::BillState;
use contracts::ride::v1::{ListRidesRequest, RentBikeRequest, Ride, RideState};
use futures::StreamExt as _;
use futures::future::join_all;
use futures::stream::FuturesUnordered;
use tokio::sync::MutexGuard;

use crate::bikes::{new_customer, top_up};
use crate::breakers::PeerClient;
use crate::runner::{Suite, journeys};
use crate::support::client::Client;
use crate::support::cluster::Cluster;
use crate::support::stand_in::Behaviour;
use crate::support::{PATIENCE, eventually_within, new_id};

type Fragile = MutexGuard<'static, Option<Cluster>>;

pub fn add(suite: &mut Suite) {
    journeys! { suite.fragile:
        b4_with_bike_down_a_ride_is_returned_and_the_bike_is_free_when_it_is_back,
        b4_a_return_that_crosses_a_write_off_has_one_outcome_for_all,
        b11_with_billing_and_wallet_down_bikes_are_rented_and_returned,
        b12_with_bike_hanging_or_down_the_breaker_opens_and_customers_come_back_later,
        b12_with_bike_overloaded_the_breaker_opens_and_customers_come_back_later,
        x1_a_rent_whose_contexts_are_killed_leaves_no_bike_behind,
        x6_two_replicas_of_the_bike_line_handle_each_event_once,
    }
}

async fn b4_with_bike_down_a_ride_is_returned_and_the_bike_is_free_when_it_is_back(mut app: Fragile) {
    let app = app.as_mut().expect("it runs");
    let (mina, bike) = (new_customer(app), app.admin().new_bike().await);
    top_up(&mina, 1_000).await;
    let ride = mina.take(&bike).await.unwrap();
    app.kill("bike");
    let returned = mina.leave(&ride).await.unwrap();
    assert_eq!(returned.state(), RideState::Returned);
    mina.sees_bill(&ride, BillState::Closed).await;
    app.start("bike").await;
    assert_eq!(mina.sees_bike(&bike, BikeState::Available).await.place, returned.to);
}

async fn b4_a_return_that_crosses_a_write_off_has_one_outcome_for_all(mut app: Fragile) {
    let app = app.as_mut().expect("it runs");
    let (admin, mina) = (app.admin(), new_customer(app));
    top_up(&mina, 1_000).await;
    let bike = admin.new_bike().await;
    let ride = mina.take(&bike).await.unwrap();
    mina.sees_bill(&ride, BillState::Open).await;
    // The bike is written off. `ride` is killed before it receives the event. After its restart, the return is among
    // its first calls.
    app.kill("ride");
    admin.remove_bike(&bike, true).await.unwrap();
    app.start("ride").await;
    let returned = mina.leave(&ride).await;
    // In any order: the bike is removed, the ride is free, and there are no arrears.
    let bill = mina.sees_bill(&ride, BillState::Void).await;
    assert_eq!(mina.ride(&ride).await.unwrap().state(), RideState::Voided, "{returned:?}, {bill:?}");
    let wallet = async || mina.send(contracts::wallet::v1::GetWalletRequest::default()).await.ok()?.wallet;
    let whole = async || wallet().await.filter(|wallet| wallet.deposit == Some(crate::support::verbs::won(1_000)));
    eventually_within(PATIENCE, "the deposit to be whole", whole).await;
    mina.take(&admin.new_bike().await).await.unwrap();
}

async fn b11_with_billing_and_wallet_down_bikes_are_rented_and_returned(mut app: Fragile) {
    let app = app.as_mut().expect("it runs");
    let (mina, jun) = (new_customer(app), new_customer(app));
    top_up(&mina, 1_000).await;
    let bikes = [app.admin().new_bike().await, app.admin().new_bike().await];
    let under_way = mina.take(&bikes[0]).await.unwrap();
    for context in ["billing", "wallet"] {
        app.kill(context);
    }
    mina.leave(&under_way).await.unwrap();
    let ride = mina.take(&bikes[1]).await.unwrap();
    mina.leave(&ride).await.unwrap();
    mina.sees_bike(&bikes[0], BikeState::Available).await;
    let unpaid = jun.take(&bikes[0]).await.unwrap();
    jun.leave(&unpaid).await.unwrap();
    // The bills are made later.
    app.start("billing").await;
    app.start("wallet").await;
    for ride in [&under_way, &ride] {
        let bill = mina.sees_bill(ride, BillState::Closed).await;
        assert_eq!(bill.minutes, 1, "the time without billing costs nothing");
    }
    jun.sees_bill(&unpaid, BillState::Arrears).await;
    top_up(&jun, 5_000).await;
    jun.sees_bill(&unpaid, BillState::Closed).await;
}

const TAKE: PeerClient = PeerClient { caller: "ride", peer: "bike", reason: "BIKE_AWAY" };

async fn b12_with_bike_hanging_or_down_the_breaker_opens_and_customers_come_back_later(mut app: Fragile) {
    let app = app.as_mut().expect("it runs");
    let (mina, bike, ridden) = (new_customer(app), app.admin().new_bike().await, app.admin().new_bike().await);
    let under_way = mina.take(&ridden).await.unwrap();
    let peer = TAKE.stand_in(app, Behaviour::Hangs).await;
    TAKE.opens_when_calls_hang(&peer, async || mina.take(&bike).await).await;
    peer.leave().await;
    for _ in 0..28 {
        TAKE.is_away(mina.take(&bike).await);
    }
    renting_later_works(app, &mina, &bike, &under_way).await;
}

async fn b12_with_bike_overloaded_the_breaker_opens_and_customers_come_back_later(mut app: Fragile) {
    let app = app.as_mut().expect("it runs");
    let (mina, bike, ridden) = (new_customer(app), app.admin().new_bike().await, app.admin().new_bike().await);
    let under_way = mina.take(&ridden).await.unwrap();
    let peer = TAKE.stand_in(app, Behaviour::Overloaded).await;
    TAKE.opens_when_overloaded(&peer, async || mina.take(&bike).await).await;
    peer.leave().await;
    renting_later_works(app, &mina, &bike, &under_way).await;
}

/// The current ride continues, and no other starts while `bike` is down. The customer rents when it is back.
async fn renting_later_works(app: &mut Cluster, mina: &Client, bike: &Bike, under_way: &Ride) {
    let rides = mina.send(ListRidesRequest::default()).await.unwrap().rides;
    assert_eq!(rides, std::slice::from_ref(under_way), "failed attempts make no rides");
    app.start("bike").await;
    let ride = eventually_within(PATIENCE * 2, "renting works again", async || mina.take(bike).await.ok()).await;
    assert_eq!(ride.state(), RideState::Started);
    mina.leave(under_way).await.unwrap();
}

async fn x1_a_rent_whose_contexts_are_killed_leaves_no_bike_behind(mut app: Fragile) {
    let app = app.as_mut().expect("it runs");
    let admin = app.admin();
    let mut rented = Vec::new();
    for context in ["ride", "bike"] {
        // One of the two is killed during rents and restarted. Repeated until a rent has failed because of it.
        let limit = tokio::time::Instant::now() + PATIENCE * 2;
        let mut is_cut_short = false;
        while !is_cut_short {
            assert!(tokio::time::Instant::now() < limit, "{context} was never killed while a rent was under way");
            let bikes = join_all((0..16).map(|_| admin.new_bike())).await;
            let riders: Vec<(Client, Bike)> = bikes.into_iter().map(|bike| (new_customer(app), bike)).collect();
            is_cut_short = kill_among_rents(app, context, &riders).await;
            rented.extend(riders);
        }
    }
    // Whatever the outcome: each bike has a ride that the customer sees, or becomes available later.
    for (mina, bike) in &rented {
        eventually_within(PATIENCE * 3, "no bike to be stuck", async || {
            let rides = mina.send(ListRidesRequest::default()).await.ok()?.rides;
            let under_way = rides.into_iter().filter(|ride| ride.state() == RideState::Started);
            let with_ride = under_way.into_iter().any(|ride| ride.bike_id == bike.bike_id);
            let state = admin.bike(bike).await.state();
            matches!((state, with_ride), (BikeState::InUse, true) | (BikeState::Available, false)).then_some(())
        })
        .await;
    }
}

/// Lets all of them rent at the same time, kills a context as soon as one of them has a ride, and restarts it. Returns
/// whether a rent in flight failed.
async fn kill_among_rents(app: &mut Cluster, context: &str, riders: &[(Client, Bike)]) -> bool {
    let rent = |(rider, bike): &(Client, Bike)| {
        let request = RentBikeRequest { request_id: new_id(), bike_id: bike.bike_id.clone() };
        let patient = rider.within(Duration::from_secs(3));
        async move { patient.send(request).await }
    };
    let mut rents: FuturesUnordered<_> = riders.iter().map(rent).collect();
    let mut is_one_riding = false;
    while let Some(answer) = rents.next().await {
        is_one_riding = answer.is_ok();
        if is_one_riding {
            break;
        }
    }
    if !is_one_riding {
        // The breaker may still be open from the last attempt.
        return false;
    }
    app.kill(context);
    let answers: Vec<_> = rents.collect().await;
    app.start(context).await;
    answers.iter().any(Result::is_err)
}

async fn x6_two_replicas_of_the_bike_line_handle_each_event_once(mut app: Fragile) {
    let app = app.as_mut().expect("it runs");
    for context in ["bike", "ride", "billing", "wallet"] {
        app.replicate(context).await;
    }
    // Breakers may still be open from earlier trials.
    let spare = app.admin().new_bike().await;
    eventually_within(PATIENCE, "renting works", async || new_customer(app).take(&spare).await.ok()).await;
    let rides = (0..8).map(|_| {
        let (mina, admin) = (new_customer(app), app.admin());
        async move {
            top_up(&mina, 1_000).await;
            let bike = admin.new_bike().await;
            let ride = mina.take(&bike).await.unwrap();
            mina.leave(&ride).await.unwrap();
            mina.sees_bike_page(&ride, BillState::Closed).await;
            mina.is_notified_of_flow(&ride.ride_id, &["BIKE_RENTED", "BILL_SETTLED"]).await;
            let wallet = mina.send(contracts::wallet::v1::GetWalletRequest::default()).await.unwrap().wallet.unwrap();
            assert_eq!(wallet.deposit, Some(crate::support::verbs::won(900)), "it is deducted once");
        }
    });
    join_all(rides).await;
    app.stop_replicas().await;
}
