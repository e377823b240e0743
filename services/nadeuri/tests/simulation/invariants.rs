//! What must be right when everything has come to rest: as customers see it, as the bank sees it, as operators see it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chassis::{Timestamp, dead, outbox};
use contracts::chronicle::v1::{Event, ListEventsRequest, chronicle_service_client::ChronicleServiceClient};
use contracts::fleet::v1::{Car, CarStatus, ListCarsRequest, fleet_service_client::FleetServiceClient};
use contracts::mypage::v1::{CarRental, ListCarRentalsRequest, mypage_service_client::MypageServiceClient};
use contracts::notification::v1::{
    ListMessagesRequest, Message, notification_service_client::NotificationServiceClient,
};
use contracts::payment::v1::{
    ListPaymentsRequest, Payment, PaymentCancelled, PaymentState, payment_service_client::PaymentServiceClient,
};
use contracts::period::v1::Period;
use contracts::rental::v1::{
    CancellationCause, ListReservationsRequest, Reservation, ReservationCancelled, ReservationState,
    rental_service_client::RentalServiceClient,
};
use prost::Message as _;

use crate::customers::{self, Acknowledged, Call, by, taken};
use crate::town::Town;

/// How long a reservation waits for its payment in the runs.
pub const PAY_WITHIN: Duration = Duration::from_secs(120);

type Outcome = Result<(), String>;

/// Everything that can be seen.
struct Seen {
    reservations: BTreeMap<String, Reservation>,
    payments: BTreeMap<String, Payment>,
    cars: Vec<Car>,
    views: BTreeMap<String, CarRental>,
    events: Vec<Event>,
    messages: BTreeMap<String, Message>,
}

/// What still moves, if anything does.
pub async fn unrest(town: &Town) -> Result<Option<String>, String> {
    if !town.broker.is_empty() {
        return Ok(Some("events are under way".to_owned()));
    }
    for context in Town::contexts() {
        let reader = town.store(context).reader().await.map_err(|error| error.to_string())?;
        let (waiting, _) = outbox::waiting(reader.tx()).await.map_err(|error| error.to_string())?;
        if waiting > 0 {
            return Ok(Some(format!("{waiting} events wait in the outbox of {context}")));
        }
    }
    let moving = |payment: &&Payment| {
        let state = payment.state();
        matches!(state, PaymentState::Charging | PaymentState::Refunding | PaymentState::Cancelling)
    };
    if let Some(payment) = payments(town).await?.values().find(moving) {
        return Ok(Some(format!("payment {} is {}", payment.payment_id, payment.state().as_str_name())));
    }
    let pending = messages(town).await?.into_values().find(|message| message.deliver_time.is_none());
    Ok(pending.map(|message| format!("message {} is not delivered", message.message_id)))
}

/// Looks at everything. Returns the story of the run, by which two runs can be compared.
pub async fn check(town: &Town, acknowledged: &[Acknowledged]) -> Result<String, String> {
    let seen = Seen {
        reservations: reservations(town).await?,
        payments: payments(town).await?,
        cars: cars(town).await?,
        views: views(town).await?,
        events: events(town).await?,
        messages: messages(town).await?,
    };
    nothing_is_dead(town).await?;
    every_event_is_told_once(town, &seen)?;
    every_event_names_its_cause(&seen)?;
    what_is_so_was_told(&seen)?;
    no_car_was_ever_promised_twice(&seen)?;
    every_flow_is_done_or_undone(town, &seen)?;
    the_cars_show_their_rentals(&seen)?;
    the_view_shows_rentals_and_payments(&seen)?;
    customers_are_told_once(town, &seen)?;
    promises_are_kept(&seen, acknowledged)?;
    first_answers_are_repeated(town, acknowledged).await?;
    if let Some(violation) = town.bank.violation() {
        return Err(violation);
    }
    let story = seen.events.iter().map(|event| format!("{} {} {}", event.event_id, event.r#type, event.subject));
    Ok(story.collect::<Vec<_>>().join("\n"))
}

async fn nothing_is_dead(town: &Town) -> Outcome {
    for context in Town::contexts() {
        let reader = town.store(context).reader().await.map_err(|error| error.to_string())?;
        let letters = dead::list(reader.tx(), None, 1).await.map_err(|error| error.to_string())?;
        if let Some(letter) = letters.first() {
            return Err(format!("{context} could not handle {}: {}", letter.event.kind, letter.reason));
        }
    }
    Ok(())
}

fn every_event_is_told_once(town: &Town, seen: &Seen) -> Outcome {
    let told: BTreeSet<String> = seen.events.iter().map(|event| event.event_id.clone()).collect();
    if told.len() != seen.events.len() {
        return Err("the chronicle tells an event twice".to_owned());
    }
    let published: BTreeSet<String> = town.broker.confirmed().iter().map(ToString::to_string).collect();
    if told != published {
        return Err(format!("{} events were published, the chronicle tells {}", published.len(), told.len()));
    }
    Ok(())
}

/// A cause is an event that the chronicle tells. None is named only where a customer's call may have been the cause.
fn every_event_names_its_cause(seen: &Seen) -> Outcome {
    let told: BTreeSet<&str> = seen.events.iter().map(|event| event.event_id.as_str()).collect();
    for event in &seen.events {
        if event.causation_id.is_empty() && !may_be_called(event)? {
            return Err(format!("{} of {} names no cause", event.r#type, event.subject));
        }
        if !event.causation_id.is_empty() && !told.contains(event.causation_id.as_str()) {
            return Err(format!("the cause of {} of {} is not told", event.r#type, event.subject));
        }
    }
    Ok(())
}

/// Whether there is a call that leads to such an event.
fn may_be_called(event: &Event) -> Result<bool, String> {
    let body = event.data.as_ref().map(|data| data.value.as_slice()).unwrap_or_default();
    let malformed = |error: prost::DecodeError| format!("{}: {error}", event.r#type);
    Ok(match event.r#type.strip_prefix("nadeuri.").unwrap_or_default() {
        "fleet.v1.CarStatusChanged" | "fleet.v1.CarRated" => false,
        "payment.v1.PaymentSettled" | "payment.v1.PaymentCancellationRefused" => false,
        "rental.v1.RentalCancellationRefused" => false,
        "rental.v1.ReservationCancelled" => {
            let cancelled = ReservationCancelled::decode(body).map_err(malformed)?;
            cancelled.reservation.unwrap_or_default().cancellation_cause() == CancellationCause::Customer
        }
        "payment.v1.PaymentCancelled" => {
            !PaymentCancelled::decode(body).map_err(malformed)?.payment.unwrap_or_default().refunded
        }
        _ => true,
    })
}

/// What a context holds, its events have told.
fn what_is_so_was_told(seen: &Seen) -> Outcome {
    let name = |event: &Event| event.r#type.rsplit('.').next().unwrap_or_default().to_owned();
    let told: BTreeSet<(String, &str)> =
        seen.events.iter().map(|event| (name(event), event.subject.as_str())).collect();
    let mut so: Vec<(&str, &str)> = seen.cars.iter().map(|car| ("CarRegistered", car.car_id.as_str())).collect();
    for (id, reservation) in &seen.reservations {
        let names: &[&str] = match reservation.state() {
            ReservationState::Rented => &["CarReserved", "CarRented"],
            ReservationState::Returned if reservation.stars > 0 => &["CarReserved", "CarReturned", "RentalRated"],
            ReservationState::Returned => &["CarReserved", "CarReturned"],
            ReservationState::Cancelled => &["CarReserved", "ReservationCancelled"],
            _ => &["CarReserved"],
        };
        so.extend(names.iter().map(|name| (*name, id.as_str())));
    }
    for payment in seen.payments.values() {
        let names: &[&str] = match payment.state() {
            PaymentState::Approved => &["PaymentRequested", "PaymentApproved"],
            PaymentState::Settled => &["PaymentRequested", "PaymentApproved", "PaymentSettled"],
            PaymentState::Cancelled => &["PaymentRequested", "PaymentCancelled"],
            _ => &["PaymentRequested"],
        };
        so.extend(names.iter().map(|name| (*name, payment.payment_id.as_str())));
    }
    match so.into_iter().find(|(name, subject)| !told.contains(&((*name).to_owned(), *subject))) {
        Some((name, subject)) => Err(format!("nobody was told {name} of {subject}")),
        None => Ok(()),
    }
}

/// Goes through the calendars as they were at each moment, not only as they are at the end.
fn no_car_was_ever_promised_twice(seen: &Seen) -> Outcome {
    let mut changes: Vec<(String, i64, Reservation)> = Vec::new();
    for event in seen.events.iter().filter(|event| event.source == "rental" && !event.r#type.ends_with("CarRetired")) {
        // Each of these events has the reservation as its first field.
        let body = event.data.as_ref().map(|data| data.value.as_slice()).unwrap_or_default();
        let reservation = contracts::rental::v1::CarReserved::decode(body).ok().and_then(|event| event.reservation);
        let reservation = reservation.ok_or_else(|| format!("{} without a reservation", event.r#type))?;
        changes.push((reservation.car_id.clone(), event.sequence, reservation));
    }
    changes.sort_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
    let mut open: BTreeMap<(String, String), Period> = BTreeMap::new();
    for (car, _, reservation) in changes {
        let key = (car.clone(), reservation.reservation_id.clone());
        let period = reservation.period.ok_or("a reservation without a period")?;
        if !is_open(&reservation) {
            open.remove(&key);
            continue;
        }
        let clash = open.iter().find(|(other, taken)| other.0 == car && **other != key && overlap(taken, &period));
        if let Some((other, _)) = clash {
            return Err(format!("car {car} was promised to {} and to {} for the same time", other.1, key.1));
        }
        open.insert(key, period);
    }
    Ok(())
}

fn is_open(reservation: &Reservation) -> bool {
    matches!(reservation.state(), ReservationState::Reserved | ReservationState::Rented)
}

fn overlap(a: &Period, b: &Period) -> bool {
    let micros =
        |time: &Option<_>| time.as_ref().and_then(Timestamp::from_proto).map(Timestamp::micros).unwrap_or_default();
    micros(&a.start_time) < micros(&b.end_time) && micros(&b.start_time) < micros(&a.end_time)
}

fn every_flow_is_done_or_undone(town: &Town, seen: &Seen) -> Outcome {
    for (id, reservation) in &seen.reservations {
        let payment = seen.payments.get(id).ok_or_else(|| format!("reservation {id} has no payment"))?;
        let price = reservation.price.as_ref().map_or(0, |price| price.amount_minor);
        let held = town.bank.holds(&payment.payment_id);
        let (right_payment, right_sum) = match reservation.state() {
            ReservationState::Rented => (PaymentState::Approved, price),
            ReservationState::Returned => (PaymentState::Settled, price),
            ReservationState::Cancelled => (PaymentState::Cancelled, 0),
            state => return Err(format!("reservation {id} is still {} after its time", state.as_str_name())),
        };
        if payment.state() != right_payment || held != right_sum {
            return Err(format!(
                "reservation {id} is {}, its payment {} is {}, and the bank holds {held} of {price}",
                reservation.state().as_str_name(),
                payment.payment_id,
                payment.state().as_str_name(),
            ));
        }
    }
    match seen.payments.keys().find(|purchase| !seen.reservations.contains_key(*purchase)) {
        Some(purchase) => Err(format!("there is a payment for {purchase}, which is no reservation")),
        None => Ok(()),
    }
}

fn the_cars_show_their_rentals(seen: &Seen) -> Outcome {
    for car in &seen.cars {
        let own = || seen.reservations.values().filter(|reservation| reservation.car_id == car.car_id);
        let is_rented = own().any(|reservation| reservation.state() == ReservationState::Rented);
        let status = if is_rented { CarStatus::Rented } else { CarStatus::Available };
        let stars: Vec<i32> = own().map(|reservation| reservation.stars).filter(|stars| *stars > 0).collect();
        let average = if stars.is_empty() { 0.0 } else { f64::from(stars.iter().sum::<i32>()) / stars.len() as f64 };
        if car.status() != status
            || car.rating_count != stars.len() as i64
            || (car.average_stars - average).abs() > 1e-9
        {
            return Err(format!("car {} should be {} with stars {stars:?}: {car:?}", car.car_id, status.as_str_name()));
        }
    }
    // Those that are no longer listed are gone, and nobody has them.
    let of_kind = |kind: &str| -> BTreeSet<&String> {
        seen.events.iter().filter(|event| event.r#type.ends_with(kind)).map(|event| &event.subject).collect()
    };
    let (registered, removed, retired) = (of_kind(".CarRegistered"), of_kind(".CarRemoved"), of_kind(".CarRetired"));
    let listed: BTreeSet<&String> = seen.cars.iter().map(|car| &car.car_id).collect();
    let gone: BTreeSet<&String> = registered.difference(&listed).copied().collect();
    if gone != removed || gone != retired {
        return Err(format!("{gone:?} are gone, {removed:?} were removed, {retired:?} retired"));
    }
    match seen.reservations.values().find(|reservation| gone.contains(&reservation.car_id) && is_open(reservation)) {
        Some(reservation) => Err(format!("the car of {} was removed", reservation.reservation_id)),
        None => Ok(()),
    }
}

fn the_view_shows_rentals_and_payments(seen: &Seen) -> Outcome {
    if seen.views.len() != seen.reservations.len() {
        return Err(format!("{} reservations, but {} on the pages", seen.reservations.len(), seen.views.len()));
    }
    for (id, reservation) in &seen.reservations {
        let view = seen.views.get(id).ok_or_else(|| format!("reservation {id} is on no page"))?;
        let payment = &seen.payments[id];
        let shown =
            (view.rental_state, view.stars, &view.customer_id, &view.price, view.payment_state, &view.payment_id);
        let right = (
            reservation.state,
            reservation.stars,
            &reservation.customer_id,
            &reservation.price,
            payment.state,
            &payment.payment_id,
        );
        if shown != right {
            return Err(format!("the page shows {shown:?}, but it is {right:?}"));
        }
    }
    Ok(())
}

fn customers_are_told_once(town: &Town, seen: &Seen) -> Outcome {
    for event in &seen.events {
        let name = event.r#type.rsplit('.').next().unwrap_or_default();
        let is_told =
            matches!(name, "CarReserved" | "CarRented" | "CarReturned" | "ReservationCancelled" | "PaymentRefused");
        if is_told && !seen.messages.contains_key(&event.event_id) {
            return Err(format!("nobody was told of {name} {}", event.event_id));
        }
    }
    let events: BTreeSet<&String> = seen.events.iter().map(|event| &event.event_id).collect();
    for id in seen.messages.keys() {
        if !events.contains(id) {
            return Err(format!("message {id} tells of nothing that happened"));
        }
        if town.post.deliveries(id) == 0 {
            return Err(format!("message {id} is marked as delivered and never was"));
        }
    }
    Ok(())
}

fn promises_are_kept(seen: &Seen, acknowledged: &[Acknowledged]) -> Outcome {
    for promise in acknowledged {
        let Some(promised) = &promise.reservation else { continue };
        let id = &promised.reservation_id;
        let kept =
            seen.reservations.get(id).ok_or_else(|| format!("{} was promised {id}: it is gone", promise.customer))?;
        let same = (&kept.car_id, &kept.period, &kept.price, &kept.customer_id)
            == (&promised.car_id, &promised.period, &promised.price, &promise.customer);
        let state = kept.state();
        let lasts = match &promise.call {
            Call::Cancel(_) => state == ReservationState::Cancelled,
            Call::Return(_) => state == ReservationState::Returned,
            Call::Rate(_) => state == ReservationState::Returned && kept.stars == promised.stars,
            // What was rented is out, back, or was given back for money.
            Call::Rent(_) => state != ReservationState::Reserved,
            _ => true,
        };
        if !same || !lasts {
            return Err(format!("{} was promised {promised:?}, but it is {kept:?}", promise.customer));
        }
    }
    Ok(())
}

async fn first_answers_are_repeated(town: &Town, acknowledged: &[Acknowledged]) -> Outcome {
    for Acknowledged { customer, call, request_id, answer, .. } in acknowledged {
        // A charge that found the payment approved, or a rent that found it rented, answers with what it found.
        if matches!(call, Call::ChargePayment(_) | Call::Rent(_)) {
            continue;
        }
        match customers::call(&town.environment.peers, customer, call).await {
            Ok((again, _)) if again == *answer => {}
            other => {
                return Err(format!(
                    "request {request_id} was answered differently when repeated: {call:?}: {other:?}"
                ));
            }
        }
    }
    Ok(())
}

/// Reads all pages of a list, as an admin.
macro_rules! all_pages {
    ($town:expr, $context:literal, $Client:ident, $method:ident, $Request:ident, $field:ident) => {{
        let transport = $town.environment.peers.here($context).ok_or(concat!($context, " is down"))?;
        let mut client = $Client::new(transport);
        let (mut all, mut page_token) = (Vec::new(), String::new());
        loop {
            #[allow(clippy::needless_update, reason = "some requests have filters besides")]
            let request = $Request { page_size: 1_000, page_token, ..$Request::default() };
            let page = taken(client.$method(by("admin", "admin", request)).await)?;
            all.extend(page.$field);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break all;
            }
        }
    }};
}

async fn reservations(town: &Town) -> Result<BTreeMap<String, Reservation>, String> {
    let all = all_pages!(town, "rental", RentalServiceClient, list_reservations, ListReservationsRequest, reservations);
    Ok(all.into_iter().map(|reservation: Reservation| (reservation.reservation_id.clone(), reservation)).collect())
}

async fn payments(town: &Town) -> Result<BTreeMap<String, Payment>, String> {
    let all = all_pages!(town, "payment", PaymentServiceClient, list_payments, ListPaymentsRequest, payments);
    Ok(all.into_iter().map(|payment: Payment| (payment.purchase_id.clone(), payment)).collect())
}

async fn cars(town: &Town) -> Result<Vec<Car>, String> {
    Ok(all_pages!(town, "fleet", FleetServiceClient, list_cars, ListCarsRequest, cars))
}

async fn views(town: &Town) -> Result<BTreeMap<String, CarRental>, String> {
    let all = all_pages!(town, "mypage", MypageServiceClient, list_car_rentals, ListCarRentalsRequest, car_rentals);
    Ok(all.into_iter().map(|view: CarRental| (view.reservation_id.clone(), view)).collect())
}

async fn events(town: &Town) -> Result<Vec<Event>, String> {
    Ok(all_pages!(town, "chronicle", ChronicleServiceClient, list_events, ListEventsRequest, events))
}

async fn messages(town: &Town) -> Result<BTreeMap<String, Message>, String> {
    let all = all_pages!(town, "notification", NotificationServiceClient, list_messages, ListMessagesRequest, messages);
    Ok(all.into_iter().map(|message: Message| (message.message_id.clone(), message)).collect())
}
