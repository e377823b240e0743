//! The address of a context's PostgreSQL, and how connections to it are opened.
//!
//! The URL is libpq's. Two of its parameters are extensions or mean more here: `schema=NAME` makes that schema the
//! search path; `sslmode=require` and `sslmode=verify-full` are the same, because encryption without authentication of
//! the server protects nothing: its certificate must be valid for its host, by the roots of this machine or by those in
//! the PEM file `sslrootcert=FILE`. Without `sslmode` a connection is not encrypted.

use std::sync::Arc;

use diesel::ConnectionError;
use diesel_async::{AsyncConnection, AsyncPgConnection, SimpleAsyncConnection};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres_rustls::MakeRustlsConnect;

/// The settings of every connection. Statements are the same for any number of rows, so one plan suffices. Every
/// statement has its index: a plan that was made while a table was small, or before there were statistics, must not
/// scan the whole table when it has grown.
///
/// A statement that runs longer than any caller waits is aborted.
const SETTINGS: &str =
    "SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; SET statement_timeout = '10s'";

/// The address of a store.
#[derive(Clone)]
pub(super) struct Address {
    /// The URL for tokio-postgres.
    pub url: String,
    /// The schema of the context's tables, if it is not the default.
    pub schema: Option<String>,
    tls: Option<MakeRustlsConnect>,
}

impl Address {
    /// Parses a URL.
    pub fn parse(url: &str) -> Result<Address, String> {
        let (base, query) = url.split_once('?').unwrap_or((url, ""));
        let mut address = Address { url: String::new(), schema: None, tls: None };
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
        address.url = format!("{base}{question_mark}{}", theirs.join("&"));
        Ok(address)
    }

    /// The name of the database.
    pub fn database(&self) -> Option<&str> {
        let base = self.url.split_once('?').map_or(&*self.url, |(base, _)| base);
        base.split_once("://")?.1.split_once('/').map(|(_, database)| database).filter(|name| !name.is_empty())
    }

    /// The maintenance database of the same server.
    pub fn of_maintenance(&self) -> Option<Address> {
        let (base, query) = self.url.split_once('?').unwrap_or((&self.url, ""));
        let server = base.strip_suffix(self.database()?)?;
        let is_tls = query.split('&').any(|part| part == "sslmode=require");
        let url = format!("{server}postgres{}", if is_tls { "?sslmode=require" } else { "" });
        Some(Address { url, schema: None, tls: self.tls.clone() })
    }

    /// Connects.
    pub async fn connect(&self) -> Result<AsyncPgConnection, ConnectionError> {
        let mut connection = match &self.tls {
            None => AsyncPgConnection::establish(&self.url).await?,
            Some(tls) => {
                let connected = tokio_postgres::connect(&self.url, tls.clone()).await;
                let (client, connection) =
                    connected.map_err(|error| ConnectionError::BadConnection(with_causes(&error)))?;
                AsyncPgConnection::try_from_client_and_connection(client, connection).await?
            }
        };
        connection.batch_execute(SETTINGS).await.map_err(ConnectionError::CouldntSetupConfiguration)?;
        Ok(connection)
    }
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
    use super::Address;

    fn parse(url: &str) -> Result<(String, Option<String>), String> {
        Address::parse(url).map(|address| (address.url, address.schema))
    }

    #[test]
    fn a_schema_becomes_the_search_path() {
        let (url, schema) = parse("postgres://h/db?schema=rental&connect_timeout=3").expect("it is a good URL");
        assert_eq!(url, "postgres://h/db?connect_timeout=3&options=-c%20search_path%3Drental");
        assert_eq!(schema.as_deref(), Some("rental"));
        assert!(parse("postgres://h/db?schema=a;drop").is_err());
        assert_eq!(parse("postgres://h/db"), Ok(("postgres://h/db".to_owned(), None)));
    }

    #[test]
    fn a_mode_that_does_not_check_the_server_is_refused() {
        for mode in ["prefer", "allow", "verify-ca", ""] {
            let refused = parse(&format!("postgres://h/db?sslmode={mode}")).expect_err("it is refused");
            assert!(refused.contains("verify-full"), "{refused}");
        }
        assert!(parse("postgres://h/db?sslmode=disable").is_ok());
        assert!(parse("postgres://h/db?sslrootcert=/ca.pem").is_err(), "it would be of no effect");
        let missing =
            parse("postgres://h/db?sslmode=require&sslrootcert=/nowhere.pem").expect_err("there is no such file");
        assert!(missing.contains("/nowhere.pem"), "{missing}");
    }

    #[test]
    fn the_maintenance_database_is_on_the_same_server() {
        let address = Address::parse("postgres://me:pw@h:5432/shop?schema=rental").expect("it is a good URL");
        assert_eq!(address.database(), Some("shop"));
        assert_eq!(
            address.of_maintenance().map(|other| other.url).as_deref(),
            Some("postgres://me:pw@h:5432/postgres")
        );
        assert_eq!(Address::parse("postgres://h").expect("it is a good URL").database(), None);
    }
}
