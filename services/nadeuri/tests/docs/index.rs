//! The first page of the reference: the contexts, what holds for every RPC and every event, and lists of all of them.

use nadeuri::contexts;

use crate::asyncapi::HEADERS;
use crate::contract::Contracts;
use crate::reasons::{self, COMMON};
use crate::reference::{link, linked, repetition, roles};
use crate::{COMMAND, bus};

/// The page.
pub fn page(contracts: &Contracts) -> String {
    let mut out = format!(
        "# Reference

Every RPC, event, message and error of Nadeuri, from the comments and options of the [contracts](../../proto) and from
what the contexts subscribe to. `{COMMAND}` writes these pages, and a test keeps them true.
[asyncapi.yaml](../asyncapi.yaml) tells of the events for programs.

"
    );
    contexts_table(&mut out, contracts);
    out += "\n[`operations`](operations.md) is a service of every process, for operators. [Types](types.md) are shared by all.\n";
    roles_section(&mut out, contracts);
    repetition_section(&mut out);
    errors_section(&mut out);
    events_section(&mut out, contracts);
    rpcs_section(&mut out, contracts);
    out
}

fn contexts_table(out: &mut String, contracts: &Contracts) {
    *out += "| context | owns | RPCs | events |\n|---|---|---|---|\n";
    for context in contexts::ALL {
        let package = &contracts.packages[context.name];
        let (rpcs, events) = (package.rpcs.len(), package.events.len());
        *out += &format!("| [`{0}`]({0}.md) | {1} | {rpcs} | {events} |\n", context.name, context.about);
    }
}

fn roles_section(out: &mut String, contracts: &Contracts) {
    *out +=
        "\n## Roles\n\nAny one of the roles of an RPC suffices to call it. They come from the token of the caller.\n\n";
    *out += "| role | who |\n|---|---|\n";
    let role = contracts.packages["options"].enums.iter().find(|each| each.name == "Role").expect("there are roles");
    for (value, _, comment) in role.values.iter().skip(1) {
        *out += &format!("| {} | {} |\n", role.short(value).to_lowercase(), comment.line());
    }
}

fn repetition_section(out: &mut String) {
    *out += "
## Repeated calls

An RPC that *only reads* may be repeated at will. One that is *idempotent* may be repeated too: with the same `request_id`
and the same request it does its work once and answers as it did first.
";
}

fn errors_section(out: &mut String) {
    *out += "
## Errors of every RPC

An error is a `google.rpc.Status`. Its details hold an `ErrorInfo` with the domain `nadeuri` and a reason, which is stable
and what programs go by; a `RetryInfo` with a delay where trying again may help; a `BadRequest` where fields are wrong.
`NOT_FOUND` has what is not there as its reason, such as `CAR_NOT_FOUND`. What follows may come from any RPC, and the pages
of the contexts don't repeat it.

| reason | status | when | delay |
|---|---|---|---|
";
    let common = reasons::common();
    for (reason, when) in COMMON {
        let (code, has_delay) = common.get(reason).copied().unwrap_or_default();
        *out += &format!("| `{reason}` | `{code}` | {when} | {} |\n", if has_delay { "yes" } else { "" });
    }
}

fn events_section(out: &mut String, contracts: &Contracts) {
    *out += "
## Events

An event comes at least once to everybody who wants it, and those of one flow in order, unless something broke on the way.
Its body is the message in the binary form of Protocol Buffers. With RabbitMQ its attributes are these headers:

| header | |
|---|---|
";
    for (header, what, ..) in HEADERS {
        *out += &format!("| `{header}` | {what} |\n");
    }
    *out +=
        "\n[`chronicle`](chronicle.md) keeps every event; who reacts besides:\n\n| event | who reacts |\n|---|---|\n";
    for event in contracts::EVENTS {
        let (package, _, name) = contracts.place(event.name).expect("events are in the contracts");
        let reactions = bus::reactions(event.name);
        let names: Vec<String> =
            reactions.iter().map(|reaction| format!("[`{0}`]({0}.md)", reaction.context)).collect();
        *out += &format!("| [`{package}.{name}`]({}) | {} |\n", link(contracts, package, name), names.join(", "));
    }
}

fn rpcs_section(out: &mut String, contracts: &Contracts) {
    *out += "\n## RPCs\n\n| RPC | roles | repeated | |\n|---|---|---|---|\n";
    for (name, package) in &contracts.packages {
        for rpc in &package.rpcs {
            let first = rpc.comment.0.first().map(String::as_str).unwrap_or_default();
            let sentence = first.split_inclusive(". ").next().unwrap_or_default().trim();
            // Seen from no context's page, so that only full names are links.
            let sentence = linked(contracts, "", sentence);
            let (roles, repeated) = (roles(rpc.options), repetition(rpc.options));
            let target = link(contracts, name, &rpc.name);
            *out += &format!("| [`{name}.{}`]({target}) | {roles} | {repeated} | {sentence} |\n", rpc.name);
        }
    }
}
