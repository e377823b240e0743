//! The house rules of CONTRIBUTING.md, as far as a program can check them, on the text of the repository, the
//! descriptors of the contracts and the declarations of the contexts.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use chassis::{Context, Subscription};
use contracts::Idempotency;
use contracts::personal::Erasure;
use nadeuri::contexts;
use prost::Message;
use prost_types::{DescriptorProto, EnumDescriptorProto, FileDescriptorProto, FileDescriptorSet};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every file of the repository with this ending: its path from the root, and its text.
fn files(ending: &str) -> Vec<(String, String)> {
    fn walk(folder: &Path, ending: &str, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("a folder of the repository can be read") {
            let path = entry.expect("an entry can be read").path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if path.is_dir() && !name.starts_with('.') && !["target", "data", "node_modules"].contains(&name) {
                walk(&path, ending, found);
            } else if name.ends_with(ending) {
                found.push(path);
            }
        }
    }
    let (root, mut found) = (root(), Vec::new());
    walk(&root, ending, &mut found);
    found.sort();
    let name = |path: &PathBuf| path.strip_prefix(&root).expect("it is beneath").display().to_string();
    let text = |path: &PathBuf| fs::read_to_string(path).expect("a file of the repository is text");
    assert!(!found.is_empty(), "no file ends with {ending}");
    found.iter().map(|path| (name(path), text(path))).collect()
}

/// Fails with all findings.
#[track_caller]
fn none(rule: &str, found: Vec<String>) {
    assert!(found.is_empty(), "{rule}:\n  {}", found.join("\n  "));
}

/// The words of a text: `RentalState` and `rental_state` have two.
fn words(text: &str) -> BTreeSet<String> {
    let mut spaced = String::new();
    let mut previous = ' ';
    for letter in text.chars() {
        if letter.is_uppercase() && previous.is_lowercase() {
            spaced.push(' ');
        }
        spaced.push(if letter.is_alphanumeric() { letter } else { ' ' });
        previous = letter;
    }
    spaced.split_whitespace().map(str::to_lowercase).collect()
}

/// A line without its comment.
fn code(line: &str) -> &str {
    if line.trim_start().starts_with("//") { "" } else { line.split(" // ").next().unwrap_or(line) }
}

#[test]
fn a_domain_knows_no_database_network_or_runtime() {
    let domains = files(".rs").into_iter().filter(|(path, _)| path.contains("/src/domain"));
    let impure = ["diesel", "tonic", "tokio", "lapin"];
    let found = domains.flat_map(|(path, text)| {
        let words = words(&text);
        impure.into_iter().filter(move |word| words.contains(*word)).map(move |word| format!("{path}: {word}"))
    });
    none("a domain names what it must not know", found.collect());
}

#[test]
fn files_stay_below_500_lines() {
    let long = files(".rs").into_iter().map(|(path, text)| (path, text.lines().count()));
    let found = long.filter(|(_, lines)| *lines >= 500).map(|(path, lines)| format!("{path}: {lines}"));
    none("a file is too long", found.collect());
}

#[test]
fn functions_stay_below_70_lines() {
    // clippy counts the lines. This checks that the lint is on everywhere.
    let cargo: toml::Table = read("Cargo.toml").parse().expect("it is TOML");
    assert_eq!(cargo["workspace"]["lints"]["clippy"]["too_many_lines"].as_str(), Some("deny"));
    let clippy: Vec<(String, toml::Table)> =
        files("clippy.toml").into_iter().map(|(path, text)| (path, text.parse().expect("it is TOML"))).collect();
    for (path, clippy) in clippy {
        assert_eq!(clippy["too-many-lines-threshold"].as_integer(), Some(70), "{path}");
    }
    let without_lints = files("Cargo.toml").into_iter().filter(|(_, text)| {
        let crate_: toml::Table = text.parse().expect("it is TOML");
        crate_.contains_key("package") && crate_["lints"]["workspace"].as_bool() != Some(true)
    });
    none("a crate does not use the lints of the workspace", without_lints.map(|(path, _)| path).collect());
}

#[test]
fn every_module_says_what_it_is() {
    let silent = files(".rs").into_iter().filter(|(_, text)| !text.starts_with("//! "));
    none("a module does not open with //!", silent.map(|(path, _)| path).collect());
}

#[test]
fn no_test_is_ignored() {
    let ignoring = files(".rs").into_iter().filter(|(_, text)| text.contains(concat!("#[", "ignore")));
    none("a test is ignored", ignoring.map(|(path, _)| path).collect());
}

#[test]
fn tests_wait_for_a_condition_or_move_the_clock() {
    /// Functions in which a sleep is the pause between two polls.
    const WAITING: [&str; 3] = ["eventually", "wait", "insist"];
    /// Sleeps that wait for no outcome: the duration of a fault, the think time of customers, and the pause of a
    /// polling loop.
    const PACING: [(&str, &str); 5] = [
        ("services/nadeuri/tests/faults/main.rs", "kill_the_server("),
        ("services/nadeuri/tests/faults/load.rs", "think("),
        ("services/nadeuri/tests/faults/audit.rs", "check("),
        ("services/nadeuri/tests/failover/outage.rs", "repeat("),
        ("services/nadeuri/tests/failover/outage.rs", "events("),
    ];
    let mut found = Vec::new();
    for (path, text) in files(".rs") {
        // The simulation's clock is paused: there a sleep takes no time.
        if path.starts_with("services/nadeuri/tests/simulation/") {
            continue;
        }
        let lines: Vec<&str> = text.lines().collect();
        let tests_begin = if path.contains("/tests/") { Some(0) } else { text.find("#[cfg(test)]") };
        let Some(tests_begin) = tests_begin.map(|at| text[..at].lines().count()) else { continue };
        for number in (tests_begin..lines.len()).filter(|number| code(lines[*number]).contains(concat!("sleep", "("))) {
            let function = (0..number).rev().find(|above| lines[*above].contains("fn ")).unwrap_or(0);
            let name = lines[function].split("fn ").nth(1).unwrap_or_default();
            let is_paused =
                lines[function.saturating_sub(3)..function].iter().any(|line| line.contains("start_paused"));
            let is_pacing = PACING.iter().any(|(file, function)| path == *file && name.starts_with(function));
            if !is_paused && !is_pacing && !WAITING.iter().any(|waiting| name.starts_with(waiting)) {
                found.push(format!("{path}:{}: in {name}", number + 1));
            }
        }
    }
    none("a test sleeps", found);
}

#[test]
fn the_chassis_holds_no_business_noun() {
    // Not `chronicle`: the rebuild of a projection reads it.
    const NOUNS: [&str; 23] = [
        "car",
        "cars",
        "rental",
        "rentals",
        "rent",
        "payment",
        "payments",
        "reservation",
        "reservations",
        "customer",
        "customers",
        "stars",
        "fleet",
        "taxi",
        "ride",
        "driver",
        "resort",
        "voucher",
        "bike",
        "wallet",
        "deposit",
        "mypage",
        "notification",
    ];
    let mut found = Vec::new();
    for (path, text) in files(".rs").into_iter().filter(|(path, _)| path.starts_with("services/chassis/src/")) {
        // Its unit tests may use business nouns.
        let text = text.split("#[cfg(test)]").next().unwrap_or_default();
        for (number, line) in text.lines().enumerate() {
            let words = words(code(line));
            let nouns = NOUNS.iter().filter(|noun| words.contains(**noun));
            found.extend(nouns.map(|noun| format!("{path}:{}: {noun}", number + 1)));
        }
    }
    none("the chassis knows a noun of the business", found);
}

#[test]
fn crate_folder_package_and_context_have_one_name() {
    let is_ours = |folder: &str| !["chassis", "nadeuri"].contains(&folder);
    let folders = files("Cargo.toml").into_iter().filter_map(|(path, text)| {
        let folder = path.strip_prefix("services/")?.strip_suffix("/Cargo.toml")?.to_owned();
        is_ours(&folder).then_some((folder, text))
    });
    let mut declared: BTreeSet<&str> = contexts::ALL.iter().map(|context| context.name).collect();
    for (folder, text) in folders {
        assert!(declared.remove(folder.as_str()), "services/{folder} is no context of contexts::ALL");
        let cargo: toml::Table = text.parse().expect("it is TOML");
        assert_eq!(cargo["package"]["name"].as_str(), Some(folder.as_str()));
        let service = read(&format!("proto/nadeuri/{folder}/v1/{folder}_service.proto"));
        assert!(service.contains(&format!("\npackage nadeuri.{folder}.v1;\n")), "the package of {folder}");
    }
    assert!(declared.is_empty(), "contexts without a folder of their name: {declared:?}");
}

#[test]
fn no_context_depends_on_another() {
    let is_context = |name: &str| contexts::ALL.iter().any(|context| context.name == name);
    let mut found = Vec::new();
    for context in contexts::ALL {
        let cargo: toml::Table = read(&format!("services/{}/Cargo.toml", context.name)).parse().expect("it is TOML");
        for kind in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let names = cargo.get(kind).and_then(toml::Value::as_table).into_iter().flat_map(toml::Table::keys);
            let others = names.filter(|name| is_context(name) || *name == "nadeuri");
            found.extend(others.map(|other| format!("{} depends on {other}", context.name)));
        }
    }
    none("contexts share nothing but the contracts", found);
}

/// The kinds of events that a context subscribes to by name; empty if it subscribes to all. The request of an erasure, to
/// which every context subscribes, is not among them.
fn kinds(context: &Context) -> BTreeSet<String> {
    match context.subscription().expect("it starts with its defaults") {
        Subscription::All => BTreeSet::new(),
        Subscription::Kinds(kinds) => kinds.into_iter().filter(|kind| *kind != Erasure::event()).collect(),
    }
}

/// `rental` of `nadeuri.rental.v1.CarReserved`.
fn source(event: &str) -> &str {
    event.split('.').nth(1).unwrap_or_default()
}

#[test]
fn every_event_has_a_subscriber_or_is_marked_final() {
    let subscribed: BTreeSet<String> = contexts::ALL.iter().flat_map(kinds).chain([Erasure::event()]).collect();
    let wrong = contracts::EVENTS.iter().filter(|event| subscribed.contains(event.name) == event.is_final);
    none(
        "an event has neither a subscriber nor the option final, or both",
        wrong.map(|event| event.name.to_owned()).collect(),
    );
}

#[test]
fn every_event_is_published_by_its_context() {
    let unsaid = contracts::EVENTS.iter().filter(|event| {
        let name = event.name.rsplit('.').next().unwrap_or_default();
        let store = read(&format!("services/{}/src/store.rs", source(event.name)));
        store.contains(&format!("proto::{name} {{")) == event.is_open
    });
    none(
        "an event is never published, or by a context that only declares it",
        unsaid.map(|event| event.name.to_owned()).collect(),
    );
}

#[test]
fn every_subscription_names_an_event() {
    let is_event = |kind: &String| contracts::EVENTS.iter().any(|event| event.name == kind);
    let subscribed =
        contexts::ALL.iter().flat_map(|context| kinds(context).into_iter().map(move |kind| (context, kind)));
    let wrong = subscribed.filter(|(_, kind)| !is_event(kind));
    none(
        "there is no such event",
        wrong.map(|(context, kind)| format!("{} subscribes to {kind}", context.name)).collect(),
    );
}

#[test]
fn the_table_of_a_policy_is_its_rules() {
    for (path, text) in files("policy.rs") {
        let Some(context) =
            contexts::ALL.iter().find(|context| path == format!("services/{}/src/policy.rs", context.name))
        else {
            continue;
        };
        let row = |line: &str| Some(format!("nadeuri.{}", line.strip_prefix("//! | `")?.split('`').next()?));
        let rows: Vec<String> = text.lines().filter_map(row).collect();
        assert_eq!(rows.len(), rows.iter().collect::<BTreeSet<_>>().len(), "{path} has a row twice");
        // An event with the option `purchase` has the row of the event of `payment` with the same meaning.
        let by_option = |kind: &String| {
            let event = contracts::EVENTS.iter().find(|event| event.name == kind);
            event.is_some_and(|event| event.purchase.is_some() && !event.is_open)
        };
        let reacts = kinds(context).into_iter().filter(|kind| context.name != "payment" || !by_option(kind));
        assert_eq!(rows.into_iter().collect::<BTreeSet<_>>(), reacts.collect(), "{path}");
    }
}

#[test]
fn the_readme_lists_the_contexts() {
    let readme = read("README.md");
    let table = readme.lines().skip_while(|line| !line.starts_with("| context | owns |")).skip(2);
    let rows: Vec<Vec<String>> = table
        .take_while(|line| line.starts_with('|'))
        .map(|line| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect())
        .collect();
    let row = |context: &Context| {
        let sources: BTreeSet<String> = kinds(context).iter().map(|kind| source(kind).to_owned()).collect();
        let mut sources: Vec<&str> =
            contexts::ALL.iter().map(|context| context.name).filter(|name| sources.contains(*name)).collect();
        // The events of its contract that others publish.
        sources.retain(|name| *name != context.name);
        if matches!(context.subscription().unwrap(), Subscription::All) {
            sources.push("all");
        }
        vec![format!("`{}`", context.name), context.about.to_owned(), sources.join(", "), context.calls.join(", ")]
    };
    assert_eq!(rows, contexts::ALL.iter().map(row).collect::<Vec<_>>());
}

#[test]
fn the_chart_has_the_contexts_their_calls_and_who_needs_the_sealing_keys() {
    let values = read("helm/values.yaml");
    let own = values.lines().skip_while(|line| *line != "contexts:").skip(1);
    let mut charted: Vec<(String, String, bool)> = Vec::new();
    for line in own.take_while(|line| line.starts_with(' ')) {
        if let Some(calls) = line.strip_prefix("    calls: ") {
            let calls = calls.trim_start_matches('[').trim_end_matches(']');
            charted.last_mut().expect("calls are a context's").1 = calls.to_owned();
        } else if line == "    sealing: true" {
            charted.last_mut().expect("keys are for a context").2 = true;
        } else if let Some(name) = line.strip_prefix("  ").filter(|rest| !rest.starts_with([' ', '#'])) {
            charted.push((name.trim_end_matches(':').to_owned(), "unsaid".to_owned(), false));
        }
    }
    let has_sealed = |context: &Context| context.has_sealed().expect("it starts with its defaults");
    let row = |context: &Context| (context.name.to_owned(), context.calls.join(", "), has_sealed(context));
    assert_eq!(charted, contexts::ALL.iter().map(row).collect::<Vec<_>>());
}

#[test]
fn the_image_has_the_compiler_and_the_chart_the_version_of_the_workspace() {
    let toolchain: toml::Table = read("rust-toolchain.toml").parse().expect("it is TOML");
    let compiler = toolchain["toolchain"]["channel"].as_str().expect("it is a text");
    let dockerfile = read("Dockerfile");
    assert!(dockerfile.contains(&format!("\nFROM rust:{compiler}-")) && dockerfile.contains(&format!("={compiler}\n")));
    let chart = format!("\nappVersion: {}\n", env!("CARGO_PKG_VERSION"));
    assert!(read("helm/Chart.yaml").contains(&chart), "the chart is not for this version");
}

fn descriptors() -> Vec<FileDescriptorProto> {
    let set = FileDescriptorSet::decode(contracts::DESCRIPTORS).expect("the contracts are descriptors");
    set.file.into_iter().filter(|file| file.package().starts_with("nadeuri.")).collect()
}

/// Every item of a file that needs a comment: its path in the descriptor, and its name.
fn places(file: &FileDescriptorProto) -> BTreeMap<Vec<i32>, String> {
    let mut places = BTreeMap::new();
    fn enumeration(at: &[i32], enumeration: &EnumDescriptorProto, places: &mut BTreeMap<Vec<i32>, String>) {
        places.insert(at.to_vec(), enumeration.name().to_owned());
        for (index, value) in (0..).zip(&enumeration.value) {
            places.insert([at, &[2, index]].concat(), value.name().to_owned());
        }
    }
    fn message(at: &[i32], message_: &DescriptorProto, places: &mut BTreeMap<Vec<i32>, String>) {
        places.insert(at.to_vec(), message_.name().to_owned());
        for (index, field) in (0..).zip(&message_.field) {
            places.insert([at, &[2, index]].concat(), format!("{}.{}", message_.name(), field.name()));
        }
        for (index, nested) in (0..).zip(&message_.nested_type) {
            message(&[at, &[3, index]].concat(), nested, places);
        }
        for (index, nested) in (0..).zip(&message_.enum_type) {
            enumeration(&[at, &[4, index]].concat(), nested, places);
        }
    }
    for (index, own) in (0..).zip(&file.message_type) {
        message(&[4, index], own, &mut places);
    }
    for (index, own) in (0..).zip(&file.enum_type) {
        enumeration(&[5, index], own, &mut places);
    }
    for (index, service) in (0..).zip(&file.service) {
        places.insert(vec![6, index], service.name().to_owned());
        for (number, method) in (0..).zip(&service.method) {
            places.insert(vec![6, index, 2, number], format!("{}.{}", service.name(), method.name()));
        }
    }
    for (index, extension) in (0..).zip(&file.extension) {
        places.insert(vec![7, index], extension.name().to_owned());
    }
    places
}

#[test]
fn everything_in_the_contracts_has_a_comment() {
    let mut found = Vec::new();
    for file in descriptors() {
        let info = file.source_code_info.as_ref().expect("the descriptors keep the comments");
        let is_said = |location: &&prost_types::source_code_info::Location| !location.leading_comments().is_empty();
        let said: BTreeSet<&[i32]> = info.location.iter().filter(is_said).map(|location| &*location.path).collect();
        let unsaid = places(&file).into_iter().filter(|(place, _)| !said.contains(&**place));
        found.extend(unsaid.map(|(_, name)| format!("{}: {name}", file.name())));
    }
    none("something has no comment", found);
}

#[test]
fn every_rpc_says_who_may_call_it_and_what_a_repetition_does() {
    let unsaid = contracts::RPCS.iter().filter(|rpc| rpc.roles.is_empty() || rpc.idempotency == Idempotency::Unknown);
    none("an RPC lacks an option", unsaid.map(|rpc| rpc.path.to_owned()).collect());
    assert!(contracts::RPCS.iter().all(|rpc| !rpc.roles.contains(&contracts::Role::Unspecified)));
}

#[test]
fn requests_that_change_something_have_a_request_id_and_lists_have_pages() {
    let files = descriptors();
    let messages: BTreeMap<String, BTreeSet<&str>> = files
        .iter()
        .flat_map(|file| file.message_type.iter().map(move |message| (file, message)))
        .map(|(file, message)| {
            let fields = message.field.iter().map(|field| field.name()).collect();
            (format!(".{}.{}", file.package(), message.name()), fields)
        })
        .collect();
    let mut found = Vec::new();
    // Operations belong to a process and not to a context. They are idempotent without a request id.
    for file in files.iter().filter(|file| source(file.package()) != "operations") {
        for (service, method) in file.service.iter().flat_map(|s| s.method.iter().map(move |method| (s, method))) {
            let path = format!("/{}.{}/{}", file.package(), service.name(), method.name());
            let rpc = contracts::RPCS.iter().find(|rpc| rpc.path == path).expect("RPCS has every RPC");
            let mut required = Vec::new();
            if rpc.idempotency != Idempotency::NoSideEffects {
                required.push((method.input_type(), "request_id"));
            }
            if method.name().starts_with("List") {
                required.extend([(method.input_type(), "page_size"), (method.input_type(), "page_token")]);
                required.push((method.output_type(), "next_page_token"));
            }
            let missing = required.into_iter().filter(|(message, field)| !messages[*message].contains(field));
            found.extend(missing.map(|(message, field)| format!("{message} has no {field}")));
        }
    }
    none("a message lacks a field", found);
}

#[test]
fn who_answers_with_secrets_clears_them_for_others() {
    let answers = contracts::RPCS.iter().filter(|rpc| rpc.has_secrets).map(|rpc| source(rpc.path));
    let sources = files(".rs");
    let redacts = |context: &&str| {
        let own = format!("services/{context}/src/");
        let calls = |text: &str| [".redacted_for(", "sealing.show("].iter().any(|call| text.contains(call));
        sources.iter().any(|(path, text)| path.starts_with(&own) && calls(text))
    };
    let contexts: BTreeSet<&str> = answers.collect();
    assert!(contexts.contains("chronicle") && contexts.contains("voucher"), "{contexts:?}");
    let silent = contexts.iter().filter(|context| !redacts(context));
    none(
        "a context answers with fields marked `debug_redact`, and calls no `Redact`",
        silent.map(|context| (*context).to_owned()).collect(),
    );
}
