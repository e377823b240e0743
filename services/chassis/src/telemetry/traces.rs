//! One trace from an RPC through outbox, broker and consumers, carried as W3C `traceparent` texts.
//!
//! Names follow OpenTelemetry's semantic conventions for RPC (1.40) and messaging.

use contracts::Rpc;
use http::HeaderMap;
use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, TextMapPropagator as _};
use opentelemetry::trace::TraceContextExt as _;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tokio::time::Instant;
use tonic::Code;
use tracing::field::Empty;
use tracing::{Span, info_span};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::meters::{self, Meters};
use crate::envelope::Envelope;

/// The target of the spans that are exported, whatever the log filter says.
pub(super) const TARGET: &str = "nadeuri::trace";

const TRACEPARENT: &str = "traceparent";

/// The current trace, as a W3C `traceparent`; `None` if there is none, or nothing is exported.
pub fn current_traceparent() -> Option<String> {
    if !meters::are_enabled() {
        return None;
    }
    let context = Context::current();
    let span = context.span();
    let here = span.span_context();
    let flags = here.trace_flags().to_u8();
    here.is_valid().then(|| format!("00-{}-{}-{flags:02x}", here.trace_id(), here.span_id()))
}

/// Makes a new span a part of the trace of a W3C `traceparent`. One that is malformed is ignored: the span begins a
/// trace.
pub fn follow(span: &Span, traceparent: Option<&str>) {
    let Some(traceparent) = traceparent else { return };
    let parent = TraceContextPropagator::new().extract_with_context(&Context::new(), &Carrier(traceparent));
    // It fails where traces are not exported, which needs no handling.
    let _ = span.set_parent(parent);
}

/// Records the arrival of an event in its trace. Returns the traceparent for its consequences.
pub fn consumed(event: &Envelope) -> Option<String> {
    if !meters::are_enabled() {
        return event.traceparent.clone();
    }
    let span = info_span!(
        target: TARGET, "process",
        otel.name = format!("process {}", event.kind),
        otel.kind = "consumer",
        messaging.operation.type = "process",
        messaging.destination.name = event.kind,
        nadeuri.source = event.source,
    );
    follow(&span, event.traceparent.as_deref());
    span.in_scope(current_traceparent)
}

/// Observes one RPC on the server: a span, and its duration. If it is dropped unfinished, the call was cancelled.
pub(crate) struct Watch(Option<Watched>);

struct Watched {
    rpc: &'static Rpc,
    started: Instant,
    span: Span,
    code: Code,
}

impl Watch {
    /// Starts now, in the trace of the headers.
    pub fn start(rpc: &'static Rpc, headers: &HeaderMap) -> Watch {
        if !meters::are_enabled() {
            return Watch(None);
        }
        let method = rpc.path.trim_start_matches('/');
        let span = info_span!(
            target: TARGET, "rpc",
            otel.name = method,
            otel.kind = "server",
            otel.status_code = Empty,
            rpc.system.name = "grpc",
            rpc.method = method,
            rpc.response.status_code = Empty,
            error.type = Empty,
        );
        follow(&span, headers.get(TRACEPARENT).and_then(|value| value.to_str().ok()));
        Watch(Some(Watched { rpc, started: Instant::now(), span, code: Code::Cancelled }))
    }

    /// The span of the call.
    pub fn span(&self) -> Span {
        self.0.as_ref().map_or_else(Span::none, |watched| watched.span.clone())
    }

    /// Records the answer.
    pub fn finish(mut self, code: Code) {
        if let Some(watched) = &mut self.0 {
            watched.code = code;
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let code = code_name(self.code);
        self.span.record("rpc.response.status_code", code);
        if is_servers_fault(self.code) {
            self.span.record("otel.status_code", "ERROR").record("error.type", code);
        }
        Meters::rpc(self.rpc, code, self.started.elapsed());
    }
}

/// The codes for which the conventions mark a server's span as failed: the others are errors of the caller.
fn is_servers_fault(code: Code) -> bool {
    matches!(
        code,
        Code::Unknown
            | Code::DeadlineExceeded
            | Code::Unimplemented
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss
    )
}

fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

struct Carrier<'a>(&'a str);

impl Extractor for Carrier<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        (key == TRACEPARENT).then_some(self.0)
    }

    fn keys(&self) -> Vec<&str> {
        vec![TRACEPARENT]
    }
}
