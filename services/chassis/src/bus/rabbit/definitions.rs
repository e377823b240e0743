//! The topology and the permissions of contexts with their own users, as definitions that RabbitMQ imports.
//!
//! A user may declare, bind and consume what belongs to its context, subscribe to the kinds of events that the context
//! subscribes to, and publish the events of its package and those that any context may publish. It may not declare the
//! queues of its subscribers, as publishers do where all share one user, so the definitions have all exchanges and queues.

use contracts::{EVENTS, Event};
use lapin::ExchangeKind;
use lapin::types::{AMQPValue, FieldTable};
use serde_json::{Value, json};

use super::origin::Users;
use super::topology::{Part, Topology, interests};
use crate::bus::Subscription;

/// The definitions for contexts with these subscriptions, in a virtual host. The users and the virtual host must be there
/// when they are imported.
pub fn definitions(
    prefix: &str,
    vhost: &str,
    users: &Users,
    subscriptions: Vec<(&'static str, Subscription)>,
) -> Value {
    let topology = Topology::new(prefix, subscriptions.clone());
    let of_contexts = subscriptions.iter().flat_map(|(context, wanted)| topology.context(context, wanted));
    let (mut exchanges, mut queues, mut bindings) = (vec![], vec![], vec![]);
    for part in topology.exchanges().into_iter().chain(of_contexts) {
        let binding = |to: String, kind: &str, from: String, key: String| {
            json!({ "vhost": vhost, "source": from, "destination": to, "destination_type": kind, "routing_key": key,
                    "arguments": {} })
        };
        match part {
            Part::Exchange { name, kind } => exchanges.push(json!({
                "vhost": vhost, "name": name, "type": if kind == ExchangeKind::Topic { "topic" } else { "direct" },
                "durable": true, "auto_delete": false, "internal": false, "arguments": {},
            })),
            Part::Queue { name, arguments } => queues.push(json!({
                "vhost": vhost, "name": name, "durable": true, "auto_delete": false, "arguments": shown(&arguments),
            })),
            Part::QueueBinding { to, from, key } => bindings.push(binding(to, "queue", from, key)),
            Part::ExchangeBinding { to, from, key } => bindings.push(binding(to, "exchange", from, key)),
        }
    }
    let (mut permissions, mut topic_permissions) = (vec![], vec![]);
    for (context, subscription) in &subscriptions {
        let (user, publishes) = (users.of(context), topics(context));
        let own = format!(r"{}(\.([0-9]{{2}}|dead))?", escaped(context));
        let is_publisher = EVENTS.iter().any(|event| event.context() == *context);
        // To declare a queue with a dead-letter exchange needs writing to that exchange; to bind needs reading it.
        let shared = if is_publisher { "events|dead|" } else { "dead|" };
        let prefix = escaped(prefix);
        permissions.push(json!({
            "user": user, "vhost": vhost,
            "configure": format!(r"^{prefix}\.{own}$"),
            "write": format!(r"^{prefix}\.({shared}{own})$"),
            "read": format!(r"^{prefix}\.(events|dead|{own})$"),
        }));
        let subscribes: Vec<String> = interests(subscription).iter().map(|key| escaped(key)).collect();
        topic_permissions.push(json!({
            "user": user, "vhost": vhost, "exchange": topology.exchange(),
            "write": format!("^({})$", publishes.join("|")),
            "read": format!("^({})$", subscribes.join("|")),
        }));
    }
    json!({
        "exchanges": exchanges, "queues": queues, "bindings": bindings,
        "permissions": permissions, "topic_permissions": topic_permissions,
    })
}

/// The routing keys of the events that a context may publish, as regular expressions.
fn topics(context: &str) -> Vec<String> {
    let open = EVENTS.iter().filter(|event| event.is_open);
    let open = open.map(|Event { name, .. }| format!(r"{}\.[0-9]{{2}}", escaped(name)));
    std::iter::once(format!(r"nadeuri\.{}\..+", escaped(context))).chain(open).collect()
}

/// A text as a regular expression that matches it alone.
fn escaped(text: &str) -> String {
    let escape = |letter: char| match letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-') {
        true => letter.to_string(),
        false => format!("\\{letter}"),
    };
    text.chars().map(escape).collect()
}

fn shown(arguments: &FieldTable) -> Value {
    let value = |value: &AMQPValue| match value {
        AMQPValue::Boolean(value) => json!(value),
        AMQPValue::LongInt(value) => json!(value),
        AMQPValue::LongString(value) => json!(value.to_string()),
        other => json!(format!("{other:?}")),
    };
    arguments.inner().iter().map(|(name, argument)| (name.to_string(), value(argument))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_may_do_what_its_context_does() {
        let publisher = EVENTS.iter().find(|event| !event.is_open).expect("there are events");
        let (context, kind) = (publisher.context(), publisher.name);
        let subscriptions = vec![(context, Subscription::Kinds(vec![kind.to_owned()])), ("reader", Subscription::All)];
        let made = definitions("a.b", "/", &Users::new("user-{context}"), subscriptions);
        let own = |name: &str| format!(r"{name}(\.([0-9]{{2}}|dead))?");
        assert_eq!(
            made["permissions"],
            json!([
                {
                    "user": format!("user-{context}"), "vhost": "/",
                    "configure": format!(r"^a\.b\.{}$", own(context)),
                    "write": format!(r"^a\.b\.(events|dead|{})$", own(context)),
                    "read": format!(r"^a\.b\.(events|dead|{})$", own(context)),
                },
                {
                    "user": "user-reader", "vhost": "/",
                    "configure": format!(r"^a\.b\.{}$", own("reader")),
                    "write": format!(r"^a\.b\.(dead|{})$", own("reader")),
                    "read": format!(r"^a\.b\.(events|dead|{})$", own("reader")),
                },
            ])
        );
        let topics = &made["topic_permissions"];
        assert_eq!(topics[0]["read"], format!(r"^({}\.\*)$", kind.replace('.', r"\.")));
        assert_eq!(topics[1]["read"], r"^(\#)$");
        let writes = topics[0]["write"].as_str().expect("it is an expression");
        assert!(writes.starts_with(&format!(r"^(nadeuri\.{context}\..+|")), "{writes}");
        let open = EVENTS.iter().filter(|event| event.is_open);
        assert!(open.into_iter().all(|event| writes.contains(&event.name.replace('.', r"\."))), "{writes}");
        let counted = ["exchanges", "queues", "bindings"].map(|part| made[part].as_array().map_or(0, Vec::len));
        assert_eq!(counted, [2 + 2, 2 * 5, 2 * 6], "a binding for each queue and each subscription");
    }
}
