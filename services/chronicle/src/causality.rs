//! The order of the events of a flow.

use std::collections::BTreeSet;

use chassis::Timestamp;
use contracts::chronicle::v1 as proto;

/// Sorts events by causality. The order of arrival differs, because each context has its own relay. Their times do not
/// suffice, because the clocks of machines differ.
pub fn causal_order(mut events: Vec<proto::Event>) -> Vec<proto::Event> {
    let micros = |event: &proto::Event| event.time.as_ref().and_then(Timestamp::from_proto);
    events.sort_by_key(|event| (micros(event), event.position));
    let mut unsorted: BTreeSet<String> = events.iter().map(|event| event.event_id.clone()).collect();
    let mut sorted = Vec::with_capacity(events.len());
    while !events.is_empty() {
        // A cause outside of this flow, or one that has not arrived yet, does not hold up its effects.
        let next = events.iter().position(|event| !unsorted.contains(&event.causation_id)).unwrap_or(0);
        let event = events.remove(next);
        unsorted.remove(&event.event_id);
        sorted.push(event);
    }
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_event_of_a_story_comes_before_its_cause() {
        let event = |id: &str, cause: &str, seconds: i64| proto::Event {
            event_id: id.to_owned(),
            causation_id: cause.to_owned(),
            time: Some(prost_types::Timestamp { seconds, nanos: 0 }),
            ..proto::Event::default()
        };
        // The clock of the machine that reserved is ahead.
        let arrived = vec![event("paid", "reserved", 1), event("rented", "paid", 4), event("reserved", "", 3)];
        let ids: Vec<String> = causal_order(arrived).into_iter().map(|event| event.event_id).collect();
        assert_eq!(ids, ["reserved", "paid", "rented"]);
    }
}
