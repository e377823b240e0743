//! The invariants of the taxi contexts.

use std::collections::{BTreeMap, BTreeSet};

use chassis::Timestamp;
use contracts::chronicle::v1::Event;
use contracts::dispatch::v1::{CancellationCause, Hail, HailState, ListHailsRequest};
use contracts::driving::v1::{Drive, DriveAccepted, DriveCancellationCause, DriveState, FareState, ListDrivesRequest};
use contracts::mypage::v1::{ListTaxiRidesRequest, TaxiRide};
use contracts::payment::v1::PaymentState;
use prost::Message as _;

use super::{Outcome, Seen, all_pages, body};
use crate::harness::Harness;

/// The final state of these contexts.
pub struct Taxis {
    pub hails: BTreeMap<String, Hail>,
    /// By hail.
    drives: BTreeMap<String, Drive>,
    pages: BTreeMap<String, TaxiRide>,
    /// Hails with an event that their cancellation was refused.
    refused: BTreeSet<String>,
    /// Drives that were released.
    released: BTreeSet<String>,
}

/// What a response guarantees for the end of the run.
#[derive(Clone, Copy)]
pub enum Guarantee {
    /// It exists.
    Known,
    /// It is cancelled, or an event says that the cancellation was refused.
    CancelledOrRefused,
}

impl Taxis {
    pub async fn load(harness: &Harness, events: &[Event]) -> Result<Taxis, String> {
        let refused = events.iter().filter(|event| event.r#type.ends_with(".HailCancellationRefused"));
        let released = events.iter().filter(|event| event.r#type.ends_with(".DriveReleased"));
        let hails = all_pages::<ListHailsRequest>(harness).await?.into_iter();
        let drives = all_pages::<ListDrivesRequest>(harness).await?.into_iter();
        let pages = all_pages::<ListTaxiRidesRequest>(harness).await?.into_iter();
        Ok(Taxis {
            refused: refused.map(|event| event.subject.clone()).collect(),
            released: released.map(|event| event.subject.clone()).collect(),
            hails: hails.map(|hail: Hail| (hail.hail_id.clone(), hail)).collect(),
            drives: drives.map(|drive: Drive| (drive.hail_id.clone(), drive)).collect(),
            pages: pages.map(|page: TaxiRide| (page.hail_id.clone(), page)).collect(),
        })
    }

    /// A description of pending work, if there is some.
    pub async fn pending_work(harness: &Harness) -> Result<Option<String>, String> {
        let hails = all_pages::<ListHailsRequest>(harness).await?;
        if let Some(hail) = hails.iter().find(|hail: &&Hail| hail.state() == HailState::Cancelling) {
            return Ok(Some(format!("hail {} is being cancelled", hail.hail_id)));
        }
        let is_moving = |drive: &&Drive| drive.state() == DriveState::Offered || drive.fare_state() == FareState::Due;
        let moving = all_pages::<ListDrivesRequest>(harness).await?;
        Ok(moving.iter().find(is_moving).map(|drive| format!("drive {} is pending", drive.drive_id)))
    }

    /// Checks a response that a customer got.
    pub fn keeps_hail(&self, promised: &Hail, guarantee: Guarantee) -> Outcome {
        let id = &promised.hail_id;
        let kept = self.hails.get(id).ok_or_else(|| format!("{} hailed {id}: it is gone", promised.customer_id))?;
        let same = (&kept.customer_id, &kept.pickup, &kept.destination)
            == (&promised.customer_id, &promised.pickup, &promised.destination);
        let holds = match guarantee {
            Guarantee::Known => true,
            Guarantee::CancelledOrRefused => kept.state() == HailState::Cancelled || self.refused.contains(id),
        };
        if same && holds { Ok(()) } else { Err(format!("a customer was promised {promised:?}, but it is {kept:?}")) }
    }

    /// Checks a response that a driver got: an accepted drive is theirs, a started drive is not cancelled, and the fare
    /// of a finished drive is unchanged.
    pub fn keeps_drive(&self, driver: &str, promised: &Drive) -> Outcome {
        let gone = || format!("{driver} drove {}: it is gone", promised.drive_id);
        let kept = self.drives.get(&promised.hail_id).ok_or_else(gone)?;
        let (then, now) = (promised.state(), kept.state());
        let holds = match then {
            // Somebody else may have it now.
            DriveState::Accepted if self.released.contains(&kept.drive_id) => return Ok(()),
            DriveState::Accepted => now != DriveState::Offered && now != DriveState::Lapsed,
            DriveState::Started => matches!(now, DriveState::Started | DriveState::Finished),
            DriveState::Finished => now == DriveState::Finished && kept.fare == promised.fare,
            _ => true,
        };
        let is_theirs = kept.driver_id == driver;
        if holds && is_theirs { Ok(()) } else { Err(format!("{driver} was promised {promised:?}, but it is {kept:?}")) }
    }
}

/// Checks all of them.
pub fn check(harness: &Harness, seen: &Seen) -> Outcome {
    one_driver_had_each_request(seen)?;
    nobody_has_more_than_one(seen)?;
    hails_and_drives_agree(seen)?;
    every_drive_is_charged_once_or_not_at_all(harness, seen)?;
    the_read_model_shows_the_rides(seen)?;
    no_message_is_about_a_cancelled_request(seen)
}

/// Whether a call, and not only an event, can cause such an event; `None` for events of other contexts.
pub fn may_come_from_a_call(event: &Event) -> Option<bool> {
    match event.r#type.strip_prefix("nadeuri.").unwrap_or_default() {
        "dispatch.v1.TaxiAllocated" | "dispatch.v1.HailCancelled" | "dispatch.v1.HailCancellationRefused" => {
            Some(false)
        }
        "dispatch.v1.TaxiReleased" | "driving.v1.DriveLapsed" | "driving.v1.DriveCancellationRefused" => Some(false),
        _ => None,
    }
}

/// The events that the final state requires, each with its subject.
pub fn required_events(seen: &Seen) -> Vec<(&'static str, &str)> {
    let mut required = Vec::new();
    for (id, hail) in &seen.taxis.hails {
        let names: &[&str] = match hail.state() {
            HailState::Cancelled => &["TaxiHailed", "HailCancelled"],
            HailState::Allocated | HailState::UnderWay | HailState::Finished if !seen.taxis.refused.contains(id) => {
                &["TaxiHailed", "TaxiAllocated"]
            }
            _ => &["TaxiHailed"],
        };
        required.extend(names.iter().map(|name| (*name, id.as_str())));
    }
    for drive in seen.taxis.drives.values() {
        let names: &[&str] = match (drive.state(), drive.fare_state()) {
            (_, FareState::Uncollected) => &["DriveFinished", "FareUncollected"],
            (DriveState::Finished, _) => &["DriveAccepted", "DriveStarted", "DriveFinished"],
            (DriveState::Started, _) => &["DriveAccepted", "DriveStarted"],
            (DriveState::Accepted, _) => &["DriveAccepted"],
            (DriveState::Cancelled, _) => &["DriveCancelled"],
            (DriveState::Lapsed, _) => &["DriveLapsed"],
            _ => &[],
        };
        required.extend(names.iter().map(|name| (*name, drive.drive_id.as_str())));
    }
    required
}

/// The events that customers are notified of.
pub const NOTIFIED: &[&str] =
    &["TaxiHailed", "TaxiAllocated", "TaxiReleased", "DriveStarted", "DriveFinished", "HailCancellationRefused"];

/// The events of `driving`, in the order in which each drive had them, with the drive after each.
fn drives_over_time(seen: &Seen) -> Result<Vec<(&Event, Drive)>, String> {
    let mut events: Vec<&Event> = seen.events.iter().filter(|event| event.source == "driving").collect();
    events.sort_by_key(|event| (&event.subject, event.sequence));
    let drive = |event: &Event| {
        // The first field of each of these events is the drive.
        let accepted = DriveAccepted::decode(body(event)).ok().and_then(|event| event.drive);
        accepted.ok_or_else(|| format!("{} without a drive", event.r#type))
    };
    events.into_iter().map(|event| Ok((event, drive(event)?))).collect()
}

/// Checks all events, not only the final state: a drive has another driver only after it was released.
fn one_driver_had_each_request(seen: &Seen) -> Outcome {
    let mut drivers: BTreeMap<String, String> = BTreeMap::new();
    for (event, drive) in drives_over_time(seen)? {
        if event.r#type.ends_with(".DriveReleased") {
            drivers.remove(&drive.drive_id);
            continue;
        }
        if drive.driver_id.is_empty() {
            continue;
        }
        let first = drivers.entry(drive.drive_id).or_insert_with(|| drive.driver_id.clone());
        if *first != drive.driver_id {
            return Err(format!("{first} and {} got the same request", drive.driver_id));
        }
    }
    Ok(())
}

/// A driver has one drive at a time, and a customer one open hail, over all the time of the run.
fn nobody_has_more_than_one(seen: &Seen) -> Outcome {
    let micros = |time: &Option<prost_types::Timestamp>| {
        time.as_ref().and_then(Timestamp::from_proto).map_or(i64::MAX, Timestamp::micros)
    };
    // Who, from when, until when.
    let mut held: Vec<(String, i64, i64)> = Vec::new();
    let mut since: BTreeMap<String, (String, i64)> = BTreeMap::new();
    for (event, drive) in drives_over_time(seen)? {
        let at = micros(&event.time);
        if event.r#type.ends_with(".DriveAccepted") {
            since.insert(drive.drive_id.clone(), (format!("driver {}", drive.driver_id), at));
        } else if [".DriveReleased", ".DriveCancelled", ".DriveFinished"].iter().any(|end| event.r#type.ends_with(end))
            && let Some((driver, from)) = since.remove(&drive.drive_id)
        {
            held.push((driver, from, at));
        }
    }
    held.extend(since.into_values().map(|(driver, from)| (driver, from, i64::MAX)));
    held.extend(seen.taxis.hails.values().map(|hail| {
        let is_over = matches!(hail.state(), HailState::Cancelled | HailState::Finished);
        let until = if is_over { micros(&hail.update_time) } else { i64::MAX };
        (format!("customer {}", hail.customer_id), micros(&hail.create_time), until)
    }));
    held.sort();
    match held.windows(2).find(|pair| pair[0].0 == pair[1].0 && pair[1].1 < pair[0].2) {
        Some(pair) => Err(format!("{} had two at once: {pair:?}", pair[0].0)),
        None => Ok(()),
    }
}

fn hails_and_drives_agree(seen: &Seen) -> Outcome {
    for (id, hail) in &seen.taxis.hails {
        let drive = seen.taxis.drives.get(id).ok_or_else(|| format!("hail {id} was never offered"))?;
        let right = match drive.state() {
            DriveState::Accepted => (HailState::Allocated, CancellationCause::Unspecified),
            DriveState::Started => (HailState::UnderWay, CancellationCause::Unspecified),
            DriveState::Finished => (HailState::Finished, CancellationCause::Unspecified),
            DriveState::Cancelled => (
                HailState::Cancelled,
                match drive.cancellation_cause() {
                    DriveCancellationCause::NoShow => CancellationCause::NoShow,
                    DriveCancellationCause::Staff => CancellationCause::Staff,
                    _ => CancellationCause::Customer,
                },
            ),
            DriveState::Lapsed => (HailState::Cancelled, CancellationCause::NoDriver),
            state => return Err(format!("the drive of hail {id} is still {}", state.as_str_name())),
        };
        if (hail.state(), hail.cancellation_cause()) != right {
            return Err(format!("hail and drive don't agree: {hail:?}, {drive:?}"));
        }
    }
    match seen.taxis.drives.keys().find(|hail| !seen.taxis.hails.contains_key(*hail)) {
        Some(hail) => Err(format!("there is a drive for {hail}, which does not exist")),
        None => Ok(()),
    }
}

fn every_drive_is_charged_once_or_not_at_all(harness: &Harness, seen: &Seen) -> Outcome {
    for (hail, drive) in &seen.taxis.drives {
        let payment = seen.payments.get(hail);
        let held = payment.map_or(0, |payment| harness.processor.holds(&payment.payment_id));
        let fare = drive.fare.as_ref().map_or(0, |fare| fare.amount_minor);
        let state = payment.map(|payment| payment.state());
        let is_right = match drive.fare_state() {
            FareState::Paid => state == Some(PaymentState::Settled) && held == fare && fare == right_fare(drive),
            // No response of the processor is no refusal: the charge is retried until it responds.
            FareState::Refused => {
                let was_declined = payment.is_some_and(|payment| !payment.refusal.contains("did not answer"));
                state == Some(PaymentState::Refused) && was_declined && held == 0
            }
            FareState::Uncollected => matches!(state, None | Some(PaymentState::Refused)) && held == 0,
            FareState::Unspecified => payment.is_none() && drive.state() != DriveState::Finished,
            FareState::Due => false,
        };
        if !is_right {
            return Err(format!("the processor holds {held} of {fare} for {drive:?}, whose payment is {payment:?}"));
        }
    }
    Ok(())
}

/// 1,000 won per whole minute, at least one minute.
fn right_fare(drive: &Drive) -> i64 {
    let micros = |time: &Option<prost_types::Timestamp>| {
        time.as_ref().and_then(Timestamp::from_proto).map(Timestamp::micros).unwrap_or_default()
    };
    let took = micros(&drive.finish_time) - micros(&drive.start_time);
    1_000 * (took / 60_000_000).max(1)
}

fn the_read_model_shows_the_rides(seen: &Seen) -> Outcome {
    if seen.taxis.pages.len() != seen.taxis.hails.len() {
        return Err(format!("{} hails, but {} in the read model", seen.taxis.hails.len(), seen.taxis.pages.len()));
    }
    for (id, hail) in &seen.taxis.hails {
        let (page, drive) = (&seen.taxis.pages[id], &seen.taxis.drives[id]);
        let payment = seen.payments.get(id);
        let payment = (payment.map_or(0, |payment| payment.state), payment.map_or("", |payment| &payment.payment_id));
        let is_taken = !drive.driver_id.is_empty();
        let drive_id = if is_taken { drive.drive_id.as_str() } else { "" };
        let drive_state = if is_taken { drive.state() } else { DriveState::Unspecified };
        let right = (hail.state(), &hail.customer_id, drive_state, drive_id, &drive.driver_id, &drive.fare, payment);
        let shown = (
            page.hail_state(),
            &page.customer_id,
            page.drive_state(),
            page.drive_id.as_str(),
            &page.driver_id,
            &page.fare,
            (page.payment_state, page.payment_id.as_str()),
        );
        if shown != right {
            return Err(format!("the read model shows {shown:?}, expected {right:?}"));
        }
    }
    Ok(())
}

fn no_message_is_about_a_cancelled_request(seen: &Seen) -> Outcome {
    let is_cancelled = |flow: &String| {
        seen.taxis.hails.get(flow).is_some_and(|hail| hail.cancellation_cause() == CancellationCause::Customer)
    };
    let of_cancelled = seen.messages.values().filter(|message| is_cancelled(&message.flow_id));
    // Messages before the cancellation were right at their time.
    match of_cancelled
        .into_iter()
        .find(|message| !["TAXI_HAILED", "TAXI_ALLOCATED", "TAXI_RELEASED"].contains(&message.topic.as_str()))
    {
        Some(message) => Err(format!("there is a message about a cancelled request: {message:?}")),
        None => Ok(()),
    }
}
