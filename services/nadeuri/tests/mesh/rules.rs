//! The rules of one context, as its file in `mesh/istio/` has them.

use std::fmt::Write as _;

use chassis::Context;
use chassis::access::LONG_DEADLINE;

use crate::contract::{Call, Class, callers, calls, deadline};

/// Where the files are.
pub const FOLDER: &str = "mesh/istio";

/// By which way a call comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From people, through the gateway.
    Gateway,
    /// From other contexts.
    Contexts,
}

/// What is tried again, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retries {
    /// How often besides the first time.
    pub attempts: u32,
    /// On what; Envoy's words.
    pub on: &'static str,
    /// How long one try may take.
    pub per_try_seconds: Option<u64>,
    /// How long all of it may take; as long as it likes, if not said.
    pub timeout_seconds: Option<u64>,
}

/// The request was surely not handled: nobody was reached, or the server refused the stream, as one that stops does.
const NEVER_RECEIVED: &str = "connect-failure,refused-stream,reset-before-request";

/// Besides: the connection broke, or no answer came in time, or the replica said that it can't. It may have been handled.
const WENT_WRONG: &str = "connect-failure,refused-stream,reset,unavailable";

/// How a class is repeated on a way.
pub fn retries(class: Class, way: Way) -> Retries {
    let timeout_seconds = Some(deadline().as_secs());
    let none = Retries { attempts: 0, on: "", per_try_seconds: None, timeout_seconds };
    let long = Retries { timeout_seconds: Some(LONG_DEADLINE.as_secs()), ..none };
    match (class, way) {
        // Two more replicas are asked, each for as long as a read may reasonably take.
        (Class::Read, _) => Retries { attempts: 2, on: WENT_WRONG, per_try_seconds: Some(2), ..none },
        (Class::Command, Way::Gateway) => Retries { attempts: 2, on: NEVER_RECEIVED, ..none },
        // A context asks in such a way that asking twice does no harm, request id or not: without a mesh it does so itself.
        (Class::Command, Way::Contexts) => Retries { attempts: 1, on: WENT_WRONG, ..none },
        (Class::LongRead, _) => Retries { attempts: 2, on: WENT_WRONG, ..long },
        (Class::LongCommand, _) => Retries { attempts: 2, on: NEVER_RECEIVED, ..long },
        (Class::Stream, _) => Retries { timeout_seconds: None, ..none },
        (Class::Unknown, _) => none,
    }
}

/// The calls that come by a way.
pub fn by(way: Way, context: &Context) -> Vec<Call> {
    let is_called = !callers(context).is_empty();
    let comes = |call: &Call| match way {
        Way::Gateway => call.is_for_people,
        Way::Contexts => is_called && call.is_for_contexts,
    };
    calls(context).into_iter().filter(comes).collect()
}

/// Every file that is made, by its path.
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
    text += &routes(context, Way::Gateway);
    text += &routes(context, Way::Contexts);
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

fn routes(context: &Context, way: Way) -> String {
    let calls = by(way, context);
    if calls.is_empty() {
        return String::new();
    }
    let name = context.name;
    let (suffix, bound) = match way {
        Way::Gateway => ("gateway", "  hosts: [\"*\"]\n  gateways: [gateway]\n".to_owned()),
        Way::Contexts => ("contexts", format!("  hosts: [{name}]\n")),
    };
    let mut text = format!(
        "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata:\n  name: {name}-{suffix}\nspec:\n{bound}  http:\n"
    );
    let mut classes: Vec<Class> = calls.iter().map(|call| call.class).collect();
    classes.sort();
    classes.dedup();
    for class in classes {
        let _ = writeln!(text, "    # {}\n    - name: {}\n      match:", why(class, way), label(class));
        for call in calls.iter().filter(|call| call.class == class) {
            let _ = writeln!(text, "        - uri: {{exact: {}}}", call.path);
        }
        let _ = writeln!(text, "      route: [{{destination: {{host: {name}}}}}]");
        let retries = retries(class, way);
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

fn why(class: Class, way: Way) -> &'static str {
    match (class, way) {
        (Class::Read, _) => "Reads are safe to retry.",
        (Class::Command, Way::Gateway) => {
            "Retried only if the replica never received the call: the mesh can't see whether it has a request id."
        }
        (Class::Command, Way::Contexts) => "Contexts only call each other for what is safe to repeat.",
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
        let paths: Vec<&str> = by(Way::Contexts, context).iter().map(|call| call.path).collect();
        let _ = writeln!(text, "      to:\n        - operation:\n            paths:");
        for path in paths {
            let _ = writeln!(text, "              - {path}");
        }
    }
    text
}
