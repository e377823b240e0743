//! Looks into all books, and compares them with each other and with what customers were told.

use std::collections::{BTreeMap, BTreeSet};

use contracts::chronicle::v1::{Event, ListEventsRequest};
use contracts::fleet::v1::CarStatus;
use contracts::mypage::v1::{CarRental, ListCarRentalsRequest};
use contracts::notification::v1::{ListMessagesRequest, Message};
use contracts::payment::v1::{ListPaymentsRequest, Payment, PaymentApproved, PaymentCancelled, PaymentState};
use contracts::rental::v1::{ListReservationsRequest, Reservation, ReservationState};
use prost_types::Timestamp;
use tokio::time::Instant;

use crate::load::{Told, Town};
use crate::support::client::Client;
use crate::support::cluster::{Cluster, contexts};
use crate::support::{LOOK, PATIENCE};
use crate::{bikes, orders, rides, stays};

/// Everything that is written down, by the id of the reservation.
pub struct Books {
    reservations: Vec<Reservation>,
    /// By what is paid for.
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

impl Books {
    async fn read(admin: &Client) -> Result<Books, String> {
        let payments = all!(admin, ListPaymentsRequest, payments);
        let pages = all!(admin, ListCarRentalsRequest, car_rentals);
        Ok(Books {
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
        ensure(map.insert(id.clone(), item).is_none(), || format!("{id} is there twice"))?;
    }
    Ok(map)
}

pub fn ensure(is_so: bool, why: impl FnOnce() -> String) -> Result<(), String> {
    if is_so { Ok(()) } else { Err(why()) }
}

/// Waits until all has come to rest, and checks that nothing was lost and nothing done twice.
pub async fn check(town: &Town, cluster: &Cluster) {
    let told = town.told.borrow().clone();
    println!("{} flows", told.len());
    let admin = cluster.admin();
    // What waits in outboxes and queues after so many faults takes a while on few cores.
    let limit = Instant::now() + PATIENCE * 4;
    while let Err(why) = audit(&told, town, &admin).await {
        assert!(Instant::now() < limit, "{why}\n\nthe servers say:\n{}", cluster.logs());
        tokio::time::sleep(LOOK * 10).await;
    }
    for context in contexts() {
        let listed = cluster.run(&["dead", "list", context, "--server", &cluster.url(context)]);
        let said = String::from_utf8_lossy(&listed.stdout);
        assert_eq!(said, "0 dead letters\n", "{context}: {}", String::from_utf8_lossy(&listed.stderr));
    }
}

async fn audit(told: &[Told], town: &Town, admin: &Client) -> Result<(), String> {
    let books = Books::read(admin).await?;
    let known: BTreeSet<&str> = books.reservations.iter().map(|found| found.reservation_id.as_str()).collect();
    let acknowledged: BTreeSet<&str> = told.iter().map(|told| told.reservation.reservation_id.as_str()).collect();
    ensure(known == acknowledged, || {
        let (extra, lost): (Vec<_>, Vec<_>) =
            (known.difference(&acknowledged).collect(), acknowledged.difference(&known).collect());
        format!("nobody was told of {extra:?}, and these are lost: {lost:?}")
    })?;
    let sold = told.len() + town.rides.ended.borrow().len() + town.stays.told.borrow().len();
    let sold = sold + town.bikes.top_ups() + town.orders.told.borrow().len();
    ensure(books.payments.len() == sold, || format!("{} payments for {sold}", books.payments.len()))?;
    ensure(books.pages.len() == told.len(), || format!("{} pages", books.pages.len()))?;
    for told in told {
        one(told, &books)?;
    }
    rides::audit(&town.rides, &books, admin).await?;
    stays::audit(&town.stays, &books, admin).await?;
    bikes::audit(&town.bikes, &books, admin).await?;
    orders::audit(&town.orders, &books, admin).await?;
    no_overlaps(&books.reservations)?;
    messages(&books)?;
    stories(&books)?;
    for car in &town.cars {
        let car = admin.car(car).await.map_err(|status| format!("{status:?}"))?;
        let of_car = || books.reservations.iter().filter(|found| found.car_id == car.car_id);
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

/// A reservation is what its customer was told, and its payment and its page match.
fn one(told: &Told, books: &Books) -> Result<(), String> {
    let id = &told.reservation.reservation_id;
    let found = books.reservations.iter().find(|found| found.reservation_id == *id);
    let found = found.ok_or_else(|| format!("{id} is lost"))?;
    let same = (&found.period, &found.price, &found.customer_id, &found.car_id)
        == (&told.reservation.period, &told.reservation.price, &told.reservation.customer_id, &told.reservation.car_id);
    ensure(same && found.state() == told.state && found.stars == told.stars, || format!("{told:?} became {found:?}"))?;

    let payment = books.payments.get(id).ok_or_else(|| format!("{id} has no payment"))?;
    let state = match told.state {
        ReservationState::Reserved => PaymentState::Requested,
        ReservationState::Rented => PaymentState::Approved,
        ReservationState::Returned => PaymentState::Settled,
        _ => PaymentState::Cancelled,
    };
    let refunded = told.paid && state == PaymentState::Cancelled;
    ensure(payment.state() == state && payment.refunded == refunded, || format!("{told:?} has {payment:?}"))?;
    ensure(payment.amount == found.price, || format!("{found:?} costs {payment:?}"))?;

    let page = books.pages.get(id).ok_or_else(|| format!("{id} has no page"))?;
    let shows = (page.rental_state(), page.payment_state(), page.stars, &page.payment_id, &page.price, &page.period);
    let is = (found.state(), payment.state(), found.stars, &payment.payment_id, &found.price, &found.period);
    ensure(shows == is, || format!("{found:?} with {payment:?} is shown as {page:?}"))
}

/// No car is promised twice.
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

/// There is one message for each event that customers are told of.
fn messages(books: &Books) -> Result<(), String> {
    let cars = ["CarReserved", "CarRented", "CarReturned", "ReservationCancelled", "RentalCancellationRefused"];
    let taxis = ["TaxiHailed", "TaxiAllocated", "DriveStarted", "DriveFinished"];
    let stays = ["StayReserved", "StayConfirmed", "StayCancelled", "VoucherIssued"];
    let bikes = ["RideStarted", "RideVoided", "BillClosed", "BillInArrears", "DepositToppedUp"];
    let orders = ["OrderPlaced", "OrderConfirmed", "OrderCancelled", "DeliveryStarted", "DeliveryCompleted"];
    let is_told = |event: &&Event| match event.r#type.rsplit_once('.').map(|(_, name)| name) {
        Some("PaymentCancelled") => {
            let cancelled = event.data.as_ref().and_then(|data| data.to_msg::<PaymentCancelled>().ok());
            cancelled.and_then(|cancelled| cancelled.payment).is_some_and(|payment| payment.refunded)
        }
        // What was used before is told of by its payment.
        Some("PaymentApproved") => {
            let approved = event.data.as_ref().and_then(|data| data.to_msg::<PaymentApproved>().ok());
            approved.and_then(|approved| approved.payment).is_some_and(|payment| payment.used)
        }
        Some("PaymentRefused") => true,
        Some(name) => [&cars[..], &taxis, &stays, &bikes, &orders].concat().contains(&name),
        None => false,
    };
    let events: BTreeSet<&str> = books.events.iter().filter(is_told).map(|event| event.event_id.as_str()).collect();
    let messages: BTreeSet<&str> = books.messages.iter().map(|message| message.message_id.as_str()).collect();
    ensure(messages.len() == books.messages.len(), || "a message is there twice".to_owned())?;
    ensure(events == messages, || {
        format!(
            "not told: {:?}; told though it never happened: {:?}",
            events.difference(&messages).collect::<Vec<_>>(),
            messages.difference(&events).collect::<Vec<_>>()
        )
    })
}

/// The chronicle has each event once, and what can happen once to a reservation happened once.
fn stories(books: &Books) -> Result<(), String> {
    let ids: BTreeSet<&str> = books.events.iter().map(|event| event.event_id.as_str()).collect();
    ensure(ids.len() == books.events.len(), || "the chronicle has an event twice".to_owned())?;
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for event in &books.events {
        ensure(event.causation_id.is_empty() || ids.contains(event.causation_id.as_str()), || {
            format!("the cause of {event:?} is missing")
        })?;
        *counts.entry((&event.flow_id, event.r#type.as_str())).or_default() += 1;
    }
    // A card may be declined, and cars change their status, more than once.
    let may_repeat = |kind: &str| kind.ends_with(".PaymentRefused") || kind.starts_with("nadeuri.fleet.");
    let twice = counts.iter().find(|((_, kind), count)| **count > 1 && !may_repeat(kind));
    ensure(twice.is_none(), || format!("{twice:?} happened more than once"))?;
    for found in &books.reservations {
        let id = found.reservation_id.as_str();
        let has = |kind: &str| counts.contains_key(&(id, kind));
        let state = found.state();
        let wanted = [
            ("nadeuri.rental.v1.CarReserved", true),
            ("nadeuri.payment.v1.PaymentRequested", true),
            ("nadeuri.rental.v1.CarReturned", state == ReservationState::Returned),
            ("nadeuri.payment.v1.PaymentSettled", state == ReservationState::Returned),
            ("nadeuri.rental.v1.ReservationCancelled", state == ReservationState::Cancelled),
            ("nadeuri.payment.v1.PaymentCancelled", state == ReservationState::Cancelled),
            ("nadeuri.rental.v1.RentalRated", found.stars > 0),
            ("nadeuri.rental.v1.RentRefused", false),
        ];
        for (kind, is_wanted) in wanted {
            ensure(has(kind) == is_wanted, || format!("{found:?}: {kind} is {} the chronicle", has(kind)))?;
        }
        let paid = has("nadeuri.payment.v1.PaymentApproved");
        ensure(paid == has("nadeuri.rental.v1.CarRented"), || {
            format!("{found:?} was paid and not rented, or not paid")
        })?;
    }
    Ok(())
}
