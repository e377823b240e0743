//! Compares the state of all contexts with each other and with the responses that customers got.

use std::collections::{BTreeMap, BTreeSet};

use contracts::chronicle::v1::{Event, ListEventsRequest};
use contracts::fleet::v1::CarStatus;
use contracts::mypage::v1::{CarRental, ListCarRentalsRequest};
use contracts::notification::v1::{ListMessagesRequest, Message};
use contracts::payment::v1::{ListPaymentsRequest, Payment, PaymentApproved, PaymentCancelled, PaymentState};
use contracts::rental::v1::{ListReservationsRequest, Reservation, ReservationState};
use prost_types::Timestamp;
use tokio::time::Instant;

use crate::load::{Acknowledged, Workload};
use crate::support::client::Client;
use crate::support::cluster::{Cluster, contexts};
use crate::support::{LOOK, PATIENCE};
use crate::{bikes, orders, rides, stays};

/// The state of all contexts, by the id of the reservation.
pub struct Snapshot {
    reservations: Vec<Reservation>,
    /// By the id of the purchase.
    pub payments: BTreeMap<String, Payment>,
    pages: BTreeMap<String, CarRental>,
    messages: Vec<Message>,
    events: Vec<Event>,
}

macro_rules! all {
    ($client:expr, $request:ident, $items:ident) => {{
        let mut items = Vec::new();
        let mut page_token = String::new();
        loop {
            #[allow(clippy::needless_update, reason = "not every request has further fields")]
            let request = $request { page_size: 1_000, page_token, ..Default::default() };
            let answer = $client.insist(request).await.map_err(|status| format!("{status:?}"))?;
            items.extend(answer.$items);
            page_token = answer.next_page_token;
            if page_token.is_empty() {
                break items;
            }
        }
    }};
}

pub(crate) use all;

impl Snapshot {
    async fn read(admin: &Client) -> Result<Snapshot, String> {
        let payments = all!(admin, ListPaymentsRequest, payments);
        let pages = all!(admin, ListCarRentalsRequest, car_rentals);
        Ok(Snapshot {
            reservations: all!(admin, ListReservationsRequest, reservations),
            payments: by_id(payments, |payment: &Payment| payment.purchase_id.clone())?,
            pages: by_id(pages, |page: &CarRental| page.reservation_id.clone())?,
            messages: all!(admin, ListMessagesRequest, messages),
            events: all!(admin, ListEventsRequest, events),
        })
    }
}

pub fn by_id<T>(items: Vec<T>, id: impl Fn(&T) -> String) -> Result<BTreeMap<String, T>, String> {
    let mut map = BTreeMap::new();
    for item in items {
        let id = id(&item);
        ensure(map.insert(id.clone(), item).is_none(), || format!("{id} exists twice"))?;
    }
    Ok(map)
}

pub fn ensure(is_so: bool, why: impl FnOnce() -> String) -> Result<(), String> {
    if is_so { Ok(()) } else { Err(why()) }
}

/// The end of a fault test: [`check`]s, and stops the processes.
pub async fn finish(workload: Workload, cluster: Cluster) {
    check(&workload, &cluster).await;
    cluster.down().await;
}

/// Waits until no work is pending, and checks that nothing was lost and nothing was done twice.
async fn check(workload: &Workload, cluster: &Cluster) {
    let acknowledged = workload.acknowledged.borrow().clone();
    println!("{} flows", acknowledged.len());
    let admin = cluster.admin();
    // After so many faults, outboxes and queues take a while to drain on few cores.
    let limit = Instant::now() + PATIENCE * 4;
    while let Err(why) = audit(&acknowledged, workload, &admin).await {
        assert!(Instant::now() < limit, "{why}\n\nthe servers say:\n{}", cluster.logs());
        tokio::time::sleep(LOOK * 10).await;
    }
    for context in contexts() {
        let listed = cluster.run(&["dead", "list", context, "--server", &cluster.url(context)]);
        let said = String::from_utf8_lossy(&listed.stdout);
        assert_eq!(said, "0 dead letters\n", "{context}: {}", String::from_utf8_lossy(&listed.stderr));
    }
}

async fn audit(acknowledged: &[Acknowledged], workload: &Workload, admin: &Client) -> Result<(), String> {
    let snapshot = Snapshot::read(admin).await?;
    let known: BTreeSet<&str> = snapshot.reservations.iter().map(|found| found.reservation_id.as_str()).collect();
    let expected_ids: BTreeSet<&str> =
        acknowledged.iter().map(|acknowledged| acknowledged.reservation.reservation_id.as_str()).collect();
    ensure(known == expected_ids, || {
        let (extra, lost): (Vec<_>, Vec<_>) =
            (known.difference(&expected_ids).collect(), expected_ids.difference(&known).collect());
        format!("these were never acknowledged: {extra:?}; these are lost: {lost:?}")
    })?;
    let sold = acknowledged.len() + workload.rides.ended.borrow().len() + workload.stays.acknowledged.borrow().len();
    let sold = sold + workload.bikes.top_ups() + workload.orders.acknowledged.borrow().len();
    ensure(snapshot.payments.len() == sold, || format!("{} payments for {sold}", snapshot.payments.len()))?;
    ensure(snapshot.pages.len() == acknowledged.len(), || format!("{} pages", snapshot.pages.len()))?;
    for acknowledged in acknowledged {
        reservation(acknowledged, &snapshot)?;
    }
    rides::audit(&workload.rides, &snapshot, admin).await?;
    stays::audit(&workload.stays, &snapshot, admin).await?;
    bikes::audit(&workload.bikes, &snapshot, admin).await?;
    orders::audit(&workload.orders, &snapshot, admin).await?;
    no_overlaps(&snapshot.reservations)?;
    messages(&snapshot)?;
    event_log(&snapshot)?;
    for car in &workload.cars {
        let car = admin.car(car).await.map_err(|status| format!("{status:?}"))?;
        let of_car = || snapshot.reservations.iter().filter(|found| found.car_id == car.car_id);
        let has = |state| of_car().any(|found| found.state() == state);
        let status = match (has(ReservationState::Rented), has(ReservationState::Reserved)) {
            (true, _) => CarStatus::Rented,
            (false, true) => CarStatus::Reserved,
            (false, false) => CarStatus::Available,
        };
        ensure(car.status() == status, || format!("{car:?} should be {status:?}"))?;
        let rated = of_car().filter(|found| found.stars > 0).count() as i64;
        ensure(car.rating_count == rated, || format!("{car:?} should have {rated} ratings"))?;
    }
    Ok(())
}

/// A reservation is as its customer's last response says, and its payment and its read model match.
fn reservation(acknowledged: &Acknowledged, snapshot: &Snapshot) -> Result<(), String> {
    let id = &acknowledged.reservation.reservation_id;
    let found = snapshot.reservations.iter().find(|found| found.reservation_id == *id);
    let found = found.ok_or_else(|| format!("{id} is lost"))?;
    let same = (&found.period, &found.price, &found.customer_id, &found.car_id)
        == (
            &acknowledged.reservation.period,
            &acknowledged.reservation.price,
            &acknowledged.reservation.customer_id,
            &acknowledged.reservation.car_id,
        );
    ensure(same && found.state() == acknowledged.state && found.stars == acknowledged.stars, || {
        format!("{acknowledged:?} became {found:?}")
    })?;

    let payment = snapshot.payments.get(id).ok_or_else(|| format!("{id} has no payment"))?;
    let state = acknowledged.payment_state();
    let refunded = acknowledged.paid && state == PaymentState::Cancelled;
    ensure(payment.state() == state && payment.refunded == refunded, || format!("{acknowledged:?} has {payment:?}"))?;
    ensure(payment.amount == found.price, || format!("{found:?} costs {payment:?}"))?;

    let page = snapshot.pages.get(id).ok_or_else(|| format!("{id} has no page"))?;
    let shows = (page.rental_state(), page.payment_state(), page.stars, &page.payment_id, &page.price, &page.period);
    let is = (found.state(), payment.state(), found.stars, &payment.payment_id, &found.price, &found.period);
    ensure(shows == is, || format!("{found:?} with {payment:?} is shown as {page:?}"))
}

/// No car is reserved twice for the same time.
fn no_overlaps(reservations: &[Reservation]) -> Result<(), String> {
    let is_open = |state| matches!(state, ReservationState::Reserved | ReservationState::Rented);
    let mut open: Vec<(&str, [i64; 2])> = Vec::new();
    for found in reservations.iter().filter(|found| is_open(found.state())) {
        let micros =
            |time: Option<Timestamp>| time.map_or(0, |time| time.seconds * 1_000_000 + i64::from(time.nanos) / 1_000);
        let period = found.period.as_ref().ok_or("no period")?;
        open.push((&found.car_id, [micros(period.start_time), micros(period.end_time)]));
    }
    open.sort();
    let overlap = open.windows(2).find(|pair| pair[0].0 == pair[1].0 && pair[0].1[1] > pair[1].1[0]);
    overlap.map_or(Ok(()), |pair| Err(format!("{pair:?} overlap")))
}

/// There is one message for each event that customers are notified of.
fn messages(snapshot: &Snapshot) -> Result<(), String> {
    let cars = ["CarReserved", "CarRented", "CarReturned", "ReservationCancelled", "RentalCancellationRefused"];
    let taxis = ["TaxiHailed", "TaxiAllocated", "DriveStarted", "DriveFinished"];
    let stays = ["StayReserved", "StayConfirmed", "StayCancelled", "VoucherIssued"];
    let bikes = ["RideStarted", "RideVoided", "BillClosed", "BillInArrears", "DepositToppedUp"];
    let orders = ["OrderPlaced", "OrderConfirmed", "OrderCancelled", "DeliveryStarted", "DeliveryCompleted"];
    let is_notified = |event: &&Event| match event.r#type.rsplit_once('.').map(|(_, name)| name) {
        Some("PaymentCancelled") => {
            let cancelled = event.data.as_ref().and_then(|data| data.to_msg::<PaymentCancelled>().ok());
            cancelled.and_then(|cancelled| cancelled.payment).is_some_and(|payment| payment.refunded)
        }
        // A purchase that was used before is notified of when it is paid.
        Some("PaymentApproved") => {
            let approved = event.data.as_ref().and_then(|data| data.to_msg::<PaymentApproved>().ok());
            approved.and_then(|approved| approved.payment).is_some_and(|payment| payment.used)
        }
        Some("PaymentRefused") => true,
        Some(name) => [&cars[..], &taxis, &stays, &bikes, &orders].concat().contains(&name),
        None => false,
    };
    let events: BTreeSet<&str> =
        snapshot.events.iter().filter(is_notified).map(|event| event.event_id.as_str()).collect();
    let messages: BTreeSet<&str> = snapshot.messages.iter().map(|message| message.message_id.as_str()).collect();
    ensure(messages.len() == snapshot.messages.len(), || "a message exists twice".to_owned())?;
    ensure(events == messages, || {
        format!(
            "events without a message: {:?}; messages without an event: {:?}",
            events.difference(&messages).collect::<Vec<_>>(),
            messages.difference(&events).collect::<Vec<_>>()
        )
    })
}

/// The chronicle has each event once, and each reservation has each event at most once.
fn event_log(snapshot: &Snapshot) -> Result<(), String> {
    let ids: BTreeSet<&str> = snapshot.events.iter().map(|event| event.event_id.as_str()).collect();
    ensure(ids.len() == snapshot.events.len(), || "the chronicle has an event twice".to_owned())?;
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for event in &snapshot.events {
        ensure(event.causation_id.is_empty() || ids.contains(event.causation_id.as_str()), || {
            format!("the cause of {event:?} is missing")
        })?;
        *counts.entry((&event.flow_id, event.r#type.as_str())).or_default() += 1;
    }
    // Only declined cards and status changes of cars may repeat.
    let may_repeat = |kind: &str| kind.ends_with(".PaymentRefused") || kind.starts_with("nadeuri.fleet.");
    let twice = counts.iter().find(|((_, kind), count)| **count > 1 && !may_repeat(kind));
    ensure(twice.is_none(), || format!("{twice:?} happened more than once"))?;
    for found in &snapshot.reservations {
        let id = found.reservation_id.as_str();
        let has = |kind: &str| counts.contains_key(&(id, kind));
        let state = found.state();
        let expected = [
            ("nadeuri.rental.v1.CarReserved", true),
            ("nadeuri.payment.v1.PaymentRequested", true),
            ("nadeuri.rental.v1.CarReturned", state == ReservationState::Returned),
            ("nadeuri.payment.v1.PaymentSettled", state == ReservationState::Returned),
            ("nadeuri.rental.v1.ReservationCancelled", state == ReservationState::Cancelled),
            ("nadeuri.payment.v1.PaymentCancelled", state == ReservationState::Cancelled),
            ("nadeuri.rental.v1.RentalRated", found.stars > 0),
            ("nadeuri.rental.v1.RentRefused", false),
        ];
        for (kind, is_expected) in expected {
            ensure(has(kind) == is_expected, || format!("{found:?}: {kind} is {} the chronicle", has(kind)))?;
        }
        let paid = has("nadeuri.payment.v1.PaymentApproved");
        ensure(paid == has("nadeuri.rental.v1.CarRented"), || {
            format!("{found:?} was paid but not rented, or rented but not paid")
        })?;
    }
    Ok(())
}
