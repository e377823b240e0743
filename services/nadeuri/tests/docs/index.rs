//! The index page of the reference: the contexts, the rules for every RPC and every event, and lists of all of them.

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

Every RPC, event, message and error of Nadeuri. `{COMMAND}` generates these pages from the comments and options of the
[contracts](../../proto) and from the contexts' subscriptions; a test compares them with the code.
[asyncapi.yaml](../asyncapi.yaml) describes the events for programs.

"
    );
    contexts_table(&mut out, contracts);
    out += "\n[`operations`](operations.md) is a service of every process, for operators. [Types](types.md) lists shared types.\n";
    roles_section(&mut out, contracts);
    repetition_section(&mut out);
    secrets_section(&mut out);
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
    *out += "\n## Roles\n\nThe roles of a caller come from the token. Any one of the roles of an RPC suffices to call it.\n\n";
    *out += "| role | who |\n|---|---|\n";
    let role = contracts.packages["options"].enums.iter().find(|each| each.name == "Role").expect("there are roles");
    for (value, _, comment) in role.values.iter().skip(1) {
        *out += &format!("| {} | {} |\n", role.short(value).to_lowercase(), comment.line());
    }
}

fn repetition_section(out: &mut String) {
    *out += "
## Repeated calls

An RPC that *only reads* is safe to repeat. An *idempotent* RPC is safe to repeat with the same `request_id` and the same
request: it takes effect once and returns the first answer.
";
}

fn secrets_section(out: &mut String) {
    *out += "
## Secrets

A *secret* is a field that the contracts mark with `debug_redact`. No log shows it. In a response, only the customer whom its
message names gets it; for others it is empty. The exception is other contexts, by the role `service`, in the events of
[`chronicle`](chronicle.md) and of the bus: they need all of an event. What is worth money to whoever reads it, such as the
code of a voucher (the option `sealed`), is encrypted there.
";
}

fn errors_section(out: &mut String) {
    *out += "
## Errors of every RPC

An error is a `google.rpc.Status`. Its details hold an `ErrorInfo` with the domain `nadeuri` and a stable reason, for
programs; a `RetryInfo` with a delay if a retry may help; a `BadRequest` with the fields that are invalid. The reason of
`NOT_FOUND` names what does not exist, such as `CAR_NOT_FOUND`. Any RPC may return the following errors, so the pages of
the contexts don't repeat them.

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

Each subscriber gets an event at least once. The events of one flow arrive in order, except after failures. The body is
the message in the binary form of Protocol Buffers. With RabbitMQ the attributes are these headers:

| header | |
|---|---|
";
    for (header, what, ..) in HEADERS {
        *out += &format!("| `{header}` | {what} |\n");
    }
    *out +=
        "\n[`chronicle`](chronicle.md) keeps every event. Other subscribers:\n\n| event | subscribers |\n|---|---|\n";
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
            // Not relative to a context's page, so only full names become links.
            let sentence = linked(contracts, "", sentence);
            let (roles, repeated) = (roles(rpc.options), repetition(rpc.options));
            let target = link(contracts, name, &rpc.name);
            *out += &format!("| [`{name}.{}`]({target}) | {roles} | {repeated} | {sentence} |\n", rpc.name);
        }
    }
}
