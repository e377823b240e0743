//! What an operator can set: by flag, by environment variable, and, for the contexts, in a file.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use chassis::access::Rate;
use chassis::auth::Trust;
use chassis::telemetry::Format;
use clap::Args;
use tonic::transport::Endpoint;

use crate::contexts;

/// Where something of each context is: `[CONTEXT=]URL`, in which `{context}` stands for the name.
fn split(named: &str) -> (Option<&str>, &str) {
    match named.split_once('=') {
        // In a URL an equals sign comes behind the colon of the scheme.
        Some((name, url)) if !name.contains(':') => (Some(name), url),
        _ => (None, named),
    }
}

/// The URL for a context: the one with its name, or else the one without a name.
fn find<'a>(all: &'a [String], context: &str) -> Option<&'a str> {
    let of = |wanted: Option<&str>| all.iter().map(|one| split(one)).find(|(name, _)| *name == wanted);
    of(Some(context)).or_else(|| of(None)).map(|(_, url)| url)
}

/// A context that there is not, for which a URL is given: a slip that would otherwise go unnoticed.
fn check_names(all: &[String]) -> anyhow::Result<()> {
    let names: Vec<String> = all.iter().filter_map(|one| split(one).0).map(str::to_owned).collect();
    if !names.is_empty() {
        contexts::named(&names).map_err(anyhow::Error::msg)?;
    }
    Ok(())
}

/// Where each context keeps its state.
#[derive(Args, Clone, Debug)]
pub struct StoreOptions {
    /// A store, `[CONTEXT=]URL`; `{context}` stands for its name. Repeat it to name others for some contexts.
    ///
    /// `sqlite:PATH`, or `postgres://USER:PASSWORD@HOST/DATABASE`, with `?schema={context}` for a schema a context
    /// and `sslmode=verify-full` for TLS.
    /// Default: a SQLite file a context in the data folder.
    #[arg(long = "store", env = "NADEURI_STORE", value_delimiter = ' ', hide_env_values = true)]
    pub stores: Vec<String>,

    /// The folder for what is kept on this machine.
    #[arg(long, env = "NADEURI_DATA", default_value = "./data")]
    pub data: PathBuf,
}

impl StoreOptions {
    /// The store of a context.
    pub fn store(&self, context: &str) -> String {
        match find(&self.stores, context) {
            Some(store) => store.to_owned(),
            None => format!("sqlite:{}", self.data.join("{context}.db").display()),
        }
    }

    /// Fails if a store is given for a context that there is not.
    pub fn check(&self) -> anyhow::Result<()> {
        check_names(&self.stores)
    }

    /// Whether all contexts keep their state in files of the data folder.
    pub fn is_local(&self) -> bool {
        self.stores.is_empty()
    }
}

/// How to serve.
#[derive(Args, Clone, Debug)]
pub struct ServeOptions {
    /// The contexts to serve; all of them, if none is named.
    #[arg(value_name = "CONTEXT")]
    pub contexts: Vec<String>,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub stores: StoreOptions,

    /// Where to listen.
    #[arg(long, env = "NADEURI_LISTEN", default_value = "127.0.0.1:50051")]
    pub listen: SocketAddr,

    /// The bus: `local` within this process, or RabbitMQ at `amqp://USER:PASSWORD@HOST/VHOST`.
    #[arg(long, env = "NADEURI_BUS", default_value = "local", hide_env_values = true)]
    pub bus: String,

    /// What the names of exchanges and queues begin with.
    #[arg(long, env = "NADEURI_BUS_PREFIX", default_value = "nadeuri")]
    pub bus_prefix: String,

    /// Where contexts of other processes are, `[CONTEXT=]URL`; `{context}` stands for the name, as in
    /// `http://{context}:50051`. Repeat it for contexts that are elsewhere.
    #[arg(long, env = "NADEURI_PEERS", value_delimiter = ' ')]
    pub peers: Vec<String>,

    /// `off`, on loopback only; or whose tokens to accept: `ISSUER=JWKS`, a file or a URL. Repeat it for more issuers.
    /// `own` names no issuer: only tokens that the key of `--identity` signed are accepted, which are accepted anyway.
    #[arg(long, env = "NADEURI_AUTH", value_delimiter = ' ', default_value = "off")]
    pub auth: Vec<String>,

    /// The audience that tokens must be for.
    #[arg(long, env = "NADEURI_AUDIENCE", default_value = "nadeuri")]
    pub audience: String,

    /// The claim that lists the caller's roles: a name, or a JSON pointer such as `/realm_access/roles`.
    #[arg(long, env = "NADEURI_ROLES_CLAIM", default_value = "roles")]
    pub roles_claim: String,

    /// The key (PKCS#8 PEM, Ed25519) that calls between contexts are signed with; the same for all processes.
    #[arg(long, env = "NADEURI_IDENTITY")]
    pub identity: Option<PathBuf>,

    /// Calls a second that one subject may make, with bursts of twice as many; 0 for as many as they like.
    #[arg(long, env = "NADEURI_RATE", default_value_t = 0)]
    pub rate: u32,

    /// Calls under way at once; more are turned away.
    #[arg(long, env = "NADEURI_IN_FLIGHT", default_value_t = 4096)]
    pub in_flight: usize,

    /// Leave retries of calls between contexts to the mesh.
    #[arg(long, env = "NADEURI_MESH_RETRIES")]
    pub mesh_retries: bool,

    /// Don't bring the tables up to date; `nadeuri migrate` did.
    #[arg(long, env = "NADEURI_NO_MIGRATE")]
    pub no_migrate: bool,

    /// A TOML file with a table of settings a context.
    #[arg(long, env = "NADEURI_CONFIG")]
    pub config: Option<PathBuf>,

    /// A setting of a context, `CONTEXT.NAME=VALUE`, as in `rental.time_zone=Europe/Berlin`. Overrules the file.
    #[arg(long = "set", env = "NADEURI_SET", value_delimiter = ' ')]
    pub settings: Vec<String>,

    /// For how many hours a repeated request gets its first answer.
    #[arg(long, env = "NADEURI_REMEMBER_HOURS", default_value_t = 168)]
    pub remember_hours: u64,

    /// How long to go on serving after a signal to stop, so that who balances the load can turn elsewhere.
    #[arg(long, env = "NADEURI_LINGER_MS", default_value_t = 0)]
    pub linger_ms: u64,

    /// How long to wait for what is under way when stopping.
    #[arg(long, env = "NADEURI_STOP_MS", default_value_t = 20_000)]
    pub stop_ms: u64,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub telemetry: TelemetryOptions,
}

/// What to tell.
#[derive(Args, Clone, Debug)]
pub struct TelemetryOptions {
    /// The collector's OTLP endpoint (gRPC), as in `http://localhost:4317`.
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT")]
    pub otlp: Option<String>,

    /// Which logs to write, as in `info,chassis=debug`.
    #[arg(long, env = "RUST_LOG", default_value = "warn")]
    pub log: String,

    /// How to write them: `text` or `json`.
    #[arg(long, env = "NADEURI_LOG_FORMAT", default_value = "text")]
    pub log_format: Format,
}

impl ServeOptions {
    /// Whether callers are believed what they say.
    pub fn is_auth_off(&self) -> bool {
        self.auth.iter().any(|auth| auth == "off")
    }

    /// Whose tokens to accept besides one's own.
    pub fn trust(&self) -> anyhow::Result<Vec<Trust>> {
        let named = self.auth.iter().filter(|auth| *auth != "own");
        named.map(|trust| trust.parse().map_err(anyhow::Error::new)).collect()
    }

    /// What one subject may call.
    pub fn rate(&self) -> Option<Rate> {
        let per_second = std::num::NonZeroU32::new(self.rate)?;
        Some(Rate { per_second, burst: per_second.saturating_add(self.rate) })
    }

    /// Where contexts of other processes are.
    pub fn peers(&self) -> anyhow::Result<HashMap<&'static str, Endpoint>> {
        check_names(&self.peers)?;
        let mut peers = HashMap::new();
        for context in contexts::ALL {
            let Some(url) = find(&self.peers, context.name) else { continue };
            let url = url.replace("{context}", context.name);
            let bad = || anyhow::anyhow!("the peer {url:?} must be a URL such as http://{}:50051", context.name);
            let endpoint = Endpoint::from_shared(url.clone()).map_err(|_| bad())?;
            if !matches!(endpoint.uri().scheme_str(), Some("http" | "https")) {
                return Err(bad());
            }
            peers.insert(context.name, endpoint);
        }
        Ok(peers)
    }

    /// The settings of the contexts.
    pub fn settings(&self) -> anyhow::Result<toml::Table> {
        let mut table = match &self.config {
            None => toml::Table::new(),
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .map_err(|error| anyhow::anyhow!("the configuration {} can't be read: {error}", path.display()))?;
                text.parse().map_err(|error| anyhow::anyhow!("the configuration {}: {error}", path.display()))?
            }
        };
        for setting in &self.settings {
            let parts = setting.split_once('=').and_then(|(path, value)| Some((path.split_once('.')?, value)));
            let ((context, name), value) =
                parts.ok_or_else(|| anyhow::anyhow!("the setting {setting:?} must be CONTEXT.NAME=VALUE"))?;
            let value =
                value.parse::<i64>().map_or_else(|_| toml::Value::String(value.to_owned()), toml::Value::Integer);
            let own = table.entry(context).or_insert_with(|| toml::Value::Table(toml::Table::new()));
            let own = own.as_table_mut().ok_or_else(|| anyhow::anyhow!("{context} must be a table of settings"))?;
            own.insert(name.to_owned(), value);
        }
        for context in table.keys() {
            contexts::named(std::slice::from_ref(context)).map_err(anyhow::Error::msg)?;
        }
        Ok(table)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_has_the_url_with_its_name_or_else_the_one_without() {
        let all = |urls: &[&str]| urls.iter().map(|url| (*url).to_owned()).collect::<Vec<_>>();
        let urls = all(&["rental=postgres://h/db?schema=cars", "postgres://h/db?schema={context}"]);
        assert_eq!(find(&urls, "rental"), Some("postgres://h/db?schema=cars"));
        assert_eq!(find(&urls, "fleet"), Some("postgres://h/db?schema={context}"));
        assert_eq!(find(&all(&["rental=sqlite:a.db"]), "fleet"), None);
        assert!(check_names(&urls).is_ok());
        assert!(check_names(&all(&["rentl=sqlite:a.db"])).is_err());
    }
}
