//! Who drives and rides: shifts, one drive and one hail at a time, start codes, and staff.

use std::sync::Arc;

use contracts::dispatch::v1::{CancellationCause, HailState};
use contracts::driving::v1::{
    AcceptDriveRequest, DriveCancellationCause, DriveState, EndShiftRequest, FareState, FinishDriveRequest,
    GetShiftRequest, ListDrivesRequest, ListOffersRequest, StartDriveRequest, StartShiftRequest,
};
use contracts::mypage::v1::TaxiRide;
use contracts::payment::v1::PaymentState;
use futures::future::join_all;
use tonic::Code;

use crate::runner::{Suite, journeys};
use crate::support::client::{Client, Who};
use crate::support::cluster::{Cluster, Setup};
use crate::support::taxis::somewhere;
use crate::support::verbs::won;
use crate::support::{BAD_CARD, GOOD_CARD, eventually, precondition, refused, retry_delay, somebody, wrong};
use crate::taxis::{payment_of, ride};

pub fn add(suite: &mut Suite) {
    journeys! { suite.journey:
        t10_a_driver_is_on_duty_to_look_for_and_accept_drives,
        t10_a_driver_has_one_drive_at_a_time,
        t10_a_released_drive_is_offered_to_others,
        t11_a_customer_has_one_open_hail,
        t11_a_customer_who_owes_a_fare_does_not_hail,
        t14_a_drive_starts_with_the_code_that_the_customer_has,
        t14_a_driver_who_waited_cancels_the_drive,
        x11_staff_of_taxis_end_what_driver_and_customer_do_not,
        x12_staff_of_other_lines_are_not_staff_of_taxis,
    }
    suite.own("x11_a_drive_that_does_not_end_is_listed_for_staff", x11_a_drive_that_does_not_end_is_listed_for_staff);
}

async fn t10_a_driver_is_on_duty_to_look_for_and_accept_drives(app: Arc<Cluster>) {
    let (mina, kim) = (app.by(&somebody("mina")), app.driver(&somebody("kim")));
    let hail = mina.hail().await;
    let drive = app.driver(&somebody("lee")).sees_offer(&hail).await;
    let (latitude, longitude) = (Some(37.5), Some(127.0));
    let look = ListOffersRequest { latitude, longitude, ..Default::default() };
    let accept = AcceptDriveRequest { drive_id: drive.drive_id.clone(), ..Default::default() };
    precondition(kim.send(look.clone()).await, "OFF_DUTY");
    precondition(kim.send(accept.clone()).await, "OFF_DUTY");
    assert!(!kim.send(GetShiftRequest {}).await.unwrap().shift.unwrap().on_duty);
    let shift = kim.send(StartShiftRequest::default()).await.unwrap().shift.unwrap();
    assert!(shift.on_duty && shift.driver_id.starts_with("kim-"));
    kim.send(look).await.unwrap();
    kim.send(accept.clone()).await.unwrap();
    assert!(!kim.send(EndShiftRequest::default()).await.unwrap().shift.unwrap().on_duty);
    precondition(kim.send(accept).await, "OFF_DUTY");
    assert_eq!(kim.depart(&drive).await.unwrap().state(), DriveState::Started, "the drive goes on");
}

async fn t10_a_driver_has_one_drive_at_a_time(app: Arc<Cluster>) {
    let kim = app.driver(&somebody("kim"));
    let mut drives = Vec::new();
    for _ in 0..20 {
        let hail = app.by(&somebody("mina")).hail().await;
        drives.push(kim.sees_offer(&hail).await);
    }
    let answers = join_all(drives.iter().map(|drive| kim.accept(drive))).await;
    let (mut taken, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert_eq!((taken.len(), refused.len()), (1, 19));
    for answer in refused {
        precondition(answer, "ALREADY_DRIVING");
    }
    let taken = taken.pop().unwrap().unwrap();
    let other = drives.iter().find(|drive| drive.drive_id != taken.drive_id).unwrap();
    kim.depart(&taken).await.unwrap();
    precondition(kim.accept(other).await, "ALREADY_DRIVING");
    kim.arrive(&taken).await.unwrap();
    kim.accept(other).await.unwrap();
}

async fn t10_a_released_drive_is_offered_to_others(app: Arc<Cluster>) {
    let (mina, kim, lee) = (app.by(&somebody("mina")), app.driver(&somebody("kim")), app.driver(&somebody("lee")));
    let hail = mina.hail().await;
    let drive = kim.accept(&kim.sees_offer(&hail).await).await.unwrap();
    mina.sees_hail(&hail, HailState::Allocated).await;
    refused(lee.release(&drive, "").await, Code::NotFound, "DRIVE_NOT_FOUND");
    assert_eq!(kim.release(&drive, "").await.unwrap().state(), DriveState::Offered);
    let requested = mina.sees_hail(&hail, HailState::Requested).await;
    assert_eq!((requested.driver_id, requested.drive_id), (String::new(), String::new()));
    let nobody = |page: &TaxiRide| page.driver_id.is_empty() && page.hail_state() == HailState::Requested;
    mina.sees_ride_page(&hail, "the page names no driver", nobody).await;
    let pickup = hail.pickup.clone().unwrap();
    assert!(kim.offers((pickup.latitude.unwrap(), pickup.longitude.unwrap()), 1).await.is_empty());
    lee.sees_offer(&hail).await;
    lee.accept(&drive).await.unwrap();
    assert!(mina.sees_hail(&hail, HailState::Allocated).await.driver_id.starts_with("lee-"));
    lee.depart(&drive).await.unwrap();
    precondition(lee.release(&drive, "").await, "DRIVE_STARTED");
    mina.is_notified_of_flow(
        &hail.hail_id,
        &["TAXI_HAILED", "TAXI_ALLOCATED", "TAXI_RELEASED", "TAXI_ALLOCATED", "DRIVE_STARTED"],
    )
    .await;
}

async fn t11_a_customer_has_one_open_hail(app: Arc<Cluster>) {
    let mina = app.by(&somebody("mina"));
    let answers = join_all((0..50).map(|_| mina.hail_from(somewhere(), GOOD_CARD))).await;
    let (mut hailed, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert_eq!((hailed.len(), refused.len()), (1, 49));
    for answer in refused {
        precondition(answer, "TOO_MANY_HAILS");
    }
    let hail = hailed.pop().unwrap().unwrap();
    mina.cancel_hail(&hail).await.unwrap();
    mina.sees_hail(&hail, HailState::Cancelled).await;
    mina.hail().await;
}

async fn t11_a_customer_who_owes_a_fare_does_not_hail(app: Arc<Cluster>) {
    let mina = app.by(&somebody("mina"));
    let (driver, hail, drive) = ride(&app, &mina, BAD_CARD).await;
    assert_eq!(driver.arrive(&drive).await.unwrap().fare_state(), FareState::Refused);
    eventually("the customer owes it", async || mina.hail_of(&hail).await.ok().filter(|hail| hail.fare_owed)).await;
    mina.sees_hail(&hail, HailState::Finished).await;
    precondition(mina.hail_from(somewhere(), GOOD_CARD).await, "FARE_OWED");
    let payment = payment_of(&mina, &hail, PaymentState::Refused).await;
    mina.charge(&payment.payment_id, GOOD_CARD).await.unwrap();
    eventually("the customer may hail", async || mina.hail_from(somewhere(), GOOD_CARD).await.ok()).await;
}

async fn t14_a_drive_starts_with_the_code_that_the_customer_has(app: Arc<Cluster>) {
    let (mina, kim) = (app.by(&somebody("mina")), app.driver(&somebody("kim")));
    let hail = mina.hail().await;
    assert!(hail.start_code.len() == 4 && hail.start_code.bytes().all(|digit| digit.is_ascii_digit()));
    let drive = kim.accept(&kim.sees_offer(&hail).await).await.unwrap();
    let start =
        |code: String| StartDriveRequest { drive_id: drive.drive_id.clone(), start_code: code, ..Default::default() };
    let right: u32 = hail.start_code.parse().unwrap();
    for other in 1..=5 {
        precondition(kim.send(start(format!("{:04}", (right + other) % 10_000))).await, "WRONG_START_CODE");
    }
    precondition(kim.send(start(hail.start_code.clone())).await, "TOO_MANY_START_CODES");
    let sol = taxi_staff(&app);
    wrong(sol.send(start(String::new())).await, &["reason"]);
    let reason = "the driver mistyped it".to_owned();
    let started = sol.send(StartDriveRequest { reason, ..start(String::new()) }).await.unwrap().drive.unwrap();
    assert_eq!(started.state(), DriveState::Started);
    assert_eq!(started.intervention.unwrap().reason, "the driver mistyped it");
}

async fn t14_a_driver_who_waited_cancels_the_drive(app: Arc<Cluster>) {
    let (mina, kim) = (app.by(&somebody("mina")), app.driver(&somebody("kim")));
    let hail = mina.hail().await;
    let drive = kim.accept(&kim.sees_offer(&hail).await).await.unwrap();
    let early = kim.cancel_drive(&drive, "").await;
    assert!(early.as_ref().is_err_and(|status| retry_delay(status).is_some()));
    precondition(early, "CUSTOMER_MAY_COME");
    refused(app.driver(&somebody("lee")).cancel_drive(&drive, "").await, Code::NotFound, "DRIVE_NOT_FOUND");
}

async fn x11_staff_of_taxis_end_what_driver_and_customer_do_not(app: Arc<Cluster>) {
    let (mina, sol) = (app.by(&somebody("mina")), taxi_staff(&app));
    // The driver does not come: staff release the drive, and then cancel it.
    let kim = app.driver(&somebody("kim"));
    let hail = mina.hail().await;
    let drive = kim.accept(&kim.sees_offer(&hail).await).await.unwrap();
    wrong(sol.release(&drive, "").await, &["reason"]);
    let released = sol.release(&drive, "the driver is ill").await.unwrap();
    assert_eq!(released.intervention.unwrap().reason, "the driver is ill");
    let cancelled = sol.cancel_drive(&drive, "no car is near").await.unwrap();
    assert_eq!(cancelled.state(), DriveState::Cancelled);
    let seen = mina.sees_hail(&hail, HailState::Cancelled).await;
    assert_eq!(seen.cancellation_cause(), CancellationCause::Staff);
    let intervention = seen.intervention.unwrap();
    assert!(intervention.staff_id.starts_with("sol-") && intervention.reason == "no car is near");
    let shows = |page: &TaxiRide| page.hail_state() == HailState::Cancelled && page.intervention.is_some();
    let page = mina.sees_ride_page(&hail, "the page says why", shows).await;
    assert_eq!(page.intervention, Some(intervention));
    let told = mina.is_told(&hail.hail_id, "TAXI_CANCELLED").await;
    assert!(told.contains("no car is near"), "{told}");

    // The driver does not finish the drive: staff do, and say what it costs.
    let (_, hail, drive) = ride(&app, &mina, GOOD_CARD).await;
    let finish = FinishDriveRequest {
        drive_id: drive.drive_id.clone(),
        reason: "the driver's phone is broken".to_owned(),
        fare: Some(won(7_000)),
        ..Default::default()
    };
    let finished = sol.send(finish).await.unwrap().drive.unwrap();
    assert_eq!((finished.state(), finished.fare), (DriveState::Finished, Some(won(7_000))));
    mina.sees_ride_page(&hail, "it is paid", |page| page.payment_state() == PaymentState::Settled).await;
}

async fn x11_a_drive_that_does_not_end_is_listed_for_staff(setup: Setup) {
    let settings = ["--set", "driving.no_show_seconds=0", "--set", "driving.accepted_seconds=1"];
    let app = Cluster::new(setup).with(&settings).started().await;
    let (mina, kim, sol) = (app.by("mina"), app.driver("kim"), taxi_staff(&app));
    let hail = mina.hail().await;
    let drive = kim.accept(&kim.sees_offer(&hail).await).await.unwrap();
    let overdue = async || sol.send(ListDrivesRequest { overdue: true, ..Default::default() }).await.unwrap().drives;
    let listed = eventually("it is overdue", async || overdue().await.pop()).await;
    assert_eq!(listed, drive);
    // A customer who did not come.
    let cancelled = kim.cancel_drive(&drive, "").await.unwrap();
    assert_eq!(cancelled.cancellation_cause(), DriveCancellationCause::NoShow);
    let seen = mina.sees_hail(&hail, HailState::Cancelled).await;
    assert_eq!(seen.cancellation_cause(), CancellationCause::NoShow);
    assert_eq!(overdue().await, []);
    app.down().await;
}

async fn x12_staff_of_other_lines_are_not_staff_of_taxis(app: Arc<Cluster>) {
    let mina = app.by(&somebody("mina"));
    let hail = mina.hail().await;
    let drive = app.driver(&somebody("kim")).sees_offer(&hail).await;
    for roles in ["car_staff", "resort_staff", "bike_staff", "shop_staff", "manager", "courier"] {
        let other = app.client(Who::Named { name: somebody("other"), roles });
        refused(other.cancel_drive(&drive, "I can").await, Code::PermissionDenied, "ROLE_MISSING");
        refused(other.hail_of(&hail).await, Code::PermissionDenied, "ROLE_MISSING");
    }
    // A driver who has another role, too, is a driver there.
    refused(
        app.driver(&somebody("lee")).cancel_drive(&drive, "x").await,
        Code::FailedPrecondition,
        "DRIVE_NOT_ACCEPTED",
    );
}

/// Staff of the taxi line.
fn taxi_staff(app: &Cluster) -> Client {
    app.client(Who::Named { name: somebody("sol"), roles: "taxi_staff" })
}
