//! The errors that the comments of the contracts name, such as `FAILED_PRECONDITION` with the reason `PERIOD_TAKEN`:
//! collected, sorted and compared with the code.

use std::collections::BTreeSet;

use chassis::Context;
use nadeuri::contexts;

use crate::contract::{Contracts, Rpc};
use crate::reasons::{self, CODES, COMMON};
use crate::reference::link;

/// The reasons that RPCs of a package may name: its own, those of the contexts that it calls, and for the rebuild of
/// read models, those of the chronicle.
fn known(package: &str) -> BTreeSet<String> {
    let mut known = reasons::of(package);
    known.extend(called(package));
    known
}

fn called(package: &str) -> BTreeSet<String> {
    let calls = |context: &&Context| match package {
        "operations" => context.calls.contains(&"chronicle"),
        _ => contexts::ALL.iter().any(|caller| caller.name == package && caller.calls.contains(&context.name)),
    };
    contexts::ALL.iter().filter(calls).flat_map(|context| reasons::of(context.name)).collect()
}

/// The codes that an RPC names, each with its reasons, in the order of its comment.
fn codes<'a>(known: &BTreeSet<String>, rpc: &'a Rpc) -> Vec<(&'a str, Vec<&'a str>)> {
    let mut codes: Vec<(&str, Vec<&str>)> = Vec::new();
    let mut current = None;
    for word in rpc.comment.quoted() {
        if CODES.contains(&word) {
            let place = codes.iter().position(|(code, _)| *code == word);
            current = Some(place.unwrap_or(codes.len()));
            if place.is_none() {
                codes.push((word, Vec::new()));
            }
        } else if let Some(reasons) = current.and_then(|place| codes.get_mut(place)).filter(|_| known.contains(word)) {
            reasons.1.push(word);
        }
    }
    codes
}

/// The reason of a `NOT_FOUND` that names none: the only such reason of the context.
fn not_found<'a>(contracts: &Contracts, package: &str, known: &'a BTreeSet<String>) -> Vec<&'a String> {
    let own = reasons::of(package);
    let rpcs = &contracts.packages[package].rpcs;
    let is_named = |reason: &str| rpcs.iter().any(|rpc| rpc.comment.quoted().any(|word| word == reason));
    let unnamed = |reason: &&String| reason.ends_with("_NOT_FOUND") && own.contains(*reason) && !is_named(reason);
    known.iter().filter(unnamed).collect()
}

/// The errors of an RPC in a line.
pub fn named(contracts: &Contracts, package: &str, rpc: &Rpc) -> String {
    let known = known(package);
    let unnamed = not_found(contracts, package, &known);
    let mut out = Vec::new();
    for (code, mut reasons) in codes(&known, rpc) {
        if code == "NOT_FOUND" && reasons.is_empty() {
            reasons.extend(unnamed.iter().map(|reason| reason.as_str()));
        }
        let quoted: Vec<String> = reasons.iter().map(|reason| format!("`{reason}`")).collect();
        let with = if quoted.is_empty() { String::new() } else { format!(" with {}", quoted.join(", ")) };
        out.push(format!("`{code}`{with}"));
    }
    out.join("; ")
}

/// The reasons of a package, each with the RPCs that may answer with it.
pub fn section(out: &mut String, contracts: &Contracts, package: &str) {
    let known = known(package);
    let mut rows = Vec::new();
    for reason in &known {
        let quoted = format!("`{reason}`");
        let names = |rpc: &&Rpc| named(contracts, package, rpc).contains(&quoted);
        let those = contracts.packages[package].rpcs.iter().filter(names);
        let links: Vec<String> =
            those.map(|rpc| format!("[`{}`]({})", rpc.name, link(contracts, package, &rpc.name))).collect();
        if !links.is_empty() {
            rows.push(format!("| {quoted} | {} |\n", links.join(", ")));
        }
    }
    if !rows.is_empty() {
        *out += "\n## Reasons of errors\n\n| reason | of |\n|---|---|\n";
        *out += &rows.concat();
    }
}

/// The differences between the code and the comments about errors.
pub fn differences(contracts: &Contracts) -> Vec<String> {
    let mut found = Vec::new();
    let values = contracts.enum_values();
    for (name, package) in contracts.packages.iter().filter(|(_, package)| !package.rpcs.is_empty()) {
        let (own, known) = (reasons::of(name), known(name));
        let called = called(name);
        let comments = || package.rpcs.iter().map(|rpc| &rpc.comment).chain([&package.about]);
        let said: BTreeSet<&str> = comments().flat_map(|comment| comment.quoted()).collect();
        let of_operations = named_by_operations(contracts);
        for reason in own.iter().filter(|reason| !said.contains(reason.as_str())) {
            let is_known = called.contains(reason) || of_operations.contains(reason.as_str());
            if !is_known && !reason.ends_with("_NOT_FOUND") {
                found.push(format!("{name}: no comment of an RPC names the reason {reason}"));
            }
        }
        let unnamed = not_found(contracts, name, &own);
        let bare =
            |rpc: &&Rpc| codes(&known, rpc).iter().any(|(code, reasons)| *code == "NOT_FOUND" && reasons.is_empty());
        if unnamed.len() > 1 && package.rpcs.iter().any(|rpc| bare(&rpc)) {
            found
                .push(format!("{name}: a NOT_FOUND may have any of the reasons {unnamed:?}; name all but one of them"));
        }
        let is_known = |word: &str| known.contains(word) || COMMON.iter().any(|(reason, _)| *reason == word);
        for rpc in &package.rpcs {
            let words = rpc.comment.quoted().filter(|word| reasons::is_upper_snake(word));
            let strange = words.filter(|word| !CODES.contains(word) && !values.contains(*word) && !is_known(word));
            found.extend(strange.map(|word| format!("{name}.{}: the code has no {word}", rpc.name)));
        }
    }
    found
}

fn named_by_operations(contracts: &Contracts) -> BTreeSet<&str> {
    contracts.packages["operations"].rpcs.iter().flat_map(|rpc| rpc.comment.quoted()).collect()
}
