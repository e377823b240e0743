//! The invariants of the car rental contexts.

use std::collections::{BTreeMap, BTreeSet};

use chassis::Timestamp;
use contracts::chronicle::v1::Event;
use contracts::fleet::v1::{Car, CarStatus, ListCarsRequest};
use contracts::mypage::v1::{CarRental, ListCarRentalsRequest};
use contracts::payment::v1::PaymentState;
use contracts::period::v1::Period;
use contracts::rental::v1::{
    CancellationCause, ListReservationsRequest, Reservation, ReservationCancelled, ReservationState,
};
use prost::Message as _;

use super::{Outcome, Seen, all_pages, body};
use crate::harness::Harness;

/// The final state of these contexts.
pub struct Cars {
    pub reservations: BTreeMap<String, Reservation>,
    cars: Vec<Car>,
    pages: BTreeMap<String, CarRental>,
}

/// What a response guarantees for the end of the run.
#[derive(Clone, Copy)]
pub enum Guarantee {
    /// The reservation and its price are unchanged.
    AsPromised,
    /// It was paid: it is rented, returned, or cancelled and refunded.
    Paid,
    /// It is cancelled.
    Cancelled,
    /// It is returned.
    Returned,
    /// It is returned and rated.
    Rated,
}

impl Cars {
    pub async fn load(harness: &Harness) -> Result<Cars, String> {
        let by_id = |reservation: Reservation| (reservation.reservation_id.clone(), reservation);
        let by_flow = |page: CarRental| (page.reservation_id.clone(), page);
        Ok(Cars {
            reservations: all_pages::<ListReservationsRequest>(harness).await?.into_iter().map(by_id).collect(),
            cars: all_pages::<ListCarsRequest>(harness).await?,
            pages: all_pages::<ListCarRentalsRequest>(harness).await?.into_iter().map(by_flow).collect(),
        })
    }

    /// Checks a response that a customer got.
    pub fn keeps(&self, customer: &str, promised: &Reservation, guarantee: Guarantee) -> Outcome {
        let id = &promised.reservation_id;
        let kept = self.reservations.get(id).ok_or_else(|| format!("{customer} was promised {id}: it is gone"))?;
        let same = (&kept.car_id, &kept.period, &kept.price, kept.customer_id.as_str())
            == (&promised.car_id, &promised.period, &promised.price, customer);
        let state = kept.state();
        let holds = match guarantee {
            Guarantee::AsPromised => true,
            Guarantee::Paid => state != ReservationState::Reserved,
            Guarantee::Cancelled => state == ReservationState::Cancelled,
            Guarantee::Returned => state == ReservationState::Returned,
            Guarantee::Rated => state == ReservationState::Returned && kept.stars == promised.stars,
        };
        if same && holds { Ok(()) } else { Err(format!("{customer} was promised {promised:?}, but it is {kept:?}")) }
    }
}

impl Cars {
    /// Whether a purchase is the late fee of a rental.
    pub fn charged(&self, purchase: &str) -> bool {
        self.reservations.values().any(|reservation| reservation.late_fee_id == purchase)
    }
}

/// Checks all of them.
pub fn check(harness: &Harness, seen: &Seen) -> Outcome {
    no_car_was_ever_promised_twice(seen)?;
    every_flow_is_completed_or_compensated(harness, seen)?;
    late_fees_are_paid_once_or_owed(harness, seen)?;
    the_cars_show_their_rentals(seen)?;
    the_read_model_shows_rentals_and_payments(seen)
}

/// Whether a call, and not only an event, can cause such an event; `None` for events of other contexts.
pub fn may_come_from_a_call(event: &Event) -> Result<Option<bool>, String> {
    Ok(match event.r#type.strip_prefix("nadeuri.").unwrap_or_default() {
        "fleet.v1.CarStatusChanged" | "fleet.v1.CarRated" | "rental.v1.RentalCancellationRefused" => Some(false),
        "rental.v1.RentalOverdue" | "rental.v1.CarDelayed" | "rental.v1.LateFeePaid" => Some(false),
        "rental.v1.ReservationCancelled" => {
            let cancelled = ReservationCancelled::decode(body(event)).map_err(|error| error.to_string())?;
            let cause = cancelled.reservation.unwrap_or_default().cancellation_cause();
            Some(matches!(cause, CancellationCause::Customer | CancellationCause::Staff))
        }
        _ => None,
    })
}

/// The events that the final state requires, each with its subject.
pub fn required_events(seen: &Seen) -> Vec<(&'static str, &str)> {
    let mut required: Vec<_> = seen.cars.cars.iter().map(|car| ("CarRegistered", car.car_id.as_str())).collect();
    for (id, reservation) in &seen.cars.reservations {
        let names: &[&str] = match reservation.state() {
            ReservationState::Rented => &["CarReserved", "CarRented"],
            ReservationState::Returned if reservation.stars > 0 => &["CarReserved", "CarReturned", "RentalRated"],
            ReservationState::Returned => &["CarReserved", "CarReturned"],
            ReservationState::Cancelled => &["CarReserved", "ReservationCancelled"],
            _ => &["CarReserved"],
        };
        required.extend(names.iter().map(|name| (*name, id.as_str())));
    }
    required
}

/// The events that customers are notified of.
pub const NOTIFIED: &[&str] = &[
    "CarReserved",
    "CarRented",
    "CarReturned",
    "ReservationCancelled",
    "RentalOverdue",
    "CarDelayed",
    "LateFeeCharged",
    "PaymentRefunded",
];

/// Replays the calendars from their events, not only their final state.
fn no_car_was_ever_promised_twice(seen: &Seen) -> Outcome {
    let mut changes: Vec<(String, i64, Reservation)> = Vec::new();
    let is_other = |kind: &str| kind.ends_with("CarRetired") || kind.ends_with("LateFeeCharged");
    for event in seen.events.iter().filter(|event| event.source == "rental" && !is_other(&event.r#type)) {
        // The first field of each of these events is the reservation.
        let reservation =
            contracts::rental::v1::CarReserved::decode(body(event)).ok().and_then(|event| event.reservation);
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

fn every_flow_is_completed_or_compensated(harness: &Harness, seen: &Seen) -> Outcome {
    for (id, reservation) in &seen.cars.reservations {
        let payment = seen.payments.get(id).ok_or_else(|| format!("reservation {id} has no payment"))?;
        let price = reservation.price.as_ref().map_or(0, |price| price.amount_minor);
        let held = harness.processor.holds(&payment.payment_id);
        let minor = |money: &Option<contracts::money::v1::Money>| money.as_ref().map_or(0, |money| money.amount_minor);
        let (refunded, kept) = (minor(&payment.refunded_amount), minor(&reservation.cancellation_fee));
        let (right_payment, right_sum) = match reservation.state() {
            ReservationState::Rented => (PaymentState::Approved, price - refunded),
            ReservationState::Returned => (PaymentState::Settled, price - refunded),
            // What staff refunded before may have been a part of what was to be kept.
            ReservationState::Cancelled if refunded > 0 => (PaymentState::Cancelled, price - refunded),
            ReservationState::Cancelled => {
                (PaymentState::Cancelled, if payment.refunded { kept } else { held.min(kept) })
            }
            state => return Err(format!("reservation {id} is still {} after its time", state.as_str_name())),
        };
        // The seller keeps no more than its share.
        let is_kept = reservation.state() != ReservationState::Cancelled || held <= kept;
        if payment.state() != right_payment || held != right_sum || !is_kept {
            return Err(format!(
                "reservation {id} is {}, its payment {} is {}, and the processor holds {held} of {price}",
                reservation.state().as_str_name(),
                payment.payment_id,
                payment.state().as_str_name(),
            ));
        }
    }
    Ok(())
}

fn late_fees_are_paid_once_or_owed(harness: &Harness, seen: &Seen) -> Outcome {
    for (id, reservation) in &seen.cars.reservations {
        let Some(fee) = &reservation.late_fee else { continue };
        let payment =
            seen.payments.get(&reservation.late_fee_id).ok_or_else(|| format!("{id}: its fee is unpayable"))?;
        let held = harness.processor.holds(&payment.payment_id);
        let right = if reservation.late_fee_owed { 0 } else { fee.amount_minor };
        if reservation.state() != ReservationState::Returned || held != right {
            return Err(format!(
                "the late fee of {reservation:?} should be {right}, but {held} were taken: {payment:?}"
            ));
        }
    }
    Ok(())
}

fn the_cars_show_their_rentals(seen: &Seen) -> Outcome {
    for car in &seen.cars.cars {
        let own = || seen.cars.reservations.values().filter(|reservation| reservation.car_id == car.car_id);
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
    // Cars that are no longer listed were removed, and nobody rents them.
    let of_kind = |kind: &str| -> BTreeSet<&String> {
        seen.events.iter().filter(|event| event.r#type.ends_with(kind)).map(|event| &event.subject).collect()
    };
    let (registered, removed, retired) = (of_kind(".CarRegistered"), of_kind(".CarRemoved"), of_kind(".CarRetired"));
    let listed: BTreeSet<&String> = seen.cars.cars.iter().map(|car| &car.car_id).collect();
    let gone: BTreeSet<&String> = registered.difference(&listed).copied().collect();
    if gone != removed || gone != retired {
        return Err(format!("{gone:?} are gone, {removed:?} were removed, {retired:?} retired"));
    }
    match seen.cars.reservations.values().find(|reservation| gone.contains(&reservation.car_id) && is_open(reservation))
    {
        Some(reservation) => Err(format!("the car of {} was removed", reservation.reservation_id)),
        None => Ok(()),
    }
}

fn the_read_model_shows_rentals_and_payments(seen: &Seen) -> Outcome {
    if seen.cars.pages.len() != seen.cars.reservations.len() {
        return Err(format!(
            "{} reservations, but {} in the read model",
            seen.cars.reservations.len(),
            seen.cars.pages.len()
        ));
    }
    for (id, reservation) in &seen.cars.reservations {
        let view = seen.cars.pages.get(id).ok_or_else(|| format!("reservation {id} is not in the read model"))?;
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
            return Err(format!("the read model shows {shown:?}, expected {right:?}"));
        }
    }
    Ok(())
}
