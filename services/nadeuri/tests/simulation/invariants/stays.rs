//! The invariants of the resort contexts.

use std::collections::BTreeMap;

use contracts::chronicle::v1::Event;
use contracts::mypage::v1 as mypage;
use contracts::payment::v1::PaymentState;
use contracts::period::v1::Dates;
use contracts::resort::v1::{DatesHeld, HoldState, ListResortsRequest, Resort};
use contracts::stay::v1::{CancellationCause, ListStaysRequest, Stay, StayCancelled, StayConfirmed, StayState};
use contracts::voucher::v1::{ListVouchersRequest, Voucher, VoucherState};
use prost::Message as _;

use super::{Outcome, Seen, all_pages, body};
use crate::harness::Harness;

/// The final state of these contexts.
pub struct Stays {
    pub stays: BTreeMap<String, Stay>,
    resorts: Vec<Resort>,
    vouchers: BTreeMap<String, Voucher>,
    pages: BTreeMap<String, mypage::Stay>,
}

/// What a response guarantees for the end of the run.
#[derive(Clone, Copy)]
pub enum Guarantee {
    /// The reservation and its price are unchanged.
    AsPromised,
    /// It is cancelled.
    Cancelled,
}

impl Stays {
    pub async fn load(harness: &Harness) -> Result<Stays, String> {
        use mypage::ListStaysRequest as ListPagesRequest;
        let by_id = |stay: Stay| (stay.stay_id.clone(), stay);
        let by_stay = |voucher: Voucher| (voucher.stay_id.clone(), voucher);
        let by_flow = |page: mypage::Stay| (page.stay_id.clone(), page);
        Ok(Stays {
            stays: all_pages::<ListStaysRequest>(harness).await?.into_iter().map(by_id).collect(),
            resorts: all_pages::<ListResortsRequest>(harness).await?,
            vouchers: all_pages::<ListVouchersRequest>(harness).await?.into_iter().map(by_stay).collect(),
            pages: all_pages::<ListPagesRequest>(harness).await?.into_iter().map(by_flow).collect(),
        })
    }

    /// Checks a response that a customer got.
    pub fn keeps(&self, customer: &str, promised: &Stay, guarantee: Guarantee) -> Outcome {
        let id = &promised.stay_id;
        let kept = self.stays.get(id).ok_or_else(|| format!("{customer} was promised {id}: it is gone"))?;
        let same = (&kept.resort_id, &kept.dates, &kept.price, kept.customer_id.as_str())
            == (&promised.resort_id, &promised.dates, &promised.price, customer);
        let holds = match guarantee {
            Guarantee::AsPromised => true,
            Guarantee::Cancelled => kept.state() == StayState::Cancelled,
        };
        if same && holds { Ok(()) } else { Err(format!("{customer} was promised {promised:?}, but it is {kept:?}")) }
    }

    /// Checks that a redeemed voucher is still redeemed.
    pub fn was_redeemed(&self, stay_id: &str) -> Outcome {
        let state = self.vouchers.get(stay_id).map(|voucher| voucher.state());
        if state == Some(VoucherState::Redeemed) {
            return Ok(());
        }
        Err(format!("the voucher of stay {stay_id} was redeemed, but it is {state:?}"))
    }
}

/// Checks all of them.
pub fn check(harness: &Harness, seen: &Seen) -> Outcome {
    no_night_was_ever_held_twice(seen)?;
    every_flow_is_completed_or_compensated(harness, seen)?;
    vouchers_are_for_paid_stays(seen)?;
    the_read_model_shows_stays_payments_and_vouchers(seen)
}

/// Whether a call, and not only an event, can cause such an event; `None` for events of other contexts.
pub fn may_come_from_a_call(event: &Event) -> Result<Option<bool>, String> {
    Ok(match event.r#type.strip_prefix("nadeuri.").unwrap_or_default() {
        "resort.v1.ResortRegistered" | "resort.v1.DatesOffered" | "resort.v1.DatesHeld" => Some(true),
        "resort.v1.ResortTransferred" => Some(true),
        "stay.v1.StayReserved" | "voucher.v1.VoucherRedeemed" => Some(true),
        "stay.v1.StayCancelled" => {
            let cancelled = StayCancelled::decode(body(event)).map_err(|error| error.to_string())?;
            Some(cancelled.stay.unwrap_or_default().cancellation_cause() == CancellationCause::Customer)
        }
        kind if ["resort.", "stay.", "voucher.", "notification."].iter().any(|line| kind.starts_with(line)) => {
            Some(false)
        }
        _ => None,
    })
}

/// The events that the final state requires, each with its subject.
pub fn required_events(seen: &Seen) -> Vec<(&'static str, &str)> {
    let mut required: Vec<_> =
        seen.stays.resorts.iter().map(|resort| ("ResortRegistered", resort.resort_id.as_str())).collect();
    for (id, stay) in &seen.stays.stays {
        let names: &[&str] = match stay.state() {
            StayState::Completed => &["StayReserved", "StayConfirmed", "StayCompleted"],
            StayState::Cancelled => &["StayReserved", "StayCancelled"],
            _ => &["StayReserved"],
        };
        required.extend(names.iter().map(|name| (*name, id.as_str())));
    }
    for voucher in seen.stays.vouchers.values() {
        let names: &[&str] = match voucher.state() {
            VoucherState::Sent => &["VoucherIssued", "VoucherSent"],
            VoucherState::Redeemed => &["VoucherIssued", "VoucherRedeemed"],
            VoucherState::Deactivated => &["VoucherIssued", "VoucherDeactivated"],
            _ => &["VoucherIssued"],
        };
        required.extend(names.iter().map(|name| (*name, voucher.voucher_id.as_str())));
    }
    required
}

/// The events that customers are notified of.
pub const NOTIFIED: &[&str] =
    &["StayReserved", "StayConfirmed", "StayCancelled", "StayCancellationRefused", "StayCompleted", "VoucherIssued"];

/// Replays the holds of the resorts from their events, and compares the completed stays.
fn no_night_was_ever_held_twice(seen: &Seen) -> Outcome {
    let mut changes = Vec::new();
    let is_of_a_hold = |event: &&Event| {
        let of_a_resort =
            ["ResortRegistered", "ResortTransferred", "DatesOffered"].iter().any(|kind| event.r#type.ends_with(kind));
        event.source == "resort" && !of_a_resort
    };
    for event in seen.events.iter().filter(is_of_a_hold) {
        // The first field of each of these events is the hold.
        let hold = DatesHeld::decode(body(event)).ok().and_then(|event| event.hold);
        let hold = hold.ok_or_else(|| format!("{} without a hold", event.r#type))?;
        changes.push((hold.resort_id.clone(), event.sequence, hold));
    }
    changes.sort_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
    let mut open: BTreeMap<(String, String), Dates> = BTreeMap::new();
    for (resort, _, hold) in changes {
        let key = (resort.clone(), hold.stay_id.clone());
        if hold.state() == HoldState::Ended {
            open.remove(&key);
            continue;
        }
        let dates = hold.dates.ok_or("a hold without dates")?;
        let clash = open.iter().find(|(other, taken)| other.0 == resort && **other != key && overlap(taken, &dates));
        if let Some((other, _)) = clash {
            return Err(format!("a night of resort {resort} was held for {} and for {}", other.1, key.1));
        }
        open.insert(key, dates);
    }
    if let Some((_, stay)) = open.keys().next() {
        return Err(format!("the nights of {stay} are still held after its end"));
    }
    let stayed: Vec<&Stay> = seen.stays.stays.values().filter(|stay| stay.state() == StayState::Completed).collect();
    for (index, one) in stayed.iter().enumerate() {
        let shares = |other: &&&Stay| {
            let dates = other.dates.as_ref().zip(one.dates.as_ref());
            other.resort_id == one.resort_id && dates.is_some_and(|(a, b)| overlap(a, b))
        };
        if let Some(other) = stayed[..index].iter().find(shares) {
            return Err(format!("{} and {} stayed at the same place in the same night", one.stay_id, other.stay_id));
        }
    }
    Ok(())
}

/// Dates are ISO 8601, so they sort as text.
fn overlap(a: &Dates, b: &Dates) -> bool {
    a.start_date < b.end_date && b.start_date < a.end_date
}

fn every_flow_is_completed_or_compensated(harness: &Harness, seen: &Seen) -> Outcome {
    for (id, stay) in &seen.stays.stays {
        let payment = seen.payments.get(id).ok_or_else(|| format!("stay {id} has no payment"))?;
        let price = stay.price.as_ref().map_or(0, |price| price.amount_minor);
        let held = harness.processor.holds(&payment.payment_id);
        let (right_payment, right_sum) = match stay.state() {
            StayState::Completed => (PaymentState::Settled, price),
            StayState::Cancelled => (PaymentState::Cancelled, 0),
            state => return Err(format!("stay {id} is still {} after its time", state.as_str_name())),
        };
        if payment.state() != right_payment || held != right_sum {
            return Err(format!(
                "stay {id} is {}, its payment {} is {}, and the processor holds {held} of {price}",
                stay.state().as_str_name(),
                payment.payment_id,
                payment.state().as_str_name(),
            ));
        }
    }
    Ok(())
}

/// A completed stay has a sent or redeemed voucher. A cancelled stay has none, or a deactivated one.
fn vouchers_are_for_paid_stays(seen: &Seen) -> Outcome {
    if let Some(orphan) = seen.stays.vouchers.keys().find(|stay| !seen.stays.stays.contains_key(*stay)) {
        return Err(format!("there is a voucher for {orphan}, which does not exist"));
    }
    for (id, stay) in &seen.stays.stays {
        let state = seen.stays.vouchers.get(id).map(|voucher| voucher.state());
        let is_right = match stay.state() {
            StayState::Completed => matches!(state, Some(VoucherState::Sent | VoucherState::Redeemed)),
            _ => matches!(state, None | Some(VoucherState::Deactivated)),
        };
        if !is_right {
            return Err(format!("stay {id} is {}, and its voucher is {state:?}", stay.state().as_str_name()));
        }
    }
    // Vouchers are issued only for paid stays: the cause of each is the event of a stay with its payment.
    for event in seen.events.iter().filter(|event| event.r#type.ends_with(".VoucherIssued")) {
        let cause = seen.events.iter().find(|cause| cause.event_id == event.causation_id);
        let confirmed = cause.and_then(|cause| StayConfirmed::decode(body(cause)).ok()?.stay);
        let approved = confirmed.is_some_and(|stay| {
            let is_it = |event: &&Event| event.r#type.ends_with(".PaymentApproved") && event.subject == stay.payment_id;
            seen.events.iter().any(|event| is_it(&event))
        });
        if !approved {
            return Err(format!("voucher {} was issued without an approved payment", event.subject));
        }
    }
    Ok(())
}

fn the_read_model_shows_stays_payments_and_vouchers(seen: &Seen) -> Outcome {
    if seen.stays.pages.len() != seen.stays.stays.len() {
        return Err(format!("{} stays, but {} in the read model", seen.stays.stays.len(), seen.stays.pages.len()));
    }
    for (id, stay) in &seen.stays.stays {
        let view = seen.stays.pages.get(id).ok_or_else(|| format!("stay {id} is not in the read model"))?;
        let (payment, voucher) = (&seen.payments[id], seen.stays.vouchers.get(id));
        let shown = (
            (view.stay_state, view.cancellation_cause, &view.customer_id, &view.price, &view.dates),
            (view.payment_state, &view.payment_id),
            (view.voucher_state, view.voucher_id.as_str()),
        );
        let right = (
            (stay.state, stay.cancellation_cause, &stay.customer_id, &stay.price, &stay.dates),
            (payment.state, &payment.payment_id),
            voucher.map_or((0, ""), |voucher| (voucher.state, voucher.voucher_id.as_str())),
        );
        if shown != right {
            return Err(format!("the read model shows {shown:?}, expected {right:?}"));
        }
    }
    Ok(())
}
