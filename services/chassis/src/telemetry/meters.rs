//! The metrics of the chassis, with their names and units.

use std::sync::OnceLock;
use std::time::Duration;

use contracts::Rpc;
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Gauge, Histogram, Meter};

use crate::breaker::Position;
use crate::clock::Timestamp;
use crate::envelope::Envelope;

/// Set once metrics are exported.
static INSTRUMENTS: OnceLock<Instruments> = OnceLock::new();

/// The bucket boundaries of OpenTelemetry's conventions for the duration of calls.
const RPC_SECONDS: [f64; 14] = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

struct Instruments {
    rpc_duration: Histogram<f64>,
    outbox_depth: Gauge<u64>,
    outbox_age: Gauge<f64>,
    published: Counter<u64>,
    consumed: Counter<u64>,
    consumer_lag: Gauge<f64>,
    dead_letters: Counter<u64>,
    forged: Counter<u64>,
    panics: Counter<u64>,
    peer_calls: Counter<u64>,
    breaker_state: Gauge<u64>,
    pool_used: Gauge<u64>,
    pool_size: Gauge<u64>,
}

pub(super) fn are_enabled() -> bool {
    INSTRUMENTS.get().is_some()
}

/// Records metrics, if they are exported; does nothing otherwise.
#[derive(Clone, Copy, Debug)]
pub struct Meters;

impl Meters {
    pub(super) fn enable(meter: &Meter) {
        let counter = |name: &'static str, unit: &'static str| meter.u64_counter(name).with_unit(unit).build();
        let count = |name: &'static str, unit: &'static str| meter.u64_gauge(name).with_unit(unit).build();
        let seconds = |name: &'static str| meter.f64_gauge(name).with_unit("s").build();
        let rpc_duration = meter.f64_histogram("rpc.server.call.duration").with_unit("s");
        INSTRUMENTS.get_or_init(|| Instruments {
            rpc_duration: rpc_duration.with_boundaries(RPC_SECONDS.into()).build(),
            outbox_depth: count("nadeuri.outbox.depth", "{event}"),
            outbox_age: seconds("nadeuri.outbox.age"),
            published: counter("nadeuri.events.published", "{event}"),
            consumed: counter("nadeuri.events.consumed", "{event}"),
            consumer_lag: seconds("nadeuri.consumer.lag"),
            dead_letters: counter("nadeuri.dead_letters", "{event}"),
            forged: counter("nadeuri.events.forged", "{event}"),
            panics: counter("nadeuri.panics", "{panic}"),
            peer_calls: counter("nadeuri.peer.calls", "{call}"),
            // Not "1": Prometheus would treat it as a ratio.
            breaker_state: count("nadeuri.breaker.state", "{state}"),
            pool_used: count("nadeuri.pool.used", "{connection}"),
            pool_size: count("nadeuri.pool.size", "{connection}"),
        });
    }

    /// A call was answered with a code, such as `NOT_FOUND`.
    pub(super) fn rpc(rpc: &'static Rpc, code: &'static str, duration: Duration) {
        let Some(instruments) = INSTRUMENTS.get() else { return };
        let method = rpc.path.trim_start_matches('/');
        let service = method.split('/').next().unwrap_or(method);
        let attributes = [
            KeyValue::new("rpc.system.name", "grpc"),
            KeyValue::new("rpc.service", service),
            KeyValue::new("rpc.method", method),
            KeyValue::new("rpc.response.status_code", code),
        ];
        instruments.rpc_duration.record(duration.as_secs_f64(), &attributes);
    }

    /// The events that wait in a context's outbox, and the age of the oldest.
    pub fn outbox(context: &'static str, waiting: usize, age: Option<Duration>) {
        let Some(instruments) = INSTRUMENTS.get() else { return };
        let attributes = [KeyValue::new("context", context)];
        instruments.outbox_depth.record(waiting as u64, &attributes);
        instruments.outbox_age.record(age.unwrap_or_default().as_secs_f64(), &attributes);
    }

    /// Events that a context published, by kind.
    pub fn published<'a>(context: &'static str, events: impl IntoIterator<Item = &'a Envelope>) {
        let Some(instruments) = INSTRUMENTS.get() else { return };
        for event in events {
            let attributes = [KeyValue::new("context", context), KeyValue::new("event", event.kind.clone())];
            instruments.published.add(1, &attributes);
        }
    }

    /// Events reached a context. Its lag is the age of the oldest of them.
    pub fn consumed(context: &'static str, events: &[Envelope], now: Timestamp) {
        let Some(instruments) = INSTRUMENTS.get() else { return };
        for event in events {
            let attributes = [KeyValue::new("context", context), KeyValue::new("event", event.kind.clone())];
            instruments.consumed.add(1, &attributes);
        }
        if let Some(oldest) = events.iter().map(|event| event.at).min() {
            instruments.consumer_lag.record(now.since(oldest).as_secs_f64(), &[KeyValue::new("context", context)]);
        }
    }

    /// An event became a dead letter of a context.
    pub fn dead_letter(context: &'static str) {
        let Some(instruments) = INSTRUMENTS.get() else { return };
        instruments.dead_letters.add(1, &[KeyValue::new("context", context)]);
    }

    /// A context dropped an event that its source did not publish.
    pub fn forged(context: &'static str) {
        let Some(instruments) = INSTRUMENTS.get() else { return };
        instruments.forged.add(1, &[KeyValue::new("context", context)]);
    }

    /// A task or the rules of a context panicked.
    pub fn panicked(context: &'static str, what: &'static str) {
        let Some(instruments) = INSTRUMENTS.get() else { return };
        instruments.panics.add(1, &[KeyValue::new("context", context), KeyValue::new("what", what)]);
    }

    /// A call between contexts, and the state of its breaker: 0 closed, 1 half open, 2 open.
    pub fn peer_call(from: &'static str, to: &'static str, position: Position, failed: bool) {
        let Some(instruments) = INSTRUMENTS.get() else { return };
        let peers = [KeyValue::new("from", from), KeyValue::new("to", to)];
        let state = match position {
            Position::Closed => 0,
            Position::HalfOpen => 1,
            Position::Open => 2,
        };
        instruments.breaker_state.record(state, &peers);
        let [from, to] = peers;
        instruments.peer_calls.add(1, &[from, to, KeyValue::new("failed", failed)]);
    }

    /// The connections of a context's pool that are in use.
    pub fn pool(context: &'static str, used: usize, size: usize) {
        let Some(instruments) = INSTRUMENTS.get() else { return };
        let attributes = [KeyValue::new("context", context)];
        instruments.pool_used.record(used as u64, &attributes);
        instruments.pool_size.record(size as u64, &attributes);
    }
}
