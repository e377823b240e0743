//! Telemetry: logs on stderr and, if a collector is configured, traces, metrics and logs by OTLP.
//!
//! Without a collector nothing is measured: there are no spans, no instruments and no traceparents. The exporters work
//! on their own threads; what they can't deliver in time is dropped, so they never block calls.

mod meters;
mod traces;

use std::fmt;
use std::io::IsTerminal as _;
use std::str::FromStr;
use std::time::Duration;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry::{KeyValue, global};
use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
use opentelemetry_otlp::{ExporterBuildError, LogExporter, MetricExporter, SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::logs::SdkLoggerProvider;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::{Layer, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Registry, fmt as text};

pub use meters::Meters;
pub use traces::{consumed, current_traceparent, follow};

pub(crate) use traces::Watch;

/// `service.namespace`: the product.
const NAMESPACE: &str = "nadeuri";

/// Libraries with many logs, or whose logs print what they carry: those of lapin contain the events, with their secrets. A
/// filter that names them overrides this.
const QUIET: &str = "lapin=warn,h2=warn,hyper=warn,hyper_util=warn,tower=warn,tonic=warn,opentelemetry=warn,\
    opentelemetry_sdk=warn,opentelemetry_otlp=warn";

/// Libraries that the exporters use: to export their logs would cause more logs, endlessly.
const NEVER_EXPORTED: &str = "h2=off,hyper=off,hyper_util=off,tower=off,tonic=off,opentelemetry=off,\
    opentelemetry_sdk=off,opentelemetry_otlp=off";

/// The settings of telemetry.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `service.name`: the context, or the product if all contexts are in this process.
    pub service: String,
    /// `service.instance.id`: distinguishes the replicas.
    pub instance: String,
    /// The collector's OTLP endpoint for gRPC, such as `http://localhost:4317`.
    pub endpoint: Option<String>,
    /// How logs are written.
    pub format: Format,
    /// Which logs are written, such as `info` or `info,chassis=debug`.
    pub filter: String,
}

/// How logs are written to stderr.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// For machines: one JSON object per line.
    Json,
}

impl FromStr for Format {
    type Err = String;

    fn from_str(name: &str) -> Result<Format, String> {
        match name {
            "text" => Ok(Format::Text),
            "json" => Ok(Format::Json),
            _ => Err(format!("there is no log format `{name}`; choose text or json")),
        }
    }
}

/// Telemetry can't start.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter is malformed.
    #[error("the log filter `{filter}` can't be read: {cause}; write it as in `info,chassis=debug`")]
    Filter {
        /// The filter.
        filter: String,
        /// Why.
        cause: tracing_subscriber::filter::ParseError,
    },
    /// The endpoint is malformed.
    #[error("the collector `{0}` can't be used; name its gRPC endpoint as in `http://localhost:4317`")]
    Endpoint(String),
    /// The exporters can't be built.
    #[error("can't export: {0}")]
    Export(#[from] ExporterBuildError),
    /// Telemetry was started before.
    #[error("telemetry has started already; start it once in a process")]
    Started,
}

type Output = Box<dyn Layer<Registry> + Send + Sync>;

/// The telemetry of this process.
pub struct Telemetry(Option<Exporters>);

struct Exporters {
    traces: SdkTracerProvider,
    metrics: SdkMeterProvider,
    logs: SdkLoggerProvider,
}

impl Telemetry {
    /// Starts it, once in a process, inside its runtime.
    pub fn start(settings: &Settings) -> Result<Telemetry, TelemetryError> {
        let exporters = settings.endpoint.as_deref().map(|endpoint| Exporters::new(settings, endpoint)).transpose()?;
        let mut layers = vec![stderr(settings)?];
        if let Some(exporters) = &exporters {
            layers.extend(exporters.layers(settings)?);
        }
        Registry::default().with(layers).try_init().map_err(|_| TelemetryError::Started)?;
        if let Some(exporters) = &exporters {
            global::set_tracer_provider(exporters.traces.clone());
            global::set_meter_provider(exporters.metrics.clone());
            Meters::enable(&global::meter(NAMESPACE));
        }
        Ok(Telemetry(exporters))
    }

    /// Flushes, for at most `limit`.
    pub async fn shutdown(self, limit: Duration) {
        let Some(Exporters { traces, metrics, logs }) = self.0 else { return };
        let (done, is_done) = tokio::sync::oneshot::channel();
        // The exporters block. On a thread of its own that blocks neither the runtime nor, past the limit, its
        // shutdown.
        std::thread::spawn(move || {
            let results = [
                traces.shutdown_with_timeout(limit),
                metrics.shutdown_with_timeout(limit),
                logs.shutdown_with_timeout(limit),
            ];
            // Fails if nobody waits any longer.
            let _ = done.send(results.into_iter().find_map(OTelSdkResult::err));
        });
        match tokio::time::timeout(limit, is_done).await {
            Ok(Ok(None)) => {}
            Ok(Ok(Some(error))) => tracing::warn!(%error, "the last telemetry was not delivered"),
            Ok(Err(_)) | Err(_) => tracing::warn!(?limit, "the last telemetry was not delivered in time"),
        }
    }
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Telemetry").field("exports", &self.0.is_some()).finish()
    }
}

impl Exporters {
    fn new(settings: &Settings, endpoint: &str) -> Result<Exporters, TelemetryError> {
        let url = endpoint.parse::<http::Uri>().ok().filter(|url| url.scheme_str() == Some("http"));
        url.ok_or_else(|| TelemetryError::Endpoint(endpoint.to_owned()))?;
        let resource = Resource::builder()
            .with_service_name(settings.service.clone())
            .with_attribute(KeyValue::new("service.namespace", NAMESPACE))
            .with_attribute(KeyValue::new("service.instance.id", settings.instance.clone()))
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        let traces = SpanExporter::builder().with_tonic().with_endpoint(endpoint).build()?;
        let metrics = MetricExporter::builder().with_tonic().with_endpoint(endpoint).build()?;
        let logs = LogExporter::builder().with_tonic().with_endpoint(endpoint).build()?;
        Ok(Exporters {
            traces: SdkTracerProvider::builder().with_resource(resource.clone()).with_batch_exporter(traces).build(),
            metrics: SdkMeterProvider::builder()
                .with_resource(resource.clone())
                .with_periodic_exporter(metrics)
                .build(),
            logs: SdkLoggerProvider::builder().with_resource(resource).with_batch_exporter(logs).build(),
        })
    }

    fn layers(&self, settings: &Settings) -> Result<[Output; 2], TelemetryError> {
        let spans = tracing_opentelemetry::layer()
            .with_tracer(self.traces.tracer(NAMESPACE))
            .with_location(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            .with_target(false)
            .with_level(false)
            .with_filter(filter_fn(|metadata| metadata.target() == traces::TARGET));
        let logs = OpenTelemetryTracingBridge::new(&self.logs);
        let logs =
            logs.with_filter(filter(&settings.filter, &format!("{QUIET},{},{NEVER_EXPORTED}", settings.filter))?);
        Ok([spans.boxed(), logs.boxed()])
    }
}

fn stderr(settings: &Settings) -> Result<Output, TelemetryError> {
    let filter = filter(&settings.filter, &format!("{QUIET},{}", settings.filter))?;
    let layer = text::layer().with_writer(std::io::stderr);
    Ok(match settings.format {
        Format::Text => layer.with_ansi(std::io::stderr().is_terminal()).compact().with_filter(filter).boxed(),
        Format::Json => layer.json().flatten_event(true).with_span_list(false).with_filter(filter).boxed(),
    })
}

fn filter(asked: &str, directives: &str) -> Result<EnvFilter, TelemetryError> {
    EnvFilter::builder().parse(directives).map_err(|cause| TelemetryError::Filter { filter: asked.to_owned(), cause })
}
