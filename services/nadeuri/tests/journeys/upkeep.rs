//! Reports of managers on bikes, the points for them, and their conversion into deposit.

use std::sync::Arc;

use contracts::bike::v1::{Bike, BikeState, ListBikesRequest};
use contracts::upkeep::v1::{GetManagerRequest, ListReportsRequest, ReportBikeRequest};
use contracts::wallet::v1::{Account, CheckLedgerRequest, ConvertPointsRequest};
use tokio::sync::MutexGuard;
use tonic::Code;

use crate::runner::{Suite, journeys};
use crate::support::client::{Client, Who};
use crate::support::cluster::Cluster;
use crate::support::upkeep::report_on;
use crate::support::verbs::won;
use crate::support::wallets::holds;
use crate::support::{PATIENCE, eventually, eventually_within, new_id, precondition, refused, retry_delay, wrong};

pub fn add(suite: &mut Suite) {
    journeys! { suite.journey:
        b7_a_report_puts_a_bike_out_of_order_and_back,
        b8_an_applied_report_earns_points_once,
        b9_points_become_as_much_deposit_once,
        b10_a_manager_sees_bike_states_own_reports_and_points,
        hostile_reports_name_every_wrong_field,
    }
    journeys! { suite.fragile:
        b7_with_bike_down_a_report_is_refused_and_earns_nothing,
        b8_with_wallet_and_upkeep_down_the_points_come_later,
    }
}

/// A manager that no other trial uses.
fn manager(app: &Cluster) -> Client {
    app.client(Who::Named { name: format!("boss-{}", new_id()), roles: "bike_staff" })
}

async fn b7_a_report_puts_a_bike_out_of_order_and_back(app: Arc<Cluster>) {
    let (admin, boss) = (app.admin(), manager(&app));
    let bike = admin.bike_to_look_after().await;
    let report = boss.report(&bike, 15, false).await.unwrap();
    assert_eq!((&report.bike_id, report.battery_percent, report.usable), (&bike.bike_id, 15, false));
    // The report was applied to the bike before the response.
    let broken = boss.bike_as_it_is(&bike).await;
    assert_eq!((broken.state(), broken.battery_percent, broken.usable), (BikeState::OutOfOrder, 15, false));
    boss.report(&bike, 100, true).await.unwrap();
    let repaired = boss.bike_as_it_is(&bike).await;
    assert_eq!((repaired.state(), repaired.battery_percent, repaired.usable), (BikeState::Available, 100, true));
}

async fn b8_an_applied_report_earns_points_once(app: Arc<Cluster>) {
    let boss = manager(&app);
    let bike = app.admin().bike_to_look_after().await;
    let request = report_on(&bike, 60, true);
    let answers = futures::future::join_all((0..5).map(|_| boss.send(request.clone()))).await;
    let first = answers[0].as_ref().unwrap().report.clone().unwrap();
    assert!(answers.iter().all(|answer| answer.as_ref().unwrap().report.as_ref() == Some(&first)), "{answers:?}");
    assert_eq!(first.points, 1_000);
    boss.report(&bike, 59, true).await.unwrap();
    assert_eq!(holds(&boss.sees_points(2_000).await), (0, 2_000));
    let known = boss.as_manager().await;
    assert_eq!((known.reports, known.points_earned), (2, 2_000));
    let entries = boss.entries().await;
    assert!(
        entries.iter().all(|entry| (entry.from(), entry.to()) == (Account::Rewards, Account::Points)),
        "{entries:?}"
    );
    assert_eq!((entries.len(), &entries[1].reason_id), (2, &first.report_id));

    // A report that no bike applied does not count.
    let nowhere = Bike { bike_id: new_id(), ..Bike::default() };
    refused(boss.report(&nowhere, 60, true).await, Code::NotFound, "BIKE_NOT_FOUND");
    assert_eq!(boss.as_manager().await, known);
    let published = async || {
        let flow = app.admin().flow(&first.report_id).await;
        let mut kinds: Vec<String> = flow.iter().map(|event| event.r#type.replace("nadeuri.", "")).collect();
        kinds.sort();
        (kinds.len() == 3).then_some(kinds)
    };
    let story = eventually("all events are published", published).await;
    assert_eq!(story, ["bike.v1.BikeInspected", "upkeep.v1.ReportTaken", "wallet.v1.PointsEarned"]);
}

async fn b9_points_become_as_much_deposit_once(app: Arc<Cluster>) {
    let boss = manager(&app);
    let bike = app.admin().bike_to_look_after().await;
    precondition(boss.convert(1).await, "NOT_ENOUGH_POINTS");
    boss.report(&bike, 60, true).await.unwrap();
    boss.sees_points(1_000).await;
    let request = ConvertPointsRequest { request_id: new_id(), points: 600 };
    for _ in 0..3 {
        let wallet = boss.send(request.clone()).await.unwrap().wallet.unwrap();
        assert_eq!(holds(&wallet), (600, 400));
    }
    precondition(boss.convert(401).await, "NOT_ENOUGH_POINTS");
    assert_eq!(holds(&boss.sees_points(400).await), (600, 400));
    let known = boss.as_manager().await;
    assert_eq!((known.points_earned, known.points), (1_000, 400));
    let entries = boss.entries().await;
    let newest = &entries[0];
    assert_eq!((newest.from(), newest.to()), (Account::Points, Account::Deposit));
    assert_eq!((&newest.amount, &newest.deposit, newest.points), (&Some(won(600)), &Some(won(600)), 400));
    let checked = app.admin().send(CheckLedgerRequest {}).await.unwrap();
    assert_eq!(checked.findings, Vec::<String>::new());
}

async fn b10_a_manager_sees_bike_states_own_reports_and_points(app: Arc<Cluster>) {
    let (admin, boss, other) = (app.admin(), manager(&app), manager(&app));
    let bike = admin.bike_to_look_after().await;
    let none = boss.as_manager().await;
    assert_eq!((none.reports, none.points_earned, none.points, boss.reports().await), (0, 0, 0, vec![]));
    for percent in [60, 50, 40] {
        boss.report(&bike, percent, true).await.unwrap();
    }
    other.report(&bike, 30, true).await.unwrap();
    let mine = boss.reports().await;
    assert_eq!(mine.iter().map(|report| report.battery_percent).collect::<Vec<_>>(), [40, 50, 60]);
    let first = boss.send(ListReportsRequest { page_size: 2, ..Default::default() }).await.unwrap();
    let page_token = first.next_page_token.clone();
    let rest = boss.send(ListReportsRequest { page_size: 2, page_token }).await.unwrap();
    assert_eq!([first.reports, rest.reports].concat(), mine);
    assert!(rest.next_page_token.is_empty());

    // The bike has the state of the last report, by any manager. A broken bike is listed as out of order.
    let good = boss.bike_as_it_is(&bike).await;
    assert_eq!((good.state(), good.battery_percent, good.usable), (BikeState::Available, 30, true));
    let broken = admin.bike_to_look_after().await;
    boss.report(&broken, 15, false).await.unwrap();
    let found = boss.bike_as_it_is(&broken).await;
    assert_eq!((found.state(), found.battery_percent, found.usable), (BikeState::OutOfOrder, 15, false));
    let out_of_order = ListBikesRequest { state: BikeState::OutOfOrder.into(), page_size: 1_000, ..Default::default() };
    let listed = boss.send(out_of_order).await.unwrap().bikes;
    assert!(listed.contains(&found) && listed.iter().all(|bike| bike.bike_id != good.bike_id), "{listed:?}");

    let wallet = boss.sees_points(4_000).await;
    assert_eq!(holds(&wallet), (0, 4_000));
    let known = boss.as_manager().await;
    assert_eq!((known.reports, known.points_earned, known.points), (4, 4_000, 4_000));
    assert_eq!(holds(&other.sees_points(1_000).await), (0, 1_000), "each has the points of their own reports");

    let theirs = GetManagerRequest { manager_id: none.manager_id.clone() };
    refused(other.send(theirs.clone()).await, Code::NotFound, "MANAGER_NOT_FOUND");
    assert_eq!(admin.send(theirs).await.unwrap().manager.unwrap().reports, 4);
    let all = admin.send(ListReportsRequest { page_size: 1_000, ..Default::default() }).await.unwrap().reports;
    assert!(mine.iter().all(|report| all.contains(report)));
    let mina = app.by("mina");
    refused(mina.send(ListReportsRequest::default()).await, Code::PermissionDenied, "ROLE_MISSING");
    refused(mina.send(report_on(&bike, 60, true)).await, Code::PermissionDenied, "ROLE_MISSING");
}

async fn hostile_reports_name_every_wrong_field(app: Arc<Cluster>) {
    let boss = manager(&app);
    wrong(boss.send(ReportBikeRequest::default()).await, &["bike_id", "battery_percent", "usable"]);
    for battery_percent in [-1, 101, i32::MIN] {
        let (request_id, bike_id) = ("x".to_owned(), "y".to_owned());
        let bad = ReportBikeRequest { request_id, bike_id, battery_percent: Some(battery_percent), usable: Some(true) };
        wrong(boss.send(bad).await, &["request_id", "bike_id", "battery_percent"]);
    }
    wrong(
        boss.send(ListReportsRequest { page_size: -1, page_token: "x".to_owned() }).await,
        &["page_size", "page_token"],
    );
    wrong(app.admin().send(GetManagerRequest { manager_id: "x".repeat(129) }).await, &["manager_id"]);
    assert_eq!(boss.reports().await, [], "nothing was changed");
}

type Fragile = MutexGuard<'static, Option<Cluster>>;

async fn b7_with_bike_down_a_report_is_refused_and_earns_nothing(mut app: Fragile) {
    let app = app.as_mut().expect("it runs");
    let boss = manager(app);
    let bike = app.admin().bike_to_look_after().await;
    app.stop("bike").await;
    let request = report_on(&bike, 60, true);
    for _ in 0..8 {
        let away = refused(boss.send(request.clone()).await, Code::Unavailable, "BIKE_AWAY");
        assert!(retry_delay(&away).is_some(), "the response has a retry delay");
    }
    assert_eq!(boss.as_manager().await.reports, 0);
    app.start("bike").await;
    eventually_within(PATIENCE * 2, "reporting works again", async || boss.send(request.clone()).await.ok()).await;
    boss.sees_points(1_000).await;
    assert_eq!(boss.as_manager().await.reports, 1);
}

async fn b8_with_wallet_and_upkeep_down_the_points_come_later(mut app: Fragile) {
    let app = app.as_mut().expect("it runs");
    let boss = manager(app);
    let bike = app.admin().bike_to_look_after().await;
    app.stop("wallet").await;
    boss.report(&bike, 60, true).await.unwrap();
    assert_eq!(boss.as_manager().await.points_earned, 1_000);
    app.kill("upkeep");
    app.start("wallet").await;
    app.start("upkeep").await;
    assert_eq!(holds(&boss.sees_points(1_000).await), (0, 1_000));
}
