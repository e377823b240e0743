//! The invariants that must hold at the end of a run, as customers, the payment processor and operators see it. This
//! module has those of all contexts; each line of business has its own module.

pub mod bikes;
pub mod cars;
pub mod orders;
pub mod stays;
pub mod taxis;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chassis::{dead_letters, outbox};
use contracts::chronicle::v1::{Event, ListEventsRequest};
use contracts::notification::v1::{ListMessagesRequest, Message};
use contracts::payment::v1::{ListPaymentsRequest, Payment, PaymentCancelled, PaymentState};
use contracts::{Paged, Unary};
use prost::Message as _;

use crate::actors::{History, by};
use crate::harness::{BusinessLine, Harness};

/// A day.
pub const DAY: Duration = Duration::from_secs(86_400);
/// Longer than the time to the end of any stay, and shorter than the retention of idempotency keys.
pub const SEASON: Duration = Duration::from_secs(6 * 86_400);
/// The time limit for the payment of a reservation in the runs.
pub const PAY_WITHIN: Duration = Duration::from_secs(120);

pub type Outcome = Result<(), String>;

/// The final state. It is empty for lines of business that are not part of the run.
pub struct Seen {
    pub payments: BTreeMap<String, Payment>,
    pub events: Vec<Event>,
    pub messages: BTreeMap<String, Message>,
    pub bikes: bikes::Bikes,
    pub cars: cars::Cars,
    pub orders: orders::Orders,
    pub stays: stays::Stays,
    pub taxis: taxis::Taxis,
}

/// All items of a list, as an admin sees it; empty if the context is not part of the run.
pub async fn all_pages<M: Paged>(harness: &Harness) -> Result<Vec<M::Item>, String> {
    let (mut all, mut request) = (Vec::new(), M::default());
    request.set_page_size(1_000);
    loop {
        let Some(response) = read(harness, request.clone()).await? else { break };
        let (items, next_page_token) = M::page(response);
        all.extend(items);
        if next_page_token.is_empty() {
            break;
        }
        request.set_page_token(next_page_token);
    }
    Ok(all)
}

/// The response to an admin; `None` if the context is not part of the run.
pub async fn read<M: Unary>(harness: &Harness, request: M) -> Result<Option<M::Response>, String> {
    let Some(channel) = harness.environment().peers.local(M::CONTEXT) else { return Ok(None) };
    let answer = client::call(channel, by("admin", "admin", request)).await;
    answer
        .map(|answer| Some(answer.into_inner()))
        .map_err(|status| format!("{:?}: {}", status.code(), status.message()))
}

/// The encoded message of an event.
pub fn body(event: &Event) -> &[u8] {
    event.data.as_ref().map(|data| data.value.as_slice()).unwrap_or_default()
}

/// A description of pending work, if there is some.
pub async fn pending_work(harness: &Harness) -> Result<Option<String>, String> {
    if !harness.broker.is_empty() {
        return Ok(Some("events are in flight".to_owned()));
    }
    for context in harness.contexts() {
        let reader = harness.store(context).reader().await.map_err(|error| error.to_string())?;
        let (waiting, _) = outbox::waiting(reader.tx()).await.map_err(|error| error.to_string())?;
        if waiting > 0 {
            return Ok(Some(format!("{waiting} events are in the outbox of {context}")));
        }
    }
    let is_pending = |payment: &&Payment| {
        let state = payment.state();
        matches!(state, PaymentState::Charging | PaymentState::Refunding | PaymentState::Cancelling)
    };
    if let Some(payment) = payments(harness).await?.values().find(is_pending) {
        return Ok(Some(format!("payment {} is {}", payment.payment_id, payment.state().as_str_name())));
    }
    if let Some(work) = taxis::Taxis::pending_work(harness).await? {
        return Ok(Some(work));
    }
    if let Some(work) = bikes::Bikes::pending_work(harness).await? {
        return Ok(Some(work));
    }
    if let Some(work) = orders::Orders::pending_work(harness).await? {
        return Ok(Some(work));
    }
    let pending = messages(harness).await?.into_values().find(|message| message.deliver_time.is_none());
    Ok(pending.map(|message| format!("message {} is not delivered", message.message_id)))
}

/// Checks all invariants. Returns the event log of the run, to compare two runs.
pub async fn check(harness: &Harness, history: &History) -> Result<String, String> {
    let events = all_pages::<ListEventsRequest>(harness).await?;
    let seen = Seen {
        payments: payments(harness).await?,
        messages: messages(harness).await?,
        bikes: bikes::Bikes::load(harness).await?,
        cars: cars::Cars::load(harness).await?,
        orders: orders::Orders::load(harness, &events).await?,
        stays: stays::Stays::load(harness).await?,
        taxis: taxis::Taxis::load(harness, &events).await?,
        events,
    };
    no_event_is_dead_lettered(harness).await?;
    every_event_is_recorded_once(harness, &seen)?;
    every_event_names_its_cause(&seen)?;
    every_state_has_its_events(&seen)?;
    every_payment_has_a_purchase(&seen)?;
    customers_are_notified_of_each_event(harness, &seen)?;
    for line in &harness.lines {
        match line {
            BusinessLine::Cars => cars::check(harness, &seen)?,
            BusinessLine::Stays => stays::check(harness, &seen)?,
            BusinessLine::Taxis => taxis::check(harness, &seen)?,
            BusinessLine::Bikes => bikes::check(harness, &seen)?,
            BusinessLine::Orders => orders::check(harness, &seen)?,
        }
    }
    history.promises.iter().try_for_each(|promise| promise(&seen))?;
    repeated_requests_get_the_first_response(history).await?;
    if let Some(violation) = harness.processor.violation() {
        return Err(violation);
    }
    let event_log = seen.events.iter().map(|event| format!("{} {} {}", event.event_id, event.r#type, event.subject));
    Ok(event_log.collect::<Vec<_>>().join("\n"))
}

async fn no_event_is_dead_lettered(harness: &Harness) -> Outcome {
    for context in harness.contexts() {
        let reader = harness.store(context).reader().await.map_err(|error| error.to_string())?;
        let letters = dead_letters::list(reader.tx(), None, 1).await.map_err(|error| error.to_string())?;
        if let Some(letter) = letters.first() {
            return Err(format!("{context} could not handle {}: {}", letter.event.kind, letter.reason));
        }
    }
    Ok(())
}

fn every_event_is_recorded_once(harness: &Harness, seen: &Seen) -> Outcome {
    let recorded: BTreeSet<String> = seen.events.iter().map(|event| event.event_id.clone()).collect();
    if recorded.len() != seen.events.len() {
        return Err("the chronicle has an event twice".to_owned());
    }
    let published: BTreeSet<String> = harness.broker.confirmed().iter().map(ToString::to_string).collect();
    if recorded != published {
        return Err(format!("{} events were published, the chronicle has {}", published.len(), recorded.len()));
    }
    Ok(())
}

/// The cause is an event in the chronicle. Only events that a call can cause have none.
fn every_event_names_its_cause(seen: &Seen) -> Outcome {
    let recorded: BTreeSet<&str> = seen.events.iter().map(|event| event.event_id.as_str()).collect();
    for event in &seen.events {
        if event.causation_id.is_empty() && !may_come_from_a_call(event)? {
            return Err(format!("{} of {} has no cause", event.r#type, event.subject));
        }
        if !event.causation_id.is_empty() && !recorded.contains(event.causation_id.as_str()) {
            return Err(format!("the cause of {} of {} is not in the chronicle", event.r#type, event.subject));
        }
    }
    Ok(())
}

/// Whether a call, and not only an event, can cause such an event.
fn may_come_from_a_call(event: &Event) -> Result<bool, String> {
    let of_line =
        [cars::may_come_from_a_call(event)?, taxis::may_come_from_a_call(event), stays::may_come_from_a_call(event)?];
    let of_others = [bikes::may_come_from_a_call(event), orders::may_come_from_a_call(event)?];
    if let Some(may) = of_line.into_iter().chain(of_others).flatten().next() {
        return Ok(may);
    }
    Ok(match event.r#type.strip_prefix("nadeuri.").unwrap_or_default() {
        "payment.v1.PaymentCancellationRefused" => false,
        "payment.v1.PaymentSettled" => payment_of(event)?.used,
        "payment.v1.PaymentCancelled" => !payment_of(event)?.refunded,
        _ => true,
    })
}

/// The payment of an event of `payment`. It is the first field of each.
fn payment_of(event: &Event) -> Result<Payment, String> {
    let cancelled = PaymentCancelled::decode(body(event)).map_err(|error| format!("{}: {error}", event.r#type))?;
    cancelled.payment.ok_or_else(|| format!("{} without a payment", event.r#type))
}

/// The final state of each context follows from its events.
fn every_state_has_its_events(seen: &Seen) -> Outcome {
    let name = |event: &Event| event.r#type.rsplit('.').next().unwrap_or_default().to_owned();
    let recorded: BTreeSet<(String, &str)> =
        seen.events.iter().map(|event| (name(event), event.subject.as_str())).collect();
    let mut required = [
        cars::required_events(seen),
        taxis::required_events(seen),
        stays::required_events(seen),
        bikes::required_events(seen),
        orders::required_events(seen),
    ]
    .concat();
    for payment in seen.payments.values() {
        let names: &[&str] = match payment.state() {
            PaymentState::Approved => &["PaymentRequested", "PaymentApproved"],
            PaymentState::Settled => &["PaymentRequested", "PaymentApproved", "PaymentSettled"],
            PaymentState::Cancelled => &["PaymentRequested", "PaymentCancelled"],
            _ => &["PaymentRequested"],
        };
        required.extend(names.iter().map(|name| (*name, payment.payment_id.as_str())));
    }
    match required.into_iter().find(|(name, subject)| !recorded.contains(&((*name).to_owned(), *subject))) {
        Some((name, subject)) => Err(format!("there is no event {name} of {subject}")),
        None => Ok(()),
    }
}

fn every_payment_has_a_purchase(seen: &Seen) -> Outcome {
    let is_known = |purchase: &String| {
        let (cars, taxis, stays) = (&seen.cars.reservations, &seen.taxis.hails, &seen.stays.stays);
        let is_sold = cars.contains_key(purchase) || taxis.contains_key(purchase) || stays.contains_key(purchase);
        is_sold || seen.orders.drafts.contains(purchase) || seen.cars.charged(purchase)
    };
    let unknown = seen.payments.iter().find(|(purchase, payment)| !is_known(purchase) && !seen.bikes.tops_up(payment));
    match unknown {
        Some((purchase, _)) => Err(format!("there is a payment for {purchase}, which does not exist")),
        None => Ok(()),
    }
}

fn customers_are_notified_of_each_event(harness: &Harness, seen: &Seen) -> Outcome {
    let notified =
        [cars::NOTIFIED, taxis::NOTIFIED, stays::NOTIFIED, bikes::NOTIFIED, orders::NOTIFIED, &["PaymentRefused"]]
            .concat();
    for event in &seen.events {
        let name = event.r#type.rsplit('.').next().unwrap_or_default();
        if notified.contains(&name) && !seen.messages.contains_key(&event.event_id) {
            return Err(format!("there is no message about {name} {}", event.event_id));
        }
    }
    let events: BTreeSet<&String> = seen.events.iter().map(|event| &event.event_id).collect();
    for id in seen.messages.keys() {
        if !events.contains(id) {
            return Err(format!("message {id} belongs to no event"));
        }
        if harness.carrier.deliveries(id) == 0 {
            return Err(format!("message {id} is marked as delivered, but was not"));
        }
    }
    Ok(())
}

async fn repeated_requests_get_the_first_response(history: &History) -> Outcome {
    for acknowledged in &history.acknowledged {
        match (acknowledged.repeat)().await {
            Ok(again) if again == acknowledged.answer => {}
            other => {
                let request = &acknowledged.request;
                return Err(format!("the repetition got another response: {request}: {other:?}"));
            }
        }
    }
    Ok(())
}

async fn payments(harness: &Harness) -> Result<BTreeMap<String, Payment>, String> {
    let all = all_pages::<ListPaymentsRequest>(harness).await?;
    Ok(all.into_iter().map(|payment: Payment| (payment.purchase_id.clone(), payment)).collect())
}

async fn messages(harness: &Harness) -> Result<BTreeMap<String, Message>, String> {
    let all = all_pages::<ListMessagesRequest>(harness).await?;
    Ok(all.into_iter().map(|message: Message| (message.message_id.clone(), message)).collect())
}
