//! The rules of the mesh, generated from the contracts and compared with the files in `mesh/istio/`.

mod contract;
mod rules;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::{env, fs};

use contracts::{Idempotency, RPCS, Role, Rpc};
use nadeuri::contexts;

use crate::rules::Origin;

/// If this variable is set, the files are written and not compared.
const WRITE: &str = "NADEURI_MESH_WRITE";

/// The files that are written by hand.
const BY_HAND: [&str; 3] = ["gateway.yaml", "everywhere.yaml", "issuer.yaml"];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The generated files in `mesh/istio/`, by path from the root.
fn there() -> BTreeMap<String, String> {
    let entries = fs::read_dir(root().join(rules::FOLDER)).expect("the folder can be read");
    let names =
        entries.map(|entry| entry.expect("an entry can be read").file_name().into_string().expect("it is text"));
    let made = names.filter(|name| !BY_HAND.contains(&name.as_str()));
    let read = |path: String| (fs::read_to_string(root().join(&path)).expect("it is text"), path);
    made.map(|name| read(format!("{}/{name}", rules::FOLDER))).map(|(text, path)| (path, text)).collect()
}

fn file(name: &str) -> String {
    fs::read_to_string(root().join(rules::FOLDER).join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn the_rules_are_what_the_contracts_say() {
    let (made, there): (BTreeMap<_, _>, _) = (rules::files().into_iter().collect(), there());
    let paths: BTreeSet<&String> = made.keys().chain(there.keys()).collect();
    let differ: Vec<&String> = paths.into_iter().filter(|path| made.get(*path) != there.get(*path)).collect();
    if env::var_os(WRITE).is_none() {
        assert!(
            differ.is_empty(),
            "these differ from the contracts; `cargo xtask mesh write` regenerates them: {differ:#?}"
        );
        return;
    }
    for path in differ {
        match made.get(path) {
            Some(text) => fs::write(root().join(path), text).expect("it can be written"),
            None => fs::remove_file(root().join(path)).expect("the rules of nothing can be removed"),
        }
    }
}

/// A route as it stands in a file.
#[derive(Debug)]
struct Route {
    name: String,
    paths: Vec<String>,
    retries: String,
    timeout: String,
}

/// The routes in the file of a context, by the name of their VirtualService. They are parsed from the text, so that the
/// check is independent of the generator.
fn routes(context: &str) -> Vec<(String, Route)> {
    let mut routes: Vec<(String, Route)> = Vec::new();
    let mut service = String::new();
    for line in file(&format!("{context}.yaml")).lines() {
        let line = line.trim();
        if let Some(name) = line.strip_prefix("name: ") {
            name.clone_into(&mut service);
        } else if let Some(name) = line.strip_prefix("- name: ") {
            let route = Route { name: name.to_owned(), paths: vec![], retries: String::new(), timeout: String::new() };
            routes.push((service.clone(), route));
        }
        let Some((_, route)) = routes.last_mut() else { continue };
        if let Some(path) = line.strip_prefix("- uri: {exact: ") {
            route.paths.push(path.trim_end_matches('}').to_owned());
        } else if let Some(retries) = line.strip_prefix("retries: ") {
            retries.clone_into(&mut route.retries);
        } else if let Some(timeout) = line.strip_prefix("timeout: ") {
            timeout.clone_into(&mut route.timeout);
        }
    }
    routes
}

/// Checks that an RPC has exactly one route for this origin of calls, or none if it is closed to that origin.
fn check_route(rpc: &Rpc, context: &str, origin: &str, is_open: bool) {
    let all = routes(context);
    let service = format!("{context}-{origin}");
    let has = |route: &Route| route.paths.iter().any(|path| path == rpc.path);
    let own: Vec<&Route> = all.iter().filter(|(name, route)| *name == service && has(route)).map(|(_, r)| r).collect();
    assert_eq!(own.len(), usize::from(is_open), "{} comes to {service} by {own:?}", rpc.path);
    let Some(route) = own.first() else { return };
    let may_have_been_handled = [",unavailable", ",reset,", "5xx", "gateway-error", "deadline-exceeded"];
    if rpc.idempotency != Idempotency::NoSideEffects && origin == "gateway" {
        let risky = may_have_been_handled.iter().find(|on| route.retries.contains(**on));
        assert_eq!(risky, None, "{} could be done twice: {}", rpc.path, route.retries);
    }
    if rpc.idempotency == Idempotency::Unknown || route.name == "streams" {
        assert_eq!(route.retries, "{attempts: 0}", "{}", rpc.path);
    }
    assert_eq!(route.timeout == "3600s", rpc.is_long, "{}: {}", rpc.path, route.timeout);
}

#[test]
fn every_rpc_is_in_the_one_class_that_its_contract_allows() {
    for rpc in RPCS {
        let context = rpc.path.split('.').nth(1).expect("a path has a package");
        // Operations belong to a process and not to a context: they are not reachable through the mesh.
        if context == "operations" {
            continue;
        }
        let is_called = contexts::ALL.iter().any(|other| other.calls.contains(&context));
        check_route(rpc, context, "gateway", rpc.roles.iter().any(|role| *role != Role::Service));
        check_route(rpc, context, "contexts", is_called && rpc.roles.contains(&Role::Service));
    }
}

#[test]
fn who_may_call_whom_is_the_calls_that_exist() {
    let mut allowed = BTreeSet::new();
    for context in contexts::ALL {
        let text = file(&format!("{}.yaml", context.name));
        let sources = text.lines().filter_map(|line| line.trim().strip_prefix("- from: [{source: {serviceAccounts: ["));
        for callers in sources {
            let callers = callers.trim_end_matches("]}}]").split(", ");
            allowed.extend(callers.map(|caller| (caller.to_owned(), context.name)));
        }
    }
    let mut exist: BTreeSet<(String, &str)> = BTreeSet::new();
    for context in contexts::ALL {
        exist.insert(("gateway".to_owned(), context.name));
        exist.extend(context.calls.iter().map(|callee| (context.name.to_owned(), *callee)));
    }
    assert_eq!(allowed, exist);
}

#[test]
fn what_nothing_allows_is_denied() {
    let text = file("everywhere.yaml");
    let documents: Vec<&str> = text.split("\n---\n").collect();
    let of = |kind: &str| documents.iter().find(|document| document.contains(&format!("kind: {kind}\n"))).unwrap();
    assert!(of("AuthorizationPolicy").trim_end().ends_with("\nspec: {}"), "a policy that allows nothing");
    assert!(of("PeerAuthentication").contains("mode: STRICT"));
}

#[test]
fn no_file_says_in_which_namespace_it_is() {
    for name in
        there().into_keys().map(|path| path[rules::FOLDER.len() + 1..].to_owned()).chain(BY_HAND.map(str::to_owned))
    {
        assert!(!file(&name).lines().any(|line| line.trim_start().starts_with("namespace:")), "{name}");
    }
}

#[test]
fn the_chart_takes_every_file() {
    let template = fs::read_to_string(root().join("helm/templates/mesh.yaml")).expect("the chart has the mesh");
    let list = template.lines().find_map(|line| line.split_once("$all := list ")).expect("it lists files").1;
    let listed: BTreeSet<&str> = list.split('"').filter(|word| word.contains(char::is_alphabetic)).collect();
    assert_eq!(listed, BY_HAND.iter().filter_map(|name| name.strip_suffix(".yaml")).collect());
    let linked = fs::canonicalize(root().join("helm/istio")).expect("the link leads somewhere");
    assert_eq!(linked, fs::canonicalize(root().join(rules::FOLDER)).expect("the folder is there"));
}

#[test]
fn every_context_has_its_rules() {
    for context in contexts::ALL {
        let text = file(&format!("{}.yaml", context.name));
        for kind in ["DestinationRule", "VirtualService", "AuthorizationPolicy"] {
            assert!(text.contains(&format!("\nkind: {kind}\n")), "{} has no {kind}", context.name);
        }
        assert!(!rules::by(Origin::Gateway, context).is_empty(), "nobody can call {}", context.name);
    }
}
