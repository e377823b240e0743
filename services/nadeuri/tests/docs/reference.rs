//! The reference: a page for each context, one for operations, one for the shared types, and an index.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use chassis::Context;
use contracts::Idempotency;
use nadeuri::contexts;

use crate::contract::{Comment, Contracts, Enum, Field, Kind, Message, Package, Rpc};
use crate::{bus, errors, index};

/// The folder of the pages.
pub const FOLDER: &str = "docs/reference";

/// The page of the types that contexts share.
const SHARED: &str = "types";

/// Every page by its path.
pub fn pages(contracts: &Contracts) -> BTreeMap<String, String> {
    let path = |name: &str| format!("{FOLDER}/{name}.md");
    let mut pages = BTreeMap::from([(path("README"), index::page(contracts))]);
    let mut shared = String::from("# Types that contexts share\n\n[All of the reference](README.md)\n");
    for (name, package) in &contracts.packages {
        let writer = Writer { contracts, name, package };
        if page_of(contracts, name) == SHARED {
            writer.types(&mut shared, "##");
        } else {
            pages.insert(path(name), writer.page());
        }
    }
    pages.insert(path(SHARED), shared);
    for (path, page) in &pages {
        let headings: Vec<String> = page.lines().filter(|line| line.starts_with('#')).map(anchor).collect();
        let distinct: BTreeSet<&String> = headings.iter().collect();
        assert_eq!(headings.len(), distinct.len(), "{path}: two headings are alike, and links can't tell them apart");
    }
    pages
}

/// The name of the page of a package.
fn page_of<'a>(contracts: &Contracts, package: &'a str) -> &'a str {
    if contracts.packages[package].rpcs.is_empty() { SHARED } else { package }
}

/// The anchor of a heading, as GitHub and others generate it.
pub fn anchor(heading: &str) -> String {
    let words = heading.trim_start_matches('#').trim().to_lowercase();
    words.replace(' ', "-").chars().filter(|letter| letter.is_alphanumeric() || "-_".contains(*letter)).collect()
}

/// A link to an item of a package, relative to another page.
pub fn link(contracts: &Contracts, package: &str, name: &str) -> String {
    format!("{}.md#{}", page_of(contracts, package), anchor(name))
}

/// A text whose words in backticks link to the items that they name, relative to the page of `package`.
pub fn linked(contracts: &Contracts, package: &str, text: &str) -> String {
    let mut out = String::new();
    for (index, part) in text.split('`').enumerate() {
        if index % 2 == 0 {
            out.push_str(&part.replace('<', "&lt;").replace('|', "\\|"));
            continue;
        }
        let own = contracts.packages.get(package).filter(|own| own.has(part)).map(|_| (package, part));
        let others = contracts.place(part).filter(|(_, found, name)| found.has(name));
        let target = match (own, others) {
            (Some((package, name)), _) | (None, Some((package, _, name))) => Some(link(contracts, package, name)),
            _ if part != package && contexts::ALL.iter().any(|context| context.name == part) => {
                Some(format!("{part}.md"))
            }
            _ => None,
        };
        match target {
            Some(target) => write!(out, "[`{part}`]({target})"),
            None => write!(out, "`{part}`"),
        }
        .expect("a text takes all");
    }
    out
}

/// The roles of an RPC, as a cell of a table.
pub fn roles(rpc: &contracts::Rpc) -> String {
    let name = |role: &contracts::Role| role.as_str_name().trim_start_matches("ROLE_").to_lowercase();
    rpc.roles.iter().map(name).collect::<Vec<_>>().join(", ")
}

/// What a repetition of an RPC does, in a word or two.
pub fn repetition(rpc: &contracts::Rpc) -> &'static str {
    match rpc.idempotency {
        Idempotency::NoSideEffects => "only reads",
        Idempotency::Idempotent => "idempotent",
        Idempotency::Unknown => "unknown",
    }
}

/// Writes about one package.
struct Writer<'a> {
    contracts: &'a Contracts,
    name: &'a str,
    package: &'a Package,
}

impl Writer<'_> {
    fn page(&self) -> String {
        let Writer { contracts, name, package } = self;
        let mut out = format!("# The contract of `{name}`\n\n[All of the reference](README.md)\n\n");
        self.paragraphs(&mut out, &package.about);
        let source = format!("../../proto/nadeuri/{name}/v1/");
        out += &format!("Package `{}`, in [`proto/nadeuri/{name}/v1`]({source}).\n", package.full_name);
        let context = contexts::ALL.iter().find(|context| context.name == *name);
        if let Some(context) = context.filter(|context| !context.calls.is_empty()) {
            let calls = context.calls.iter().map(|call| format!("[`{call}`]({call}.md)"));
            out += &format!("It calls {} and waits.\n", calls.collect::<Vec<_>>().join(", "));
        }
        out += "\n## RPCs\n";
        for rpc in &package.rpcs {
            self.rpc(&mut out, rpc);
        }
        errors::section(&mut out, contracts, name);
        if !package.events.is_empty() {
            out += "\n## Events it publishes\n\n[`chronicle`](chronicle.md) keeps each of them. ";
            out += "[The attributes](README.md#events) are the same for all.\n";
            for event in &package.events {
                self.message(&mut out, "###", event);
                self.reactions(&mut out, event);
            }
        }
        if let Some(context) = context {
            self.subscribed(&mut out, context);
        }
        out += "\n## Messages and enums\n";
        self.types(&mut out, "###");
        out
    }

    fn paragraphs(&self, out: &mut String, comment: &Comment) {
        for paragraph in &comment.0 {
            *out += &self.linked(paragraph);
            *out += "\n\n";
        }
    }

    fn linked(&self, text: &str) -> String {
        linked(self.contracts, self.name, text)
    }

    fn rpc(&self, out: &mut String, rpc: &Rpc) {
        *out += &format!("\n### {}\n\n", rpc.name);
        self.paragraphs(out, &rpc.comment);
        let stream = if rpc.is_stream { "a stream of " } else { "" };
        let long = if rpc.options.is_long { ", may take up to an hour" } else { "" };
        *out += "| request | response | roles | repeated |\n|---|---|---|---|\n";
        *out += &format!("| {} ", self.link_to(&rpc.input));
        *out += &format!("| {stream}{} ", self.link_to(&rpc.output));
        *out += &format!("| {} | {}{long} |\n", roles(rpc.options), repetition(rpc.options));
        let errors = errors::named(self.contracts, self.name, rpc);
        if !errors.is_empty() {
            *out += &format!("\nErrors: {errors}; and [those of every RPC](README.md#errors-of-every-rpc).\n");
        }
    }

    fn reactions(&self, out: &mut String, event: &Message) {
        let full_name = format!("{}.{}", self.package.full_name, event.name);
        let reactions = bus::reactions(&full_name);
        if reactions.is_empty() {
            *out += "\nNo other context subscribes, on purpose.\n";
            return;
        }
        *out += "\n| subscriber | reaction |\n|---|---|\n";
        for reaction in reactions {
            let then = reaction.then.unwrap_or_else(|| "shows it".to_owned());
            *out += &format!("| [`{0}`]({0}.md) | {1} |\n", reaction.context, self.linked(&then));
        }
    }

    fn subscribed(&self, out: &mut String, context: &Context) {
        *out += "\n## Events it reacts to\n\n";
        match bus::subscribed(context) {
            None => *out += "All: it keeps every event.\n",
            Some(events) if events.is_empty() => *out += "None.\n",
            Some(events) => {
                *out += "| event | reaction |\n|---|---|\n";
                for event in events {
                    let then = bus::then(context.name, event).unwrap_or_else(|| "shows it".to_owned());
                    *out += &format!("| {} | {} |\n", self.link_to(event), self.linked(&then));
                }
            }
        }
    }

    fn types(&self, out: &mut String, level: &str) {
        for message in &self.package.messages {
            self.message(out, level, message);
        }
        for each in &self.package.enums {
            self.enumeration(out, level, each);
        }
    }

    fn message(&self, out: &mut String, level: &str, message: &Message) {
        *out += &format!("\n{level} {}\n\n", message.name);
        self.paragraphs(out, &message.comment);
        if message.fields.is_empty() {
            *out += "It has no fields.\n";
            return;
        }
        *out += "| field | type | |\n|---|---|---|\n";
        for field in &message.fields {
            let comment = self.linked(&field.comment.line());
            *out += &format!("| `{}` = {} | {} | {comment} |\n", field.name, field.number, self.kind(field));
        }
    }

    fn kind(&self, field: &Field) -> String {
        let often = match (field.is_repeated, field.is_optional) {
            (true, _) => "repeated ",
            (false, true) => "optional ",
            (false, false) => "",
        };
        let name = match &field.kind {
            Kind::Scalar(name) => format!("`{name}`"),
            Kind::Message(name) | Kind::Enum(name) => self.link_to(name),
        };
        let secret = if field.is_secret { ", [secret](README.md#secrets)" } else { "" };
        format!("{often}{name}{secret}")
    }

    fn enumeration(&self, out: &mut String, level: &str, each: &Enum) {
        *out += &format!("\n{level} {}\n\n", each.name);
        self.paragraphs(out, &each.comment);
        *out += "| value | |\n|---|---|\n";
        for (value, number, comment) in &each.values {
            *out += &format!("| `{value}` = {number} | {} |\n", self.linked(&comment.line()));
        }
    }

    /// A link to a message or enum of this full name.
    fn link_to(&self, full_name: &str) -> String {
        match self.contracts.place(full_name) {
            Some((package, _, name)) => {
                let shown = if package == self.name { name } else { full_name };
                format!("[`{shown}`]({})", link(self.contracts, package, name))
            }
            None => {
                let page = full_name.to_lowercase();
                let page = page.strip_prefix("google.protobuf.").expect("other types are Google's");
                format!("[`{full_name}`](https://protobuf.dev/reference/protobuf/google.protobuf/#{page})")
            }
        }
    }
}
