//! The events as an AsyncAPI 3 document: a channel for each context that publishes, an operation for each that publishes
//! or reacts, and the messages in the JSON form of Protocol Buffers with the names and numbers that they have on the wire.

use chassis::bus::rabbit;
use chassis::envelope::PARTITIONS;
use nadeuri::contexts;

use crate::contract::{Contracts, Enum, Field, Kind, Message, Package};
use crate::yaml::Yaml;
use crate::{COMMAND, bus};

/// The path of the document.
pub const PATH: &str = "docs/asyncapi.yaml";

/// The headers of an event: the name, what it is, its type in JSON Schema, its format if it has one, whether every event
/// has it. A test compares them with those that the code sets.
pub const HEADERS: [(&str, &str, &str, &str, bool); 10] = [
    ("cloudEvents_specversion", "The version of CloudEvents: `1.0`.", "string", "", true),
    ("cloudEvents_id", "The id of the event. A repeated delivery has the same id.", "string", "uuid", true),
    ("cloudEvents_type", "The full name of its message.", "string", "", true),
    ("cloudEvents_source", "The context that published it.", "string", "", true),
    ("cloudEvents_subject", "The id of the aggregate that changed.", "string", "", true),
    ("cloudEvents_time", "When it happened.", "string", "date-time", true),
    ("cloudEvents_correlationid", "The flow that it belongs to.", "string", "uuid", true),
    ("cloudEvents_sequence", "The version of the aggregate; it increases with each change.", "integer", "int64", true),
    ("cloudEvents_causationid", "The event that caused it, if one did.", "string", "uuid", false),
    ("cloudEvents_traceparent", "The W3C trace that it happened in, if there is one.", "string", "", false),
];

/// The document.
pub fn document(contracts: &Contracts) -> String {
    let publishers = || contracts.packages.iter().filter(|(_, package)| !package.events.is_empty());
    let channels = publishers().map(|(name, package)| (name.clone(), channel(name, package)));
    let messages = publishers().flat_map(|(_, package)| {
        package.events.iter().map(|event| (full(package, &event.name), message(package, event)))
    });
    let components = Yaml::map([
        ("messages", Yaml::Map(messages.collect())),
        ("messageTraits", Yaml::map([("event", envelope())])),
        ("schemas", Yaml::Map(schemas(contracts))),
    ]);
    let document = Yaml::map([
        ("asyncapi", Yaml::text("3.0.0")),
        ("id", Yaml::text("urn:nadeuri:events")),
        ("info", info()),
        ("defaultContentType", Yaml::text("application/protobuf")),
        ("servers", Yaml::map([("rabbitmq", server())])),
        ("channels", Yaml::Map(channels.collect())),
        ("operations", Yaml::Map(operations(contracts))),
        ("components", components),
    ]);
    format!(
        "# `{COMMAND}` generates this from the contracts and subscriptions; a test compares it with the code.\n{}",
        document.document()
    )
}

fn info() -> Yaml {
    let description = "The events that the contexts of Nadeuri publish. Each subscriber gets an event at least once. The \
        events of one flow arrive in order, except after failures: deduplicate them by id. The schemas describe the JSON \
        form of the messages; on the wire they are in the binary form of Protocol Buffers, and `x-protobuf` gives their \
        names and numbers in the contracts.";
    Yaml::map([
        ("title", Yaml::text("Events of Nadeuri")),
        ("version", Yaml::text(env!("CARGO_PKG_VERSION"))),
        ("description", Yaml::text(description)),
        ("license", Yaml::map([("name", Yaml::text("MIT"))])),
    ])
}

fn server() -> Yaml {
    let description = "The broker of `--bus`. Names of exchanges and queues start with `--bus-prefix`, which is \
        `nadeuri` unless it is set.";
    Yaml::map([
        ("host", Yaml::text("{broker}")),
        ("protocol", Yaml::text("amqp")),
        ("protocolVersion", Yaml::text("0.9.1")),
        ("description", Yaml::text(description)),
        ("variables", Yaml::map([("broker", Yaml::map([("default", Yaml::text("localhost:5672"))]))])),
    ])
}

fn full(package: &Package, name: &str) -> String {
    format!("{}.{name}", package.full_name)
}

fn channel(name: &str, package: &Package) -> Yaml {
    // The routing key as the code makes it, without the number of the stream.
    let address = rabbit::routing_key(&full(package, "{event}"), 0);
    let address = address.strip_suffix("00").expect("the stream has two digits");
    let names = package.events.iter().map(|event| Yaml::text(&event.name)).collect();
    let streams = (0..PARTITIONS).map(|stream| Yaml::text(format!("{stream:02}"))).collect();
    let parameter = |description: &str, values: Vec<Yaml>| {
        Yaml::map([("description", Yaml::text(description)), ("enum", Yaml::List(values))])
    };
    let reference = |event: &Message| {
        (event.name.clone(), Yaml::reference(format!("components/messages/{}", full(package, &event.name))))
    };
    let exchange = Yaml::map([
        ("name", Yaml::text("nadeuri.events")),
        ("type", Yaml::text("topic")),
        ("durable", Yaml::Bool(true)),
    ]);
    let amqp =
        Yaml::map([("is", Yaml::text("routingKey")), ("exchange", exchange), ("bindingVersion", Yaml::text("0.3.0"))]);
    Yaml::map([
        ("address", Yaml::text(format!("{address}{{stream}}"))),
        ("description", Yaml::text(format!("Events of `{name}`, by type and stream."))),
        ("messages", Yaml::Map(package.events.iter().map(reference).collect())),
        (
            "parameters",
            Yaml::map([
                ("event", parameter("The name of the message.", names)),
                (
                    "stream",
                    parameter("The stream (partition) of the flow: all events of a flow have the same.", streams),
                ),
            ]),
        ),
        ("bindings", Yaml::map([("amqp", amqp)])),
    ])
}

/// The publishers and subscribers.
fn operations(contracts: &Contracts) -> Vec<(String, Yaml)> {
    let mut found = Vec::new();
    for (name, package) in contracts.packages.iter().filter(|(_, package)| !package.events.is_empty()) {
        let all: Vec<&Message> = package.events.iter().collect();
        found.push((
            format!("{name}.publishes"),
            operation("send", name, &all, format!("`{name}` publishes its events.")),
        ));
    }
    for context in contexts::ALL {
        let subscribed = bus::subscribed(context);
        for (name, package) in &contracts.packages {
            let subscribes = |event: &&Message| match &subscribed {
                None => true,
                Some(events) => events.contains(&full(package, &event.name).as_str()),
            };
            let events: Vec<&Message> = package.events.iter().filter(subscribes).collect();
            if !events.is_empty() {
                let reaction = operation("receive", name, &events, reactions(context.name, package, &events));
                found.push((format!("{}.reacts_to.{name}", context.name), reaction));
            }
        }
    }
    found
}

/// The reactions of a context, from the table of its policy.
fn reactions(context: &str, package: &Package, events: &[&Message]) -> String {
    let then = |event: &&Message| {
        let then = bus::then(context, &full(package, &event.name))?;
        Some(format!("- {}: {then}\n", event.name))
    };
    let lines: String = events.iter().filter_map(then).collect();
    let queues = format!("`{context}` consumes them from its queues `nadeuri.{context}.{{stream}}`.");
    if lines.is_empty() { queues } else { format!("{queues}\n\n{lines}") }
}

fn operation(action: &str, channel: &str, events: &[&Message], description: String) -> Yaml {
    let reference = |event: &&Message| Yaml::reference(format!("channels/{channel}/messages/{}", event.name));
    Yaml::map([
        ("action", Yaml::text(action)),
        ("channel", Yaml::reference(format!("channels/{channel}"))),
        ("description", Yaml::text(description.trim_end())),
        ("messages", Yaml::List(events.iter().map(reference).collect())),
    ])
}

fn message(package: &Package, event: &Message) -> Yaml {
    let full_name = full(package, &event.name);
    let is_final = contracts::EVENTS.iter().any(|one| one.name == full_name && one.is_final);
    let message = Yaml::map([
        ("name", Yaml::text(&full_name)),
        ("title", Yaml::text(&event.name)),
        ("summary", Yaml::text(event.comment.line())),
        ("contentType", Yaml::text("application/protobuf")),
        ("traits", Yaml::List(vec![Yaml::reference("components/messageTraits/event".to_owned())])),
        ("payload", Yaml::reference(format!("components/schemas/{full_name}"))),
    ]);
    if is_final { message.with("x-final", Yaml::Bool(true)) } else { message }
}

/// The headers of every event.
fn envelope() -> Yaml {
    let property = |(name, what, kind, format, _): (&str, &str, &str, &str, bool)| {
        let property = Yaml::map([("type", Yaml::text(kind)), ("description", Yaml::text(what))]);
        let property = if format.is_empty() { property } else { property.with("format", Yaml::text(format)) };
        (name.to_owned(), property)
    };
    let required = HEADERS.into_iter().filter(|header| header.4).map(|header| Yaml::text(header.0));
    let headers = Yaml::map([
        ("type", Yaml::text("object")),
        ("required", Yaml::List(required.collect())),
        ("properties", Yaml::Map(HEADERS.into_iter().map(property).collect())),
    ]);
    let correlation = Yaml::map([
        ("description", Yaml::text("The flow that the event belongs to.")),
        ("location", Yaml::text("$message.header#/cloudEvents_correlationid")),
    ]);
    Yaml::map([("headers", headers), ("correlationId", correlation)])
}

/// The schemas of the events and of all types in them.
fn schemas(contracts: &Contracts) -> Vec<(String, Yaml)> {
    let events =
        contracts.packages.values().flat_map(|package| package.events.iter().map(|event| full(package, &event.name)));
    let mut names: Vec<String> = events.collect();
    let mut next = 0;
    while let Some(name) = names.get(next).cloned() {
        let found = contracts.place(&name).and_then(|(_, package, name)| package.message(name));
        for field in found.into_iter().flat_map(|message| &message.fields) {
            if let Kind::Message(inner) | Kind::Enum(inner) = &field.kind
                && contracts.place(inner).is_some()
                && !names.contains(inner)
            {
                names.push(inner.clone());
            }
        }
        next += 1;
    }
    names.sort();
    let schema = |name: String| {
        let (_, package, short) = contracts.place(&name).expect("its name was found there");
        let each = || package.enums.iter().find(|each| each.name == short).expect("it is a message or an enum");
        let schema = package.message(short).map_or_else(|| enumeration(each()), |message| object(contracts, message));
        let schema = schema.with("x-protobuf", Yaml::map([("name", Yaml::text(&name))]));
        (name, schema)
    };
    names.into_iter().map(schema).collect()
}

fn object(contracts: &Contracts, message: &Message) -> Yaml {
    let property = |field: &Field| (field.json_name.clone(), property(contracts, field));
    Yaml::map([
        ("type", Yaml::text("object")),
        ("description", Yaml::text(message.comment.line())),
        ("properties", Yaml::Map(message.fields.iter().map(property).collect())),
    ])
}

fn enumeration(each: &Enum) -> Yaml {
    let line =
        |(value, _, comment): &(String, i32, crate::contract::Comment)| format!("- {value}: {}\n", comment.line());
    let lines: String = each.values.iter().map(line).collect();
    Yaml::map([
        ("type", Yaml::text("string")),
        ("description", Yaml::text(format!("{}\n\n{lines}", each.comment.line()).trim_end())),
        ("enum", Yaml::List(each.values.iter().map(|(value, ..)| Yaml::text(value)).collect())),
    ])
}

fn property(contracts: &Contracts, field: &Field) -> Yaml {
    let typed = |kind: &str, format: &str| {
        let schema = Yaml::map([("type", Yaml::text(kind))]);
        if format.is_empty() { schema } else { schema.with("format", Yaml::text(format)) }
    };
    let schema = match &field.kind {
        Kind::Message(name) | Kind::Enum(name) if contracts.place(name).is_some() => {
            // JSON Schema ignores keywords beside `$ref`.
            Yaml::map([("allOf", Yaml::List(vec![Yaml::reference(format!("components/schemas/{name}"))]))])
        }
        Kind::Message(name) if name == "google.protobuf.Timestamp" => typed("string", "date-time"),
        Kind::Message(_) | Kind::Enum(_) => typed("object", ""),
        Kind::Scalar("bool") => typed("boolean", ""),
        Kind::Scalar("double") => typed("number", "double"),
        Kind::Scalar("int32") => typed("integer", "int32"),
        // As in the JSON form of Protocol Buffers, because JSON numbers are not exact for all of them.
        Kind::Scalar("int64") => typed("string", "int64"),
        Kind::Scalar("bytes") => typed("string", "byte"),
        Kind::Scalar(_) => typed("string", ""),
    };
    let schema = if field.is_repeated { Yaml::map([("type", Yaml::text("array")), ("items", schema)]) } else { schema };
    let wire = Yaml::map([("field", Yaml::text(&field.name)), ("number", Yaml::Number(i64::from(field.number)))]);
    schema.with("description", Yaml::text(field.comment.line())).with("x-protobuf", wire)
}
