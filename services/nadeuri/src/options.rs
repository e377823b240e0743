//! The options of an operator: flags, environment variables and, for the contexts' settings, a file.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::bail;
use chassis::access::{Calls, Rate};
use chassis::auth::{Holder, ISSUER, Roles, Trust};
use chassis::pruning;
use chassis::telemetry::Format;
use chassis::tls::Files;
use clap::Args;
use contracts::Role;
use tonic::transport::Endpoint;

use crate::contexts;

/// Calls per second of a caller with a token: far more than an app makes for one person.
const DEFAULT_RATE: u32 = 100;

/// Splits `[CONTEXT=]URL` into the context, if there is one, and the URL.
fn split(named: &str) -> (Option<&str>, &str) {
    match named.split_once('=') {
        // In a URL an equals sign comes behind the colon of the scheme.
        Some((name, url)) if !name.contains(':') => (Some(name), url),
        _ => (None, named),
    }
}

/// Returns the URL of a context: the one with its name, or else the one without a name.
fn find<'a>(all: &'a [String], context: &str) -> Option<&'a str> {
    let of = |wanted: Option<&str>| all.iter().map(|one| split(one)).find(|(name, _)| *name == wanted);
    of(Some(context)).or_else(|| of(None)).map(|(_, url)| url)
}

/// Fails if a URL names an unknown context: otherwise a typing error would have no effect.
fn check_names(all: &[String]) -> anyhow::Result<()> {
    let names: Vec<String> = all.iter().filter_map(|one| split(one).0).map(str::to_owned).collect();
    if !names.is_empty() {
        contexts::named(&names).map_err(anyhow::Error::msg)?;
    }
    Ok(())
}

/// The issuer that an option names, and the option's value.
fn of_issuer<'a, 'o>(
    all: &'a mut [Trust],
    option: &'o str,
    name: &str,
    value: &str,
) -> anyhow::Result<(&'a mut Trust, &'o str)> {
    let parts = option.rsplit_once('=');
    let (issuer, value) = parts.ok_or_else(|| anyhow::anyhow!("{name} {option:?} must be ISSUER={value}"))?;
    anyhow::ensure!(issuer != ISSUER, "{name}: the tokens of {ISSUER} are the product's own and have every role");
    let trust = all.iter_mut().find(|trust| trust.issuer == issuer);
    let trust = trust.ok_or_else(|| anyhow::anyhow!("{name} names {issuer:?}, which is no issuer of --auth"))?;
    Ok((trust, value))
}

/// Two issuers with the same prefix.
fn same_prefix(all: &[Trust]) -> Option<(&str, &str)> {
    let pairs = all.iter().flat_map(|one| all.iter().map(move |other| (one, other)));
    let mut alike = pairs.filter(|(one, other)| one.issuer < other.issuer && one.grant.prefix == other.grant.prefix);
    alike.next().map(|(one, other)| (one.issuer.as_str(), other.issuer.as_str()))
}

/// The stores of the contexts.
#[derive(Args, Clone, Debug)]
pub struct StoreOptions {
    /// The store of the contexts, or of one context, as `[CONTEXT=]URL`. Can be repeated.
    ///
    /// The URL is `sqlite:PATH` or `postgres://USER:PASSWORD@HOST/DATABASE`. `{context}` in it stands for the name of
    /// the context. For PostgreSQL, `?schema={context}` gives each context its own schema, and `sslmode=verify-full`
    /// uses TLS. `HOST,HOST` are a primary and its standbys: connections go to the one that accepts writes. Default: one
    /// SQLite file per context in the data folder.
    #[arg(long = "store", env = "NADEURI_STORE", value_delimiter = ' ', hide_env_values = true)]
    pub stores: Vec<String>,

    /// The folder for local data, such as SQLite files.
    #[arg(long, env = "NADEURI_DATA", default_value = "./data")]
    pub data: PathBuf,
}

impl StoreOptions {
    /// The store URL of a context.
    pub fn store(&self, context: &str) -> String {
        match find(&self.stores, context) {
            Some(store) => store.to_owned(),
            None => format!("sqlite:{}", self.data.join("{context}.db").display()),
        }
    }

    /// Fails if a store names an unknown context.
    pub fn check(&self) -> anyhow::Result<()> {
        check_names(&self.stores)
    }

    /// Whether all contexts store their state in files of the data folder.
    pub fn is_local(&self) -> bool {
        self.stores.is_empty()
    }
}

/// The certificates of TLS, as PEM files. They are read again when they change.
#[derive(Args, Clone, Debug, Default)]
pub struct TlsOptions {
    /// The certificate of this process, with its intermediates: of its server, which then speaks only TLS, and of its calls
    /// to servers that ask for one. Needs `--tls-key`.
    #[arg(long, env = "NADEURI_TLS_CERT", value_name = "FILE", global = true)]
    pub tls_cert: Option<PathBuf>,

    /// The private key of `--tls-cert`.
    #[arg(long, env = "NADEURI_TLS_KEY", value_name = "FILE", global = true)]
    pub tls_key: Option<PathBuf>,

    /// The authorities of other servers (`https://…`, `amqps://…`), besides those that this machine trusts.
    #[arg(long, env = "NADEURI_CA", value_name = "FILE", global = true)]
    pub ca: Option<PathBuf>,
}

impl TlsOptions {
    /// The files that they name.
    pub fn files(&self) -> anyhow::Result<Files> {
        let identity = match (&self.tls_cert, &self.tls_key) {
            (Some(certificate), Some(key)) => Some((certificate.clone(), key.clone())),
            (None, None) => None,
            (Some(_), None) => {
                bail!("--tls-cert needs the private key of the certificate: name its file with --tls-key")
            }
            (None, Some(_)) => bail!("--tls-key needs the certificate of the key: name its file with --tls-cert"),
        };
        Ok(Files { identity, ca: self.ca.clone(), client_ca: None })
    }
}

/// The options of `nadeuri serve`.
#[derive(Args, Clone, Debug)]
pub struct ServeOptions {
    /// The contexts to serve. Default: all.
    #[arg(value_name = "CONTEXT")]
    pub contexts: Vec<String>,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub stores: StoreOptions,

    /// The address to listen on, as `HOST:PORT`.
    #[arg(long, env = "NADEURI_LISTEN", default_value = "127.0.0.1:50051")]
    pub listen: SocketAddr,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub tls: TlsOptions,

    /// The authorities of callers. With it, a caller must have a certificate of one of them.
    #[arg(long, env = "NADEURI_TLS_CLIENT_CA", value_name = "FILE")]
    pub tls_client_ca: Option<PathBuf>,

    /// The event bus: `local` (within this process), or RabbitMQ as `amqp://USER:PASSWORD@HOST/VHOST`; `amqps://` is
    /// TLS. `HOST,HOST,HOST` are the nodes of a cluster: a connection goes to any that answers.
    #[arg(long, env = "NADEURI_BUS", default_value = "local", hide_env_values = true)]
    pub bus: String,

    /// The prefix of the names of exchanges and queues in RabbitMQ.
    #[arg(long, env = "NADEURI_BUS_PREFIX", default_value = "nadeuri")]
    pub bus_prefix: String,

    /// The user of RabbitMQ by whom the events of each context come, such as `nadeuri-{context}`.
    ///
    /// Events that come by another user are dropped. `{context}` stands for the name of the context that published an event;
    /// without it, all events come by one user. With it, import the output of `nadeuri broker-definitions` first: it
    /// declares what contexts share, and permits each user what its context needs. Default: events are believed, whoever
    /// published them.
    #[arg(long, env = "NADEURI_BUS_USERS", value_name = "PATTERN")]
    pub bus_users: Option<String>,

    /// The URL of contexts in other processes, as `[CONTEXT=]URL`. Can be repeated.
    ///
    /// `{context}` in the URL stands for the name of the context, as in `http://{context}:50051`. `https://` is TLS.
    #[arg(long, env = "NADEURI_PEERS", value_delimiter = ' ')]
    pub peers: Vec<String>,

    /// The trusted token issuers, as `ISSUER=JWKS`, or `off` (only on loopback), or `own`. Can be repeated.
    ///
    /// JWKS is a file or a URL. Tokens that the key of `--identity` signed, or those of `--identities`, are always accepted;
    /// `own` accepts no others.
    /// `off` checks no tokens: the headers `x-user` and `x-roles` set the caller.
    #[arg(long, env = "NADEURI_AUTH", value_delimiter = ' ', default_value = "off")]
    pub auth: Vec<String>,

    /// The roles that an issuer may give, as `ISSUER=ROLE,ROLE`. Can be repeated. Default: `customer`.
    ///
    /// Other roles in its tokens are ignored. No issuer can give the role `service`.
    #[arg(long, env = "NADEURI_ISSUER_ROLES", value_delimiter = ' ')]
    pub issuer_roles: Vec<String>,

    /// What stands before the subjects (`sub`) of an issuer, as `ISSUER=PREFIX`. Can be repeated. Default: the issuer and
    /// `#`, so that subjects of two issuers are two callers.
    ///
    /// Resources belong to the subject with its prefix: change it only when there are none yet. An empty prefix
    /// (`ISSUER=`) keeps the owners of an installation that had one issuer before there were prefixes.
    #[arg(long, env = "NADEURI_ISSUER_PREFIX", value_delimiter = ' ')]
    pub issuer_prefix: Vec<String>,

    /// The audience (`aud`) that tokens must have.
    #[arg(long, env = "NADEURI_AUDIENCE", default_value = "nadeuri")]
    pub audience: String,

    /// The token claim with the caller's roles: a name, or a JSON pointer such as `/realm_access/roles`.
    #[arg(long, env = "NADEURI_ROLES_CLAIM", default_value = "roles")]
    pub roles_claim: String,

    /// The key file (Ed25519, PKCS#8 PEM) that signs the calls of this process to other contexts. All processes need the
    /// same key, unless each has `--identities`.
    #[arg(long, env = "NADEURI_IDENTITY", value_name = "FILE")]
    pub identity: Option<PathBuf>,

    /// The certificates of the keys of all contexts: a PEM file with one for each, whose subject (CN) is the context.
    ///
    /// With it, each process has its own `--identity`: a context is believed only what its own key signed, and no such key
    /// signs tokens of people. A certificate of `nadeuri` is for these: the operators' key, which `nadeuri token` takes.
    /// Names may repeat, while one key replaces another. Only names and public keys are read, no validity. Make one with
    /// `openssl req -x509 -newkey ed25519 -nodes -subj /CN=payment -keyout payment.pem -out payment.crt`.
    #[arg(long, env = "NADEURI_IDENTITIES", value_name = "FILE")]
    pub identities: Option<PathBuf>,

    /// The keys that seal values that are worth money, such as the codes of vouchers: a file with a key a line, made with
    /// `openssl rand -hex 32`, the same for all processes.
    ///
    /// Events have such values sealed, so that only the context that they belong to stores them in the clear. The first key
    /// seals, and all unseal. To replace it, add a key at the end, restart all processes, move it to the top, and restart them
    /// again. A key stays in the file for as long as something that it sealed is read. The process does not start without
    /// the keys if it serves a context that needs them; only a server of all contexts with its stores in the data folder
    /// makes a key there itself (`sealing-keys`).
    #[arg(long, env = "NADEURI_SEALING_KEYS", value_name = "FILE")]
    pub sealing_keys: Option<PathBuf>,

    /// A call by a context that is no part of this program, as `CALLER=CONTEXT`. Can be repeated.
    ///
    /// Calls for the role `service` are let through only if their caller declares them.
    #[arg(long, env = "NADEURI_CALLS", value_delimiter = ' ')]
    pub calls: Vec<String>,

    /// The rate limit per caller, in calls per second, with bursts of twice as many. 0 means no limit. Default: 100, or no
    /// limit with `--auth off`.
    #[arg(long, env = "NADEURI_RATE")]
    pub rate: Option<u32>,

    /// The maximum number of calls in flight. Further calls are rejected (`RESOURCE_EXHAUSTED`). One caller gets a quarter
    /// of them at most, and an eighth is reserved for admins and contexts.
    #[arg(long, env = "NADEURI_IN_FLIGHT", default_value_t = 4096)]
    pub in_flight: usize,

    /// Does not serve reflection, by which tools such as grpcurl learn what there is to call.
    #[arg(long, env = "NADEURI_NO_REFLECTION")]
    pub no_reflection: bool,

    /// Disables retries of calls between contexts, because the service mesh retries them.
    #[arg(long, env = "NADEURI_MESH_RETRIES")]
    pub mesh_retries: bool,

    /// Skips database migrations at the start. Use it if `nadeuri migrate` has run them.
    #[arg(long, env = "NADEURI_NO_MIGRATE")]
    pub no_migrate: bool,

    /// A TOML file with one table of settings per context.
    #[arg(long, env = "NADEURI_CONFIG")]
    pub config: Option<PathBuf>,

    /// A setting of a context, as `CONTEXT.NAME=VALUE`, for example `rental.time_zone=Europe/Berlin`. Overrides
    /// `--config`.
    #[arg(long = "set", env = "NADEURI_SET", value_delimiter = ' ')]
    pub settings: Vec<String>,

    /// How long idempotency keys are kept, in hours. Within this time, a repeated request gets its first response.
    #[arg(long, env = "NADEURI_REMEMBER_HOURS", default_value_t = 168)]
    pub remember_hours: u64,

    /// How long dead letters are kept, in days. Default: forever.
    #[arg(long, env = "NADEURI_DEAD_LETTER_DAYS")]
    pub dead_letter_days: Option<i64>,

    /// How long after its request the erasure of a customer begins, in seconds: as long as events about the customer may
    /// still be under way. It ends when the idempotency keys of their requests have expired (`--remember-hours`).
    #[arg(long, env = "NADEURI_ERASURE_DELAY", default_value_t = 600)]
    pub erasure_delay: u64,

    /// How long to accept calls after SIGINT or SIGTERM, in milliseconds, so that load balancers can remove this server
    /// first.
    #[arg(long, env = "NADEURI_LINGER_MS", default_value_t = 0)]
    pub linger_ms: u64,

    /// How long to wait at shutdown for calls in flight, in milliseconds.
    #[arg(long, env = "NADEURI_STOP_MS", default_value_t = 20_000)]
    pub stop_ms: u64,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub telemetry: TelemetryOptions,
}

/// Logs, metrics and traces.
#[derive(Args, Clone, Debug)]
pub struct TelemetryOptions {
    /// The OTLP endpoint (gRPC) for metrics and traces, for example `http://localhost:4317`. Default: no export.
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT")]
    pub otlp: Option<String>,

    /// The log filter, for example `info,chassis=debug`.
    #[arg(long, env = "RUST_LOG", default_value = "warn")]
    pub log: String,

    /// The log format: `text` or `json`.
    #[arg(long, env = "NADEURI_LOG_FORMAT", default_value = "text")]
    pub log_format: Format,
}

impl ServeOptions {
    /// Whether callers are not authenticated.
    pub fn is_auth_off(&self) -> bool {
        self.auth.iter().any(|auth| auth == "off")
    }

    /// The trusted issuers besides the own identity.
    pub fn trust(&self) -> anyhow::Result<Vec<Trust>> {
        let named = self.auth.iter().filter(|auth| *auth != "own");
        let mut all: Vec<Trust> = named.map(|trust| trust.parse()).collect::<Result<_, _>>()?;
        for trust in &mut all {
            match trust.issuer == ISSUER {
                true if self.identities.is_some() => trust.holder = Holder::People,
                true => {}
                false => trust.grant.roles = [Role::Customer].into_iter().collect(),
            }
        }
        for option in &self.issuer_roles {
            let (trust, names) = of_issuer(&mut all, option, "--issuer-roles", "ROLE,ROLE")?;
            let names: Vec<&str> = names.split(',').collect();
            let givable = Roles::all().without(Role::Service);
            trust.grant.roles = Roles::named(names.iter().copied()).and(givable);
            if trust.grant.roles.names().count() != names.len() {
                bail!("--issuer-roles {option:?} must name roles among: {givable}");
            }
        }
        for option in &self.issuer_prefix {
            let (trust, prefix) = of_issuer(&mut all, option, "--issuer-prefix", "PREFIX")?;
            prefix.clone_into(&mut trust.grant.prefix);
        }
        if let Some((one, other)) = same_prefix(&all) {
            bail!(
                "subjects of {one} and {other} would be the same callers; give each its own prefix with --issuer-prefix"
            );
        }
        Ok(all)
    }

    /// The rate limit per caller, if there is one.
    pub fn rate(&self) -> Option<Rate> {
        let default = if self.is_auth_off() { 0 } else { DEFAULT_RATE };
        let rate = self.rate.unwrap_or(default);
        let per_second = std::num::NonZeroU32::new(rate)?;
        Some(Rate { per_second, burst: per_second.saturating_add(rate) })
    }

    /// The files of TLS.
    pub fn tls_files(&self) -> anyhow::Result<Files> {
        let files = Files { client_ca: self.tls_client_ca.clone(), ..self.tls.files()? };
        if files.client_ca.is_some() && files.identity.is_none() {
            bail!(
                "--tls-client-ca is for a server that speaks TLS; name its certificate with --tls-cert and --tls-key"
            );
        }
        Ok(files)
    }

    /// How long dead letters are kept; `None` is forever.
    pub fn dead_letter_retention(&self) -> anyhow::Result<Option<Duration>> {
        let retention = self.dead_letter_days.map(pruning::days).transpose();
        retention.map_err(|error| anyhow::anyhow!("--dead-letter-days {error}"))
    }

    /// The endpoints of contexts in other processes.
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

    /// The calls between contexts that are let through.
    pub fn calls(&self) -> anyhow::Result<Calls> {
        let more = self.calls.iter().map(|call| match call.split_once('=') {
            Some((from, to)) => {
                let to = contexts::named(&[to.to_owned()]).map_err(anyhow::Error::msg)?;
                Ok(to.into_iter().map(|to| (from.to_owned(), to.name.to_owned())).collect::<Vec<_>>())
            }
            None => bail!("--calls {call:?} must be CALLER=CONTEXT"),
        });
        let more: Vec<Vec<(String, String)>> = more.collect::<anyhow::Result<_>>()?;
        let declared = contexts::calls(contexts::ALL).map(|(from, to)| (from.to_owned(), to.to_owned()));
        Ok(declared.chain(more.into_iter().flatten()).collect())
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
    use clap::FromArgMatches as _;

    use super::*;

    fn serve(arguments: &[&str]) -> ServeOptions {
        let command = ServeOptions::augment_args(clap::Command::new("serve").no_binary_name(true));
        ServeOptions::from_arg_matches(&command.get_matches_from(arguments)).unwrap()
    }

    #[test]
    fn callers_with_tokens_have_a_rate_limit_by_default() {
        let per_second =
            |arguments: &[&str]| serve(arguments).rate().map(|rate| (rate.per_second.get(), rate.burst.get()));
        assert_eq!(per_second(&[]), None, "auth is off");
        assert_eq!(per_second(&["--auth", "own"]), Some((100, 200)));
        assert_eq!(per_second(&["--auth", "own", "--rate", "0"]), None);
        assert_eq!(per_second(&["--rate", "5"]), Some((5, 10)));
    }

    #[test]
    fn each_issuer_has_its_roles_and_its_prefix() {
        let (login, staff) = ("https://login.example=https://login.example/jwks", "https://staff.example=staff.json");
        let trust = |more: &[&str]| serve(&[&["--auth", login, "--auth", staff], more].concat()).trust();
        let all = trust(&["--issuer-roles", "https://staff.example=admin,driver"]).unwrap();
        let granted = |trust: &Trust| (trust.grant.roles.to_string(), trust.grant.prefix.clone());
        assert_eq!(granted(&all[0]), ("customer".to_owned(), "https://login.example#".to_owned()));
        assert_eq!(granted(&all[1]).0, "admin, driver");
        let all = trust(&["--issuer-prefix", "https://login.example="]).unwrap();
        assert_eq!((granted(&all[0]).1, granted(&all[1]).1), (String::new(), "https://staff.example#".to_owned()));

        let wrong = |more: &[&str]| trust(more).unwrap_err().to_string();
        assert!(wrong(&["--issuer-roles", "https://staff.example=admin,service"]).contains("customer, admin"));
        assert!(wrong(&["--issuer-roles", "https://nobody.example=admin"]).contains("no issuer of --auth"));
        assert!(wrong(&["--issuer-roles", "nadeuri=admin"]).contains("the product's own"));
        assert!(wrong(&["--issuer-prefix", "x"]).contains("must be ISSUER=PREFIX"));
        let one_prefix = ["--issuer-prefix", "https://login.example=", "--issuer-prefix", "https://staff.example="];
        assert!(wrong(&one_prefix).contains("its own prefix"));
    }

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
