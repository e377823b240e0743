//! What must be right when everything has come to rest: as customers see it, as the bank sees it, as operators see it.
//! Here is what holds for all; each line of business has a module of its own.

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

use crate::actors::{Record, by};
use crate::harness::{Harness, Line};

/// Longer than any stay is ahead and lasts. What was answered is remembered for longer.
pub const SEASON: Duration = Duration::from_secs(6 * 86_400);
/// How long what is reserved waits for its payment in the runs.
pub const PAY_WITHIN: Duration = Duration::from_secs(120);

pub type Outcome = Result<(), String>;

/// Everything that can be seen. Of a line that has no part in the run, nothing.
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

/// Everything in a list, as an admin sees it; nothing if the context has no part in the run.
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

/// The answer to an admin; none if the context has no part in the run.
pub async fn read<M: Unary>(harness: &Harness, request: M) -> Result<Option<M::Response>, String> {
    let Some(way) = harness.environment.peers.local(M::CONTEXT) else { return Ok(None) };
    let answer = client::call(way, by("admin", "admin", request)).await;
    answer
        .map(|answer| Some(answer.into_inner()))
        .map_err(|status| format!("{:?}: {}", status.code(), status.message()))
}

/// The message of an event, encoded.
pub fn body(event: &Event) -> &[u8] {
    event.data.as_ref().map(|data| data.value.as_slice()).unwrap_or_default()
}

/// What still moves, if anything does.
pub async fn unrest(harness: &Harness) -> Result<Option<String>, String> {
    if !harness.broker.is_empty() {
        return Ok(Some("events are under way".to_owned()));
    }
    for context in harness.contexts() {
        let reader = harness.store(context).reader().await.map_err(|error| error.to_string())?;
        let (waiting, _) = outbox::waiting(reader.tx()).await.map_err(|error| error.to_string())?;
        if waiting > 0 {
            return Ok(Some(format!("{waiting} events wait in the outbox of {context}")));
        }
    }
    let moving = |payment: &&Payment| {
        let state = payment.state();
        matches!(state, PaymentState::Charging | PaymentState::Refunding | PaymentState::Cancelling)
    };
    if let Some(payment) = payments(harness).await?.values().find(moving) {
        return Ok(Some(format!("payment {} is {}", payment.payment_id, payment.state().as_str_name())));
    }
    if let Some(moving) = taxis::Taxis::unrest(harness).await? {
        return Ok(Some(moving));
    }
    if let Some(moving) = bikes::Bikes::unrest(harness).await? {
        return Ok(Some(moving));
    }
    if let Some(moving) = orders::Orders::unrest(harness).await? {
        return Ok(Some(moving));
    }
    let pending = messages(harness).await?.into_values().find(|message| message.deliver_time.is_none());
    Ok(pending.map(|message| format!("message {} is not delivered", message.message_id)))
}

/// Looks at everything. Returns the story of the run, by which two runs can be compared.
pub async fn check(harness: &Harness, record: &Record) -> Result<String, String> {
    let events = all_pages::<ListEventsRequest>(harness).await?;
    let seen = Seen {
        payments: payments(harness).await?,
        messages: messages(harness).await?,
        bikes: bikes::Bikes::look(harness).await?,
        cars: cars::Cars::look(harness).await?,
        orders: orders::Orders::look(harness, &events).await?,
        stays: stays::Stays::look(harness).await?,
        taxis: taxis::Taxis::look(harness, &events).await?,
        events,
    };
    nothing_is_dead(harness).await?;
    every_event_is_told_once(harness, &seen)?;
    every_event_names_its_cause(&seen)?;
    what_is_so_was_told(&seen)?;
    every_payment_has_a_purchase(&seen)?;
    customers_are_told_once(harness, &seen)?;
    for line in &harness.lines {
        match line {
            Line::Cars => cars::check(harness, &seen)?,
            Line::Stays => stays::check(harness, &seen)?,
            Line::Taxis => taxis::check(harness, &seen)?,
            Line::Bikes => bikes::check(harness, &seen)?,
            Line::Orders => orders::check(harness, &seen)?,
        }
    }
    record.promises.iter().try_for_each(|promise| promise(&seen))?;
    first_answers_are_repeated(record).await?;
    if let Some(violation) = harness.bank.violation() {
        return Err(violation);
    }
    let story = seen.events.iter().map(|event| format!("{} {} {}", event.event_id, event.r#type, event.subject));
    Ok(story.collect::<Vec<_>>().join("\n"))
}

async fn nothing_is_dead(harness: &Harness) -> Outcome {
    for context in harness.contexts() {
        let reader = harness.store(context).reader().await.map_err(|error| error.to_string())?;
        let letters = dead_letters::list(reader.tx(), None, 1).await.map_err(|error| error.to_string())?;
        if let Some(letter) = letters.first() {
            return Err(format!("{context} could not handle {}: {}", letter.event.kind, letter.reason));
        }
    }
    Ok(())
}

fn every_event_is_told_once(harness: &Harness, seen: &Seen) -> Outcome {
    let told: BTreeSet<String> = seen.events.iter().map(|event| event.event_id.clone()).collect();
    if told.len() != seen.events.len() {
        return Err("the chronicle tells an event twice".to_owned());
    }
    let published: BTreeSet<String> = harness.broker.confirmed().iter().map(ToString::to_string).collect();
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
    let of_line = [cars::may_be_called(event)?, taxis::may_be_called(event), stays::may_be_called(event)?];
    let of_others = [bikes::may_be_called(event), orders::may_be_called(event)?];
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

/// The payment of an event of `payment`: each has it as its first field.
fn payment_of(event: &Event) -> Result<Payment, String> {
    let cancelled = PaymentCancelled::decode(body(event)).map_err(|error| format!("{}: {error}", event.r#type))?;
    cancelled.payment.ok_or_else(|| format!("{} without a payment", event.r#type))
}

/// What a context holds, its events have told.
fn what_is_so_was_told(seen: &Seen) -> Outcome {
    let name = |event: &Event| event.r#type.rsplit('.').next().unwrap_or_default().to_owned();
    let told: BTreeSet<(String, &str)> =
        seen.events.iter().map(|event| (name(event), event.subject.as_str())).collect();
    let mut so = [cars::so(seen), taxis::so(seen), stays::so(seen), bikes::so(seen), orders::so(seen)].concat();
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

fn every_payment_has_a_purchase(seen: &Seen) -> Outcome {
    let is_known = |purchase: &String| {
        let (cars, taxis, stays) = (&seen.cars.reservations, &seen.taxis.hails, &seen.stays.stays);
        let is_sold = cars.contains_key(purchase) || taxis.contains_key(purchase) || stays.contains_key(purchase);
        is_sold || seen.orders.drafts.contains(purchase)
    };
    let unknown = seen.payments.iter().find(|(purchase, payment)| !is_known(purchase) && !seen.bikes.tops_up(payment));
    match unknown {
        Some((purchase, _)) => Err(format!("there is a payment for {purchase}, which nobody sold")),
        None => Ok(()),
    }
}

fn customers_are_told_once(harness: &Harness, seen: &Seen) -> Outcome {
    let told = [cars::TOLD, taxis::TOLD, stays::TOLD, bikes::TOLD, orders::TOLD, &["PaymentRefused"]].concat();
    for event in &seen.events {
        let name = event.r#type.rsplit('.').next().unwrap_or_default();
        if told.contains(&name) && !seen.messages.contains_key(&event.event_id) {
            return Err(format!("nobody was told of {name} {}", event.event_id));
        }
    }
    let events: BTreeSet<&String> = seen.events.iter().map(|event| &event.event_id).collect();
    for id in seen.messages.keys() {
        if !events.contains(id) {
            return Err(format!("message {id} tells of nothing that happened"));
        }
        if harness.post.deliveries(id) == 0 {
            return Err(format!("message {id} is marked as delivered and never was"));
        }
    }
    Ok(())
}

async fn first_answers_are_repeated(record: &Record) -> Outcome {
    for acknowledged in &record.acknowledged {
        match (acknowledged.again)().await {
            Ok(again) if again == acknowledged.answer => {}
            other => {
                let what = &acknowledged.what;
                return Err(format!("it was answered differently when it was repeated: {what}: {other:?}"));
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
