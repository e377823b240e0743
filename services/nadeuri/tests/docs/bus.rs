//! The subscribers of events, and their reactions.

use chassis::Subscription;
use nadeuri::contexts;

use crate::repository::read;

/// A context that subscribes to an event, and its reaction, if the table of its policy has one.
pub struct Reaction {
    pub context: &'static str,
    pub then: Option<String>,
}

/// The subscribers of this event, without those that subscribe to all events.
pub fn reactions(event: &str) -> Vec<Reaction> {
    let subscribes = |subscription: Subscription| matches!(subscription, Subscription::Kinds(kinds) if kinds.iter().any(|kind| kind == event));
    let those =
        contexts::ALL.iter().filter(|context| subscribes(context.subscription().expect("it starts with its defaults")));
    those.map(|context| Reaction { context: context.name, then: then(context.name, event) }).collect()
}

/// The events that a context subscribes to, in the order of the contracts; `None` if all.
pub fn subscribed(context: &chassis::Context) -> Option<Vec<&'static str>> {
    let names = || contracts::EVENTS.iter().map(|event| event.name);
    match context.subscription().expect("it starts with its defaults") {
        Subscription::All => None,
        Subscription::Kinds(kinds) => Some(names().filter(|name| kinds.iter().any(|kind| kind == name)).collect()),
    }
}

/// The reaction to an event in the table at the head of a policy; `tidy` checks that the table matches the policy. For
/// an event with the option `purchase`, it is the reaction to the event of `payment` with the same meaning.
pub fn then(context: &str, event: &str) -> Option<String> {
    if event == contracts::personal::Erasure::event() {
        return Some("erase the customer".to_owned());
    }
    let asks = |name: &str| contracts::EVENTS.iter().find(|one| one.name == name)?.purchase.map(|rule| rule.action);
    let same = |one: &&contracts::Event| one.is_open && asks(one.name) == asks(event);
    let event = contracts::EVENTS.iter().filter(|_| context == "payment").find(same).map_or(event, |one| one.name);
    let row = format!("//! | `{}`", event.strip_prefix("nadeuri.")?);
    let policy = read(&format!("services/{context}/src/policy.rs"))?;
    let line = policy.lines().find(|line| line.starts_with(&row))?;
    Some(line.split('|').nth(2)?.trim().to_owned())
}
