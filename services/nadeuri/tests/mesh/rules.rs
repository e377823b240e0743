//! The rules of one context, as its file in `mesh/istio/` has them.

use std::fmt::Write as _;

use chassis::Context;
use chassis::access::LONG_DEADLINE;

use crate::contract::{Call, Class, callers, calls, deadline};

/// Where the files are.
pub const FOLDER: &str = "mesh/istio";

/// The origin of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// From clients, through the gateway.
    Gateway,
    /// From other contexts.
    Contexts,
}

/// The retry policy of a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retries {
    /// The maximum number of retries.
    pub attempts: u32,
    /// The conditions, as in Envoy's `retry_on`.
    pub on: &'static str,
    /// The timeout of one attempt.
    pub per_try_seconds: Option<u64>,
    /// The timeout of all attempts; none if not set.
    pub timeout_seconds: Option<u64>,
}

/// The request was not handled: no connection, or the server refused the stream because it is stopping.
const NEVER_RECEIVED: &str = "connect-failure,refused-stream,reset-before-request";

/// Also: the connection broke, the attempt timed out, or the replica is unavailable. The request may have been handled.
const WENT_WRONG: &str = "connect-failure,refused-stream,reset,unavailable";

/// The retry policy of a class for an origin.
pub fn retries(class: Class, origin: Origin) -> Retries {
    let timeout_seconds = Some(deadline().as_secs());
    let none = Retries { attempts: 0, on: "", per_try_seconds: None, timeout_seconds };
    let long = Retries { timeout_seconds: Some(LONG_DEADLINE.as_secs()), ..none };
    match (class, origin) {
        // Two retries on other replicas, each with a timeout that is long enough for a read.
        (Class::Read, _) => Retries { attempts: 2, on: WENT_WRONG, per_try_seconds: Some(2), ..none },
        (Class::Command, Origin::Gateway) => Retries { attempts: 2, on: NEVER_RECEIVED, ..none },
        // Calls between contexts are idempotent, with or without a request id: without a mesh, the peer client retries
        // them.
        (Class::Command, Origin::Contexts) => Retries { attempts: 1, on: WENT_WRONG, ..none },
        (Class::LongRead, _) => Retries { attempts: 2, on: WENT_WRONG, ..long },
        (Class::LongCommand, _) => Retries { attempts: 2, on: NEVER_RECEIVED, ..long },
        (Class::Stream, _) => Retries { timeout_seconds: None, ..none },
        (Class::Unknown, _) => none,
    }
}

/// The calls from an origin.
pub fn by(origin: Origin, context: &Context) -> Vec<Call> {
    let is_called = !callers(context).is_empty();
    let comes = |call: &Call| match origin {
        Origin::Gateway => call.is_for_people,
        Origin::Contexts => is_called && call.is_for_contexts,
    };
    calls(context).into_iter().filter(comes).collect()
}

/// Every generated file, by its path.
pub fn files() -> Vec<(String, String)> {
    let file = |context: &Context| (format!("{FOLDER}/{}.yaml", context.name), text(context));
    nadeuri::contexts::ALL.iter().map(file).collect()
}

/// The file of a context.
fn text(context: &Context) -> String {
    let mut text = format!(
        "# {}: {}.\n# Generated from the contracts by `cargo xtask mesh write`; mesh/README.md explains the rules.\n",
        context.name, context.about
    );
    text += &DESTINATION.replace("CONTEXT", context.name);
    text += &routes(context, Origin::Gateway);
    text += &routes(context, Origin::Contexts);
    text += &policy(context);
    text
}

const DESTINATION: &str = "\
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata:
  name: CONTEXT
spec:
  host: CONTEXT
  trafficPolicy:
    tls: {mode: ISTIO_MUTUAL}
    loadBalancer:
      simple: LEAST_REQUEST
      # A new replica starts with a tenth of its share, while its caches and connections are filled.
      warmup: {duration: 30s, minimumPercent: 10}
    # Limits of one caller over all replicas together. Calls beyond them get UNAVAILABLE at once.
    connectionPool:
      tcp: {maxConnections: 64, connectTimeout: 1s, tcpKeepalive: {time: 30s, interval: 10s, probes: 3}}
      http: {http2MaxRequests: 1024, http1MaxPendingRequests: 1024}
    # Retries may be at most this share of the calls in flight, so that they don't feed an overload. The minimum lets all calls
    # in flight on a replica that dies be retried at once.
    retryBudget: {percent: 20, minRetryConcurrency: 64}
    # UNAVAILABLE, DEADLINE_EXCEEDED and missing answers count. INTERNAL does not: a bug follows its request to any replica.
    # At most half of the replicas are ejected: the default, a tenth, of two or three replicas is none.
    outlierDetection:
      consecutiveGatewayErrors: 5
      consecutive5xxErrors: 0
      interval: 1s
      baseEjectionTime: 10s
      maxEjectionPercent: 50
";

fn routes(context: &Context, origin: Origin) -> String {
    let calls = by(origin, context);
    if calls.is_empty() {
        return String::new();
    }
    let name = context.name;
    let (suffix, bound) = match origin {
        Origin::Gateway => ("gateway", "  hosts: [\"*\"]\n  gateways: [gateway]\n".to_owned()),
        Origin::Contexts => ("contexts", format!("  hosts: [{name}]\n")),
    };
    let mut text = format!(
        "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata:\n  name: {name}-{suffix}\nspec:\n{bound}  http:\n"
    );
    let mut classes: Vec<Class> = calls.iter().map(|call| call.class).collect();
    classes.sort();
    classes.dedup();
    for class in classes {
        let _ = writeln!(text, "    # {}\n    - name: {}\n      match:", why(class, origin), label(class));
        for call in calls.iter().filter(|call| call.class == class) {
            let _ = writeln!(text, "        - uri: {{exact: {}}}", call.path);
        }
        let _ = writeln!(text, "      route: [{{destination: {{host: {name}}}}}]");
        let retries = retries(class, origin);
        if let Some(seconds) = retries.timeout_seconds {
            let _ = writeln!(text, "      timeout: {seconds}s");
        }
        let per_try = retries.per_try_seconds.map(|seconds| format!(", perTryTimeout: {seconds}s"));
        let on = if retries.attempts == 0 { String::new() } else { format!(", retryOn: \"{}\"", retries.on) };
        let per_try = per_try.unwrap_or_default();
        let _ = writeln!(text, "      retries: {{attempts: {}{per_try}{on}}}", retries.attempts);
    }
    text
}

/// The name of a route.
pub fn label(class: Class) -> &'static str {
    match class {
        Class::Read => "reads",
        Class::Command => "commands",
        Class::LongRead => "long-reads",
        Class::LongCommand => "long-commands",
        Class::Stream => "streams",
        Class::Unknown => "unknown",
    }
}

fn why(class: Class, origin: Origin) -> &'static str {
    match (class, origin) {
        (Class::Read, _) => "Reads are safe to retry.",
        (Class::Command, Origin::Gateway) => {
            "Retried only if the replica never received the call: the mesh can't see whether it has a request id."
        }
        (Class::Command, Origin::Contexts) => "Contexts only call each other for what is safe to repeat.",
        (Class::LongRead, _) => "The operator's deadline applies.",
        (Class::LongCommand, _) => {
            "The operator's deadline applies; retried only if the replica never received the call."
        }
        (Class::Stream, _) => "No deadline and no retry: what was streamed can't be taken back.",
        (Class::Unknown, _) => "The contract does not say whether the call may be repeated.",
    }
}

/// Who may call the context, and what.
fn policy(context: &Context) -> String {
    let name = context.name;
    let mut text = format!(
        "---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata:
  name: {name}
spec:
  selector: {{matchLabels: {{app.kubernetes.io/name: {name}}}}}
  action: ALLOW
  rules:
    - from: [{{source: {{serviceAccounts: [gateway]}}}}]
"
    );
    let callers = callers(context);
    if !callers.is_empty() {
        let _ = writeln!(text, "    # The contexts that call it, and the RPCs that contexts may call.");
        let _ = writeln!(text, "    - from: [{{source: {{serviceAccounts: [{}]}}}}]", callers.join(", "));
        let paths: Vec<&str> = by(Origin::Contexts, context).iter().map(|call| call.path).collect();
        let _ = writeln!(text, "      to:\n        - operation:\n            paths:");
        for path in paths {
            let _ = writeln!(text, "              - {path}");
        }
    }
    text
}
