//! The address of a context's PostgreSQL, and how connections to it are opened.
//!
//! The URL is libpq's. Two of its parameters are extensions or mean more here: `schema=NAME` makes that schema the
//! search path; `sslmode=require` and `sslmode=verify-full` are the same, because encryption without authentication of
//! the server protects nothing: its certificate must be valid for its host, by the roots of this machine or by those in
//! the PEM file `sslrootcert=FILE`. Without `sslmode` a connection is not encrypted.
//!
//! Several hosts, as in `postgres://me@h1,h2:5433/db`, are a primary and its standbys. A connection goes to the one that
//! accepts writes (`target_session_attrs=read-write`, which need not be said): after a failover that is another one. They
//! are tried in turn, from the last one that was the primary on, and share the deadline: neither a machine that is gone nor
//! a server that accepts a connection and then says nothing keeps from the next.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use diesel::ConnectionError;
use diesel_async::{AsyncPgConnection, SimpleAsyncConnection};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres::config::{Config, Host, TargetSessionAttrs};
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{NoTls, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::db::DEADLINE;

/// The settings of every connection. Statements are the same for any number of rows, so one plan suffices. Every
/// statement has its index: a plan that was made while a table was small, or before there were statistics, must not
/// scan the whole table when it has grown.
///
/// A statement that runs longer than any caller waits is aborted.
const SETTINGS: &str =
    "SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; SET statement_timeout = '10s'";

/// The database for commands that are about databases.
const MAINTENANCE: &str = "postgres";

/// The address of a store.
#[derive(Clone)]
pub(super) struct Address {
    /// One for each host of the URL.
    servers: Vec<Config>,
    /// The server to which a connection succeeded last.
    primary: Arc<AtomicUsize>,
    /// The schema of the context's tables, if it is not the default.
    pub schema: Option<String>,
    tls: Option<MakeRustlsConnect>,
}

impl Address {
    /// Parses a URL.
    pub fn parse(url: &str) -> Result<Address, String> {
        let (base, query) = url.split_once('?').unwrap_or((url, ""));
        let mut address = Address { servers: Vec::new(), primary: Arc::default(), schema: None, tls: None };
        let (mut theirs, mut mode, mut roots) = (Vec::new(), None, None);
        for part in query.split('&').filter(|part| !part.is_empty()) {
            match part.split_once('=') {
                Some(("schema", name)) => address.schema = Some(schema(name)?),
                Some(("sslmode", name)) => mode = Some(name),
                Some(("sslrootcert", file)) => roots = Some(file),
                _ => theirs.push(part.to_owned()),
            }
        }
        match (mode, roots) {
            (None | Some("disable"), None) => {}
            (Some("require" | "verify-full"), roots) => {
                address.tls = Some(tls(roots)?);
                theirs.push("sslmode=require".to_owned());
            }
            (None | Some("disable"), Some(_)) => {
                return Err("sslrootcert goes with sslmode=verify-full".to_owned());
            }
            (Some(other), _) => {
                return Err(format!("there is no sslmode={other} here; use disable, require or verify-full"));
            }
        }
        theirs.extend(address.schema.iter().map(|schema| format!("options=-c%20search_path%3D{schema}")));
        let question_mark = if theirs.is_empty() { "" } else { "?" };
        let server = |base: String| server(&format!("{base}{question_mark}{}", theirs.join("&")));
        address.servers = each_host(base).into_iter().map(server).collect::<Result<_, _>>()?;
        if address.servers.len() > 1 && !theirs.iter().any(|part| part.starts_with("target_session_attrs=")) {
            address.servers.iter_mut().for_each(|server| {
                server.target_session_attrs(TargetSessionAttrs::ReadWrite);
            });
        }
        Ok(address)
    }

    /// The name of the database.
    pub fn database(&self) -> Option<&str> {
        self.servers.first()?.get_dbname()
    }

    /// The maintenance database of the same servers.
    pub fn of_maintenance(&self) -> Address {
        let mut other = Address { schema: None, ..self.clone() };
        other.servers.iter_mut().for_each(|server| {
            server.dbname(MAINTENANCE);
        });
        other
    }

    /// Connects to the first server that accepts, or fails at the deadline.
    pub async fn connect(&self) -> Result<AsyncPgConnection, ConnectionError> {
        let count = self.servers.len();
        let share = DEADLINE / u32::try_from(count).unwrap_or(1);
        let first = self.primary.load(Ordering::Relaxed);
        let mut failures = Vec::new();
        for index in (0..count).map(|step| (first + step) % count) {
            let why = match tokio::time::timeout(share, self.connect_to(&self.servers[index])).await {
                Ok(Ok(connection)) => {
                    self.primary.store(index, Ordering::Relaxed);
                    return Ok(connection);
                }
                Ok(Err(why)) => why,
                Err(_) => "no answer in time".to_owned(),
            };
            failures.push(if count > 1 { format!("{}: {why}", name(&self.servers[index])) } else { why });
        }
        Err(ConnectionError::BadConnection(failures.join("; ")))
    }

    async fn connect_to(&self, server: &Config) -> Result<AsyncPgConnection, String> {
        match &self.tls {
            None => establish(server, NoTls).await,
            Some(tls) => establish(server, tls.clone()).await,
        }
    }
}

async fn establish<T>(server: &Config, tls: T) -> Result<AsyncPgConnection, String>
where
    T: MakeTlsConnect<Socket>,
    T::Stream: Send + 'static,
{
    let (client, connection) = server.connect(tls).await.map_err(|error| with_causes(&error))?;
    let connection = AsyncPgConnection::try_from_client_and_connection(client, connection).await;
    let mut connection = connection.map_err(|error| error.to_string())?;
    connection.batch_execute(SETTINGS).await.map_err(|error| error.to_string())?;
    Ok(connection)
}

/// The parts of a URL before its query, one for each host.
fn each_host(base: &str) -> Vec<String> {
    let authority = base.find("://").map_or(0, |scheme| scheme + 3);
    let hosts = base[authority..].find('@').map_or(authority, |user| authority + user + 1);
    let path = base[hosts..].find('/').map_or(base.len(), |path| hosts + path);
    base[hosts..path].split(',').map(|host| format!("{}{host}{}", &base[..hosts], &base[path..])).collect()
}

/// The settings of connections to the one server of a URL.
fn server(url: &str) -> Result<Config, String> {
    let mut server: Config = url.parse().map_err(|error| with_causes(&error))?;
    // A machine that is gone does not close its connections. Without this they would hang for a quarter of an hour.
    if server.get_tcp_user_timeout().is_none() {
        server.tcp_user_timeout(DEADLINE);
    }
    Ok(server)
}

/// `HOST:PORT`.
fn name(server: &Config) -> String {
    let host = match server.get_hosts().first() {
        Some(Host::Tcp(host)) => host.clone(),
        Some(Host::Unix(path)) => path.display().to_string(),
        None => String::new(),
    };
    format!("{host}:{}", server.get_ports().first().unwrap_or(&5432))
}

fn schema(name: &str) -> Result<String, String> {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if name.is_empty() || !name.chars().all(is_plain) {
        return Err(format!("the schema {name:?} must be of a-z, 0-9 and _"));
    }
    Ok(name.to_owned())
}

fn tls(file: Option<&str>) -> Result<MakeRustlsConnect, String> {
    let mut roots = RootCertStore::empty();
    let (found, place) = match file {
        Some(file) => {
            let unreadable =
                |error: rustls::pki_types::pem::Error| format!("sslrootcert {file} can't be read: {error}");
            let certificates = CertificateDer::pem_file_iter(file).map_err(unreadable)?;
            (certificates.collect::<Result<Vec<_>, _>>().map_err(unreadable)?, file)
        }
        None => (rustls_native_certs::load_native_certs().certs, "this machine's store"),
    };
    roots.add_parsable_certificates(found);
    if roots.is_empty() {
        return Err(format!("there is no root certificate in {place}; name a PEM file with sslrootcert=FILE"));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(|error| error.to_string())?.with_root_certificates(roots).with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

/// The error with its causes: tokio-postgres says only that a handshake failed.
fn with_causes(error: &tokio_postgres::Error) -> String {
    let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<Address, String> {
        Address::parse(url)
    }

    fn addresses(url: &str) -> Vec<String> {
        parse(url).expect("it is a good URL").servers.iter().map(name).collect()
    }

    #[test]
    fn a_schema_becomes_the_search_path() {
        let address = parse("postgres://h/db?schema=rental&connect_timeout=3").expect("it is a good URL");
        assert_eq!(address.schema.as_deref(), Some("rental"));
        let server = &address.servers[0];
        assert_eq!(server.get_options(), Some("-c search_path=rental"));
        assert_eq!(server.get_connect_timeout().map(|limit| limit.as_secs()), Some(3));
        assert!(parse("postgres://h/db?schema=a;drop").is_err());
        assert!(parse("postgres://h/db").is_ok_and(|address| address.schema.is_none()));
    }

    #[test]
    fn a_url_may_name_several_hosts_of_which_one_accepts_writes() {
        let url = "postgres://me:p%2Cw@h1,h2:5433,[::1]:5434/shop?schema=rental";
        assert_eq!(addresses(url), ["h1:5432", "h2:5433", "::1:5434"]);
        for server in parse(url).expect("it is a good URL").servers {
            assert_eq!((server.get_user(), server.get_password()), (Some("me"), Some("p,w".as_bytes())));
            assert_eq!((server.get_dbname(), server.get_options()), (Some("shop"), Some("-c search_path=rental")));
            assert_eq!(server.get_target_session_attrs(), TargetSessionAttrs::ReadWrite);
            assert_eq!(server.get_tcp_user_timeout(), Some(&DEADLINE));
        }
        assert_eq!(addresses("postgres://h1,h2"), ["h1:5432", "h2:5432"]);
        let one = parse("postgres://h1/db").expect("it is a good URL");
        assert_eq!(one.servers[0].get_target_session_attrs(), TargetSessionAttrs::Any);
        let chosen = parse("postgres://h1,h2/db?target_session_attrs=any").expect("it is a good URL");
        assert_eq!(chosen.servers[0].get_target_session_attrs(), TargetSessionAttrs::Any);
    }

    #[test]
    fn a_bad_url_is_an_error_without_its_password() {
        let refused = parse("postgres://me:secret@h1:port,h2/db").err().expect("there is no such port");
        assert!(!refused.contains("secret"), "{refused}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_says_nothing_and_one_that_is_not_there_do_not_keep_from_the_next() {
        let bind = || std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let port = |listener: &std::net::TcpListener| listener.local_addr().map(|at| at.port()).unwrap_or_default();
        let silent = bind();
        // Its port is free again after this.
        let absent = port(&bind());
        let url = format!("postgres://me@127.0.0.1:{},127.0.0.1:{absent}/db", port(&silent));
        let start = tokio::time::Instant::now();
        let failed = parse(&url).expect("it is a good URL").connect().await.err().expect("none is a PostgreSQL");
        assert!(failed.to_string().contains(&format!("{}: no answer in time; ", port(&silent))), "{failed}");
        assert!(failed.to_string().contains(&format!("127.0.0.1:{absent}: ")), "{failed}");
        assert!(start.elapsed() <= DEADLINE, "{:?}", start.elapsed());
    }

    #[test]
    fn a_mode_that_does_not_check_the_server_is_refused() {
        for mode in ["prefer", "allow", "verify-ca", ""] {
            let refused = parse(&format!("postgres://h/db?sslmode={mode}")).err().expect("it is refused");
            assert!(refused.contains("verify-full"), "{refused}");
        }
        assert!(parse("postgres://h/db?sslmode=disable").is_ok());
        assert!(parse("postgres://h/db?sslrootcert=/ca.pem").is_err(), "it would be of no effect");
        let missing =
            parse("postgres://h/db?sslmode=require&sslrootcert=/nowhere.pem").err().expect("there is no such file");
        assert!(missing.contains("/nowhere.pem"), "{missing}");
    }

    #[test]
    fn the_maintenance_database_is_on_the_same_server() {
        let address = parse("postgres://me:pw@h:5432,other/shop?schema=rental").expect("it is a good URL");
        assert_eq!(address.database(), Some("shop"));
        let maintenance = address.of_maintenance();
        assert_eq!(maintenance.servers.iter().map(name).collect::<Vec<_>>(), ["h:5432", "other:5432"]);
        assert!(maintenance.servers.iter().all(|server| server.get_dbname() == Some("postgres")));
        assert_eq!(parse("postgres://h").expect("it is a good URL").database(), None);
    }
}
