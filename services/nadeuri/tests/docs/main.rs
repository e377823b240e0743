//! The generated documents in `docs/`, compared with the files: the reference of the contracts and the AsyncAPI
//! document of the events, from the comments and options of the contracts and from the subscriptions of the contexts;
//! and the tests of each requirement, from the names of the tests.

mod asyncapi;
mod bus;
mod contract;
mod errors;
mod index;
mod reasons;
mod reference;
mod repository;
mod requirements;
mod yaml;

use std::collections::{BTreeMap, BTreeSet};
use std::{env, fs};

use chassis::{Envelope, Timestamp};
use uuid::Uuid;

use crate::contract::Contracts;

/// The command that writes the documents.
const COMMAND: &str = "cargo xtask docs";

/// If this variable is set, the documents are written and not compared.
const WRITE: &str = "NADEURI_DOCS_WRITE";

/// Every generated document by its path.
fn documents() -> BTreeMap<String, String> {
    let contracts = Contracts::read();
    let mut documents = reference::pages(&contracts);
    documents.insert(asyncapi::PATH.to_owned(), asyncapi::document(&contracts));
    documents.insert(requirements::PATH.to_owned(), requirements::page());
    documents
}

#[test]
fn the_documents_say_what_the_code_does() {
    let documents = documents();
    let mut there: BTreeMap<String, String> = repository::files(reference::FOLDER).into_iter().collect();
    for path in [asyncapi::PATH, requirements::PATH] {
        there.extend(repository::read(path).map(|text| (path.to_owned(), text)));
    }
    let paths: BTreeSet<&String> = documents.keys().chain(there.keys()).collect();
    let differ: Vec<&String> = paths.into_iter().filter(|path| documents.get(*path) != there.get(*path)).collect();
    if env::var_os(WRITE).is_none() {
        assert!(differ.is_empty(), "these differ from the code; `{COMMAND}` regenerates them: {differ:#?}");
        return;
    }
    for path in differ {
        let file = repository::root().join(path);
        match documents.get(path) {
            Some(text) => {
                fs::create_dir_all(file.parent().expect("it is in a folder")).expect("the folder can be made");
                fs::write(file, text).expect("it can be written");
            }
            None => fs::remove_file(file).expect("a page of nothing can be removed"),
        }
    }
}

#[test]
fn every_link_of_the_documents_leads_somewhere() {
    let documents = documents();
    let anchors = |page: &str| -> BTreeSet<String> {
        page.lines().filter(|line| line.starts_with('#')).map(reference::anchor).collect()
    };
    let anchors: BTreeMap<&str, BTreeSet<String>> =
        documents.iter().map(|(path, page)| (path.as_str(), anchors(page))).collect();
    let mut broken = Vec::new();
    for (path, page) in documents.iter().filter(|(path, _)| path.ends_with(".md")) {
        let targets = page.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for target in targets.filter(|target| !target.starts_with("https://")) {
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let (folder, _) = path.rsplit_once('/').expect("it is in a folder");
            let full = format!("{folder}/{file}");
            let is_there = match anchors.get(full.as_str()) {
                Some(known) => anchor.is_empty() || known.contains(anchor),
                None => repository::root().join(full).exists(),
            };
            if !is_there {
                broken.push(format!("{path}: {target}"));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn every_requirement_has_a_test_and_no_test_is_of_an_unknown_one() {
    let differences = requirements::differences();
    assert!(differences.is_empty(), "{} and the names of the tests differ: {differences:#?}", requirements::PATH);
}

#[test]
fn the_comments_name_the_errors_that_the_code_gives() {
    let differences = errors::differences(&Contracts::read());
    assert!(differences.is_empty(), "{differences:#?}");
    let said: BTreeSet<String> = reasons::COMMON.iter().map(|(reason, _)| (*reason).to_owned()).collect();
    assert_eq!(said, reasons::common().into_keys().collect());
}

#[test]
fn the_headers_of_events_are_those_that_the_code_sets() {
    let least = Envelope {
        event_id: Uuid::nil(),
        kind: String::new(),
        source: String::new(),
        subject: String::new(),
        at: Timestamp::from_micros(0),
        correlation_id: Uuid::nil(),
        causation_id: None,
        sequence: 0,
        traceparent: None,
        body: vec![],
    };
    let most = Envelope { causation_id: Some(Uuid::nil()), traceparent: Some(String::new()), ..least.clone() };
    for (event, is_most) in [(least, false), (most, true)] {
        let properties = chassis::bus::rabbit::properties(&event, "nadeuri");
        assert_eq!(properties.content_type().as_ref().map(|kind| kind.as_str()), Some("application/protobuf"));
        let headers = properties.headers().clone().expect("it has headers");
        let kind = |value: &lapin::types::AMQPValue| match value {
            lapin::types::AMQPValue::LongLongInt(_) => "integer",
            lapin::types::AMQPValue::LongString(_) => "string",
            other => panic!("no document shows {other:?}"),
        };
        let set: BTreeMap<String, &str> =
            headers.inner().iter().map(|(name, value)| (name.to_string(), kind(value))).collect();
        let said = asyncapi::HEADERS.into_iter().filter(|(.., always)| is_most || *always);
        assert_eq!(set, said.map(|(name, _, kind, ..)| (name.to_owned(), kind)).collect());
    }
}
