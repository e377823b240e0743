//! Bikes: registration, rent, return, bills, and write-off.

use std::sync::Arc;

use contracts::bike::v1::{
    Bike, BikeState, InspectBikeRequest, ListBikesRequest, SearchBikesRequest, TakeBikeRequest, TransferBikeRequest,
};
use contracts::billing::v1::BillState;
use contracts::ride::v1::{ListRidesRequest, RentBikeRequest, ReturnBikeRequest, RideState};
use contracts::wallet::v1::{TopUpRequest, Wallet};
use futures::future::join_all;
use tonic::Code;

use crate::runner::{Suite, journeys};
use crate::support::bikes::some_bike;
use crate::support::client::{Client, Who};
use crate::support::cluster::{Cluster, Setup};
use crate::support::taxis::{north_of, place, somewhere};
use crate::support::verbs::won;
use crate::support::{GOOD_CARD, eventually, new_id, precondition, refused, wrong};

pub fn add(suite: &mut Suite) {
    journeys! { suite.journey:
        b1_an_admin_registers_and_removes_bikes,
        b1_bikes_near_a_place_come_nearest_first_in_pages,
        b2_a_customer_rents_a_bike_that_is_available,
        b2_of_two_hundred_customers_exactly_one_rides_a_bike,
        b2_a_rent_whose_caller_crashed_releases_the_bike,
        b2_a_repeated_rent_takes_one_bike,
        b3_a_ride_has_a_bill,
        b4_a_bike_is_available_where_it_was_returned,
        b4_a_ride_whose_bike_was_written_off_costs_nothing,
        b5_the_fee_is_deducted_from_the_deposit,
        b5_arrears_block_the_next_rent_until_a_top_up_settles_them,
        b6_one_read_model_shows_rides_bills_and_deposit,
        b7_a_broken_bike_is_out_of_order,
        x11_staff_end_a_ride_for_a_customer,
        x12_a_bike_is_removed_by_its_owner,
        hostile_bike_requests_name_every_wrong_field,
    }
    suite.own("b5_a_ride_that_is_free_is_closed_at_once", b5_a_ride_that_is_free_is_closed_at_once);
    suite.own("x11_a_long_ride_is_overdue", x11_a_long_ride_is_overdue);
    suite.own("b2_a_customer_rides_as_many_bikes_as_one_may", b2_a_customer_rides_as_many_bikes_as_one_may);
}

/// A customer that no other trial uses.
pub fn new_customer(app: &Cluster) -> Client {
    app.by(&format!("mina-{}", new_id()))
}

/// Puts money into the caller's deposit.
pub async fn top_up(client: &Client, amount: i64) -> Wallet {
    let request =
        TopUpRequest { amount: Some(won(amount)), payment_method: GOOD_CARD.to_owned(), ..Default::default() };
    client.send(request).await.unwrap().wallet.unwrap()
}

fn ids(bikes: impl IntoIterator<Item = Option<Bike>>) -> Vec<String> {
    bikes.into_iter().map(|bike| bike.unwrap().bike_id).collect()
}

async fn b1_an_admin_registers_and_removes_bikes(app: Arc<Cluster>) {
    let (admin, mina) = (app.admin(), new_customer(&app));
    let bike = admin.new_bike().await;
    assert_eq!((bike.state(), bike.battery_percent, bike.usable), (BikeState::Available, 100, true));
    assert_eq!(mina.bike(&bike).await, bike);
    refused(mina.send(some_bike("Mine", somewhere())).await, Code::PermissionDenied, "ROLE_MISSING");
    let mut broken = some_bike("S-1", somewhere());
    broken.set_state(BikeState::OutOfOrder);
    let broken = admin.send(broken).await.unwrap().bike.unwrap();
    assert_eq!((broken.state(), broken.usable), (BikeState::OutOfOrder, false));
    precondition(mina.take(&broken).await, "BIKE_OUT_OF_ORDER");

    let ride = mina.take(&bike).await.unwrap();
    precondition(admin.remove_bike(&bike, false).await, "BIKE_IN_USE");
    mina.leave(&ride).await.unwrap();
    admin.sees_bike(&bike, BikeState::Available).await;
    assert_eq!(admin.remove_bike(&bike, false).await.unwrap().state(), BikeState::Removed);
    assert_eq!(admin.remove_bike(&bike, false).await.unwrap().state(), BikeState::Removed);
    refused(new_customer(&app).take(&bike).await, Code::NotFound, "BIKE_NOT_FOUND");
}

async fn b1_bikes_near_a_place_come_nearest_first_in_pages(app: Arc<Cluster>) {
    let (admin, mina, here) = (app.admin(), new_customer(&app), somewhere());
    let mut bikes = Vec::new();
    for km in [1.5, 0.2, 3.0, 0.7] {
        bikes.push(admin.new_bike_at(north_of(here, km)).await.bike_id);
    }
    let order = |bikes: &[String], of: &[usize]| of.iter().map(|at| bikes[*at].clone()).collect::<Vec<_>>();
    let near = mina.bikes_near(here, 0).await;
    assert!((near[0].distance_km - 0.2).abs() < 0.01, "{}", near[0].distance_km);
    assert_eq!(ids(near.into_iter().map(|near| near.bike)), order(&bikes, &[1, 3, 0]), "within 2 km, nearest first");

    let (mut seen, mut page_token) = (Vec::new(), String::new());
    for _ in 0..2 {
        let (latitude, longitude) = (Some(here.0), Some(here.1));
        let request = SearchBikesRequest { page_size: 2, page_token, latitude, longitude, within_km: 10 };
        let page = mina.send(request).await.unwrap();
        seen.extend(ids(page.bikes.into_iter().map(|near| near.bike)));
        page_token = page.next_page_token;
    }
    assert_eq!((seen, page_token), (order(&bikes, &[1, 3, 0, 2]), String::new()));

    // A rented bike is not listed.
    let taken = Bike { bike_id: bikes[1].clone(), ..Bike::default() };
    mina.take(&taken).await.unwrap();
    let near = mina.bikes_near(here, 1).await;
    assert_eq!(ids(near.into_iter().map(|near| near.bike)), order(&bikes, &[3]));
    let in_use = ListBikesRequest { state: BikeState::InUse.into(), page_size: 1_000, ..Default::default() };
    let in_use = ids(mina.send(in_use).await.unwrap().bikes.into_iter().map(Some));
    assert!(in_use.contains(&bikes[1]) && !in_use.contains(&bikes[0]));
}

async fn b2_a_customer_rents_a_bike_that_is_available(app: Arc<Cluster>) {
    let (mina, jun) = (new_customer(&app), new_customer(&app));
    let bike = app.admin().new_bike().await;
    let ride = mina.take(&bike).await.unwrap();
    assert_eq!((ride.state(), &ride.bike_id, &ride.bike_name), (RideState::Started, &bike.bike_id, &bike.name));
    assert_eq!((ride.from.clone(), ride.to.clone()), (bike.place.clone(), None));
    assert_eq!(jun.bike(&bike).await.state(), BikeState::InUse, "it is taken in the same step");
    precondition(jun.take(&bike).await, "BIKE_IN_USE");
    assert_eq!(jun.send(ListRidesRequest::default()).await.unwrap().rides, [], "a refused rent leaves nothing");
    assert_eq!(mina.ride(&ride).await.unwrap(), ride);
    refused(jun.ride(&ride).await, Code::NotFound, "RIDE_NOT_FOUND");
    refused(jun.leave(&ride).await, Code::NotFound, "RIDE_NOT_FOUND");
    assert_eq!(app.admin().ride(&ride).await.unwrap(), ride);
    let nowhere = Bike { bike_id: new_id(), ..Bike::default() };
    refused(mina.take(&nowhere).await, Code::NotFound, "BIKE_NOT_FOUND");
}

async fn b2_of_two_hundred_customers_exactly_one_rides_a_bike(app: Arc<Cluster>) {
    let bike = app.admin().new_bike().await;
    let rents = (0..200).map(|number| {
        let (customer, bike) = (app.by(&format!("rider-{number}")), bike.clone());
        async move { customer.take(&bike).await }
    });
    let (took, others): (Vec<_>, Vec<_>) = join_all(rents).await.into_iter().partition(Result::is_ok);
    assert_eq!(took.len(), 1);
    for other in others {
        precondition(other, "BIKE_IN_USE");
    }
}

async fn b2_a_rent_whose_caller_crashed_releases_the_bike(app: Arc<Cluster>) {
    let bike = app.admin().new_bike().await;
    // The state after a crash of `ride` between the taking of the bike and the commit of the ride.
    let taken = TakeBikeRequest {
        bike_id: bike.bike_id.clone(),
        ride_id: new_id(),
        customer_id: "mina".to_owned(),
        ..Default::default()
    };
    let service = app.client(Who::Named { name: "ride".to_owned(), roles: "service" });
    let answer = service.send(taken.clone()).await.unwrap().bike.unwrap();
    assert_eq!(answer.state(), BikeState::InUse);
    let found = crate::support::eventually_within(crate::support::PATIENCE * 3, "the bike to be free", async || {
        Some(app.admin().bike(&bike).await).filter(|found| found.state() == BikeState::Available)
    });
    assert_eq!(found.await.place, bike.place);
    precondition(service.send(taken).await, "RIDE_OVER");
}

async fn b2_a_repeated_rent_takes_one_bike(app: Arc<Cluster>) {
    let (mina, bike) = (new_customer(&app), app.admin().new_bike().await);
    let request = RentBikeRequest { request_id: new_id(), bike_id: bike.bike_id.clone() };
    let answers = join_all((0..10).map(|_| mina.send(request.clone()))).await;
    let rides: Vec<_> = answers.into_iter().map(|answer| answer.unwrap().ride.unwrap()).collect();
    assert!(rides.iter().all(|ride| *ride == rides[0]), "{rides:?}");
    assert_eq!(mina.send(ListRidesRequest::default()).await.unwrap().rides, [rides[0].clone()]);
    let other = RentBikeRequest { bike_id: new_id(), ..request };
    refused(mina.send(other).await, Code::InvalidArgument, "REQUEST_ID_REUSED");
}

async fn b2_a_customer_rides_as_many_bikes_as_one_may(setup: Setup) {
    let app = Cluster::new(setup).with(&["--set", "ride.bikes_at_once=2"]).started().await;
    let (admin, mina) = (app.admin(), app.by("mina"));
    top_up(&mina, 1_000).await;
    let bikes = [admin.new_bike().await, admin.new_bike().await, admin.new_bike().await];
    let first = mina.take(&bikes[0]).await.unwrap();
    mina.take(&bikes[1]).await.unwrap();
    precondition(mina.take(&bikes[2]).await, "TOO_MANY_RIDES");
    assert_eq!(mina.bike(&bikes[2]).await.state(), BikeState::Available, "no bike is taken for nothing");
    mina.leave(&first).await.unwrap();
    mina.take(&bikes[2]).await.unwrap();
    app.down().await;
}

async fn b3_a_ride_has_a_bill(app: Arc<Cluster>) {
    let mina = new_customer(&app);
    let ride = mina.take(&app.admin().new_bike().await).await.unwrap();
    let bill = mina.sees_bill(&ride, BillState::Open).await;
    assert_eq!((bill.fee.clone(), bill.start_time), (None, ride.start_time));
    let request = contracts::billing::v1::GetBillRequest { bill_id: bill.bill_id.clone() };
    assert_eq!(mina.send(request.clone()).await.unwrap().bill.unwrap(), bill);
    refused(new_customer(&app).send(request).await, Code::NotFound, "BILL_NOT_FOUND");
    mina.is_notified_of_flow(&ride.ride_id, &["BIKE_RENTED"]).await;
}

async fn b4_a_bike_is_available_where_it_was_returned(app: Arc<Cluster>) {
    let (mina, jun, there) = (new_customer(&app), new_customer(&app), somewhere());
    let bike = app.admin().new_bike().await;
    let ride = mina.take(&bike).await.unwrap();
    let returned = mina.leave_at(&ride, there).await.unwrap();
    assert_eq!((returned.state(), returned.to.clone()), (RideState::Returned, Some(place("Seoul Forest", there))));
    assert!(returned.end_time.is_some());
    assert_eq!(mina.leave(&ride).await.unwrap(), returned, "a repetition changes nothing");
    let found = mina.sees_bike(&bike, BikeState::Available).await;
    assert_eq!(found.place, Some(place("Seoul Forest", there)));
    let near = ids(jun.bikes_near(there, 1).await.into_iter().map(|near| near.bike));
    assert_eq!(near, std::slice::from_ref(&bike.bike_id));
    jun.take(&bike).await.unwrap();
}

async fn b4_a_ride_whose_bike_was_written_off_costs_nothing(app: Arc<Cluster>) {
    let (admin, mina) = (app.admin(), new_customer(&app));
    let bike = admin.new_bike().await;
    let ride = mina.take(&bike).await.unwrap();
    mina.sees_bill(&ride, BillState::Open).await;
    assert_eq!(admin.remove_bike(&bike, true).await.unwrap().state(), BikeState::Removed);
    let bill = mina.sees_bill(&ride, BillState::Void).await;
    assert_eq!(bill.fee, None);
    assert_eq!(mina.ride(&ride).await.unwrap().state(), RideState::Voided);
    precondition(mina.leave(&ride).await, "RIDE_VOIDED");
    mina.is_notified_of_flow(&ride.ride_id, &["BIKE_RENTED", "RIDE_VOIDED"]).await;
    // There is no pending work.
    mina.take(&admin.new_bike().await).await.unwrap();
}

async fn b5_the_fee_is_deducted_from_the_deposit(app: Arc<Cluster>) {
    let mina = new_customer(&app);
    top_up(&mina, 1_000).await;
    let ride = mina.take(&app.admin().new_bike().await).await.unwrap();
    mina.leave(&ride).await.unwrap();
    let bill = mina.sees_bill(&ride, BillState::Closed).await;
    assert_eq!((bill.minutes, bill.fee.clone()), (1, Some(won(100))), "a minute at least");
    assert!(bill.close_time.is_some() && bill.arrears_time.is_none());
    let wallet = mina.send(contracts::wallet::v1::GetWalletRequest::default()).await.unwrap().wallet.unwrap();
    assert_eq!(wallet.deposit, Some(won(900)));
    mina.is_notified_of_flow(&ride.ride_id, &["BIKE_RENTED", "BILL_SETTLED"]).await;
}

async fn b5_a_ride_that_is_free_is_closed_at_once(setup: Setup) {
    let app = Cluster::new(setup).with(&["--set", "billing.least_minutes=0"]).started().await;
    let mina = app.by("mina");
    let ride = mina.take(&app.admin().new_bike().await).await.unwrap();
    mina.leave(&ride).await.unwrap();
    let bill = mina.sees_bill(&ride, BillState::Closed).await;
    assert_eq!((bill.minutes, bill.fee), (0, Some(won(0))), "less than a minute");
    mina.is_notified_of_flow(&ride.ride_id, &["BIKE_RENTED", "BILL_SETTLED"]).await;
    // `wallet` ignores it. The next event of the flow shows that it was handled.
    top_up(&mina, 1_000).await;
    let dead = app.run(&["dead", "list", "wallet", "--server", &app.url("wallet")]);
    assert_eq!(String::from_utf8_lossy(&dead.stdout), "0 dead letters\n");
    app.down().await;
}

async fn b5_arrears_block_the_next_rent_until_a_top_up_settles_them(app: Arc<Cluster>) {
    let (admin, mina) = (app.admin(), new_customer(&app));
    let ride = mina.take(&admin.new_bike().await).await.unwrap();
    mina.leave(&ride).await.unwrap();
    let bill = mina.sees_bill(&ride, BillState::Arrears).await;
    assert!(bill.arrears_time.is_some());
    let bike = admin.new_bike().await;
    // `ride` receives the event a moment later. A bike rented meanwhile is returned.
    eventually("the rent to be refused", async || match mina.take(&bike).await {
        Ok(ride) => {
            mina.leave(&ride).await.unwrap();
            mina.sees_bike(&bike, BikeState::Available).await;
            None
        }
        Err(status) => (status.code() == Code::FailedPrecondition).then_some(()),
    })
    .await;
    // The event may have crossed the refused rent, whose bike is available again a moment later.
    mina.sees_bike(&bike, BikeState::Available).await;
    precondition(mina.take(&bike).await, "BILL_IN_ARREARS");
    assert_eq!(mina.bike(&bike).await.state(), BikeState::Available, "no bike is taken for nothing");
    top_up(&mina, 10_000).await;
    mina.sees_bill(&ride, BillState::Closed).await;
    eventually("the rent to be taken", async || mina.take(&bike).await.ok()).await;
    mina.is_notified_of_flow(&ride.ride_id, &["BIKE_RENTED", "BILL_IN_ARREARS", "BILL_SETTLED"]).await;
}

async fn b6_one_read_model_shows_rides_bills_and_deposit(app: Arc<Cluster>) {
    let (mina, jun) = (new_customer(&app), new_customer(&app));
    top_up(&mina, 1_000).await;
    let bike = app.admin().new_bike().await;
    let ride = mina.take(&bike).await.unwrap();
    mina.sees_bike_page(&ride, BillState::Open).await;
    let returned = mina.leave(&ride).await.unwrap();
    let page = mina.sees_bike_page(&ride, BillState::Closed).await;
    assert_eq!((page.ride_state(), &page.bike_name), (RideState::Returned, &bike.name));
    assert_eq!((page.from.clone(), page.to.clone()), (returned.from, returned.to));
    assert_eq!((page.start_time, page.end_time), (returned.start_time, returned.end_time));
    assert_eq!((page.minutes, page.fee.clone()), (1, Some(won(100))));
    refused(jun.bike_page(&ride).await, Code::NotFound, "BIKE_RIDE_NOT_FOUND");
    let listed = eventually("the deposit on the page", async || {
        let listed = mina.send(contracts::mypage::v1::ListBikeRidesRequest::default()).await.ok()?;
        let deposit = listed.wallet.as_ref()?.deposit.clone()?;
        (deposit == won(900)).then_some(listed)
    })
    .await;
    assert_eq!(listed.bike_rides, [page]);
}

async fn b7_a_broken_bike_is_out_of_order(app: Arc<Cluster>) {
    let (admin, mina) = (app.admin(), new_customer(&app));
    let service = app.client(Who::Named { name: "upkeep".to_owned(), roles: "service" });
    let bike = admin.new_bike().await;
    let report = |usable: bool, battery_percent: i32| InspectBikeRequest {
        bike_id: bike.bike_id.clone(),
        report_id: new_id(),
        manager_id: "boss".to_owned(),
        battery_percent: Some(battery_percent),
        usable: Some(usable),
        ..Default::default()
    };
    let seen = service.send(report(false, 7)).await.unwrap().bike.unwrap();
    assert_eq!((seen.state(), seen.battery_percent), (BikeState::OutOfOrder, 7));
    precondition(mina.take(&bike).await, "BIKE_OUT_OF_ORDER");
    let mended = report(true, 90);
    let seen = service.send(mended.clone()).await.unwrap().bike.unwrap();
    assert_eq!((seen.state(), seen.battery_percent), (BikeState::Available, 90));
    // A bike that breaks during a ride is out of order after the return.
    let ride = mina.take(&bike).await.unwrap();
    let seen = service.send(report(false, 50)).await.unwrap().bike.unwrap();
    assert_eq!((seen.state(), seen.usable), (BikeState::InUse, false));
    // A report is applied once: a repeated old report changes nothing.
    service.send(mended).await.unwrap();
    mina.leave(&ride).await.unwrap();
    mina.sees_bike(&bike, BikeState::OutOfOrder).await;
    for battery_percent in [-1, 101, i32::MIN, i32::MAX] {
        wrong(service.send(report(true, battery_percent)).await, &["battery_percent"]);
    }
}

/// Staff of the bikes that no other trial uses.
fn bike_staff(app: &Cluster, name: &str) -> Client {
    app.client(Who::Named { name: format!("{name}-{}", new_id()), roles: "bike_staff" })
}

async fn x11_staff_end_a_ride_for_a_customer(app: Arc<Cluster>) {
    let (mina, sol) = (new_customer(&app), bike_staff(&app, "sol"));
    top_up(&mina, 100_000).await;
    let bike = sol.new_bike().await;
    let ride = mina.take(&bike).await.unwrap();
    let bring_back = |reason: &str| ReturnBikeRequest {
        ride_id: ride.ride_id.clone(),
        place: Some(place("Depot", somewhere())),
        reason: reason.to_owned(),
        ..Default::default()
    };
    refused(new_customer(&app).send(bring_back("mine")).await, Code::NotFound, "RIDE_NOT_FOUND");
    wrong(sol.send(bring_back("")).await, &["reason"]);
    let ended = sol.send(bring_back("it stood in the rain")).await.unwrap().ride.unwrap();
    let intervention = ended.intervention.clone().unwrap();
    assert_eq!((ended.state(), intervention.staff_id.as_str()), (RideState::Returned, sol.name()));
    assert_eq!(intervention.reason, "it stood in the rain");
    assert_eq!(mina.ride(&ride).await.unwrap(), ended, "the customer sees who ended it, and why");
    mina.sees_bill(&ride, BillState::Closed).await;
    sol.sees_bike(&bike, BikeState::Available).await;
}

async fn x11_a_long_ride_is_overdue(setup: Setup) {
    let app = Cluster::new(setup).with(&["--set", "ride.overdue_minutes=0"]).started().await;
    let (mina, sol) = (app.by("mina"), bike_staff(&app, "sol"));
    let ride = mina.take(&sol.new_bike().await).await.unwrap();
    let overdue = async || {
        let request = ListRidesRequest { overdue: true, ..Default::default() };
        sol.send(request).await.unwrap().rides
    };
    assert_eq!(eventually("it is overdue", async || overdue().await.pop()).await.ride_id, ride.ride_id);
    mina.leave(&ride).await.unwrap();
    assert_eq!(overdue().await, []);
    app.down().await;
}

async fn x12_a_bike_is_removed_by_its_owner(app: Arc<Cluster>) {
    let (sol, hana) = (bike_staff(&app, "sol"), bike_staff(&app, "hana"));
    let bike = sol.new_bike().await;
    assert_eq!(bike.owner_id, sol.name());
    refused(hana.remove_bike(&bike, false).await, Code::NotFound, "BIKE_NOT_FOUND");
    let transfer =
        TransferBikeRequest { bike_id: bike.bike_id.clone(), owner_id: hana.name().to_owned(), ..Default::default() };
    refused(sol.send(transfer.clone()).await, Code::PermissionDenied, "ROLE_MISSING");
    assert_eq!(app.admin().send(transfer).await.unwrap().bike.unwrap().owner_id, hana.name());
    refused(sol.remove_bike(&bike, false).await, Code::NotFound, "BIKE_NOT_FOUND");
    hana.remove_bike(&bike, false).await.unwrap();
    wrong(app.admin().send(TransferBikeRequest::default()).await, &["bike_id", "owner_id"]);
}

async fn hostile_bike_requests_name_every_wrong_field(app: Arc<Cluster>) {
    use contracts::bike::v1::{RegisterBikeRequest, RemoveBikeRequest};
    let (admin, mina) = (app.admin(), new_customer(&app));
    let service = app.client(Who::Named { name: "ride".to_owned(), roles: "service" });
    wrong(admin.send(RegisterBikeRequest::default()).await, &["name", "place", "battery_percent"]);
    let all = RegisterBikeRequest {
        request_id: "x".to_owned(),
        name: "\u{0}".to_owned(),
        place: Some(place("", (91.0, 181.0))),
        state: 77,
        battery_percent: Some(101),
    };
    let places = ["place.name", "place.latitude", "place.longitude"];
    wrong(admin.send(all).await, &[&["request_id", "name"], &places[..], &["state", "battery_percent"]].concat());
    let near_a_pole = some_bike("S-1", (89.0, 0.0));
    wrong(admin.send(near_a_pole).await, &["place.latitude"]);
    let in_use = RegisterBikeRequest { state: BikeState::InUse.into(), ..some_bike("S-1", somewhere()) };
    wrong(admin.send(in_use).await, &["state"]);
    let remove = RemoveBikeRequest { request_id: "x".to_owned(), bike_id: "y".to_owned(), written_off: true };
    wrong(admin.send(remove).await, &["request_id", "bike_id"]);
    wrong(mina.send(SearchBikesRequest::default()).await, &["latitude", "longitude"]);
    let far =
        SearchBikesRequest { latitude: Some(86.0), longitude: Some(f64::NAN), within_km: 101, ..Default::default() };
    wrong(mina.send(far).await, &["latitude", "longitude", "within_km"]);
    wrong(
        mina.send(ListBikesRequest { state: 99, page_size: -1, ..Default::default() }).await,
        &["page_size", "state"],
    );
    wrong(mina.send(RentBikeRequest::default()).await, &["bike_id"]);
    wrong(mina.send(ReturnBikeRequest::default()).await, &["ride_id", "place"]);
    wrong(service.send(TakeBikeRequest::default()).await, &["bike_id", "ride_id", "customer_id"]);
    let fields = ["bike_id", "report_id", "manager_id", "battery_percent", "usable"];
    wrong(service.send(InspectBikeRequest::default()).await, &fields);
    refused(mina.send(TakeBikeRequest::default()).await, Code::PermissionDenied, "ROLE_MISSING");
}
