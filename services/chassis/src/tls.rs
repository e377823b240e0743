//! TLS (1.2 and 1.3) of this process: of its server, and of its calls to other contexts and to the broker.
//!
//! Certificates and keys are PEM files. They are read again when their content changes, because certificates that are
//! valid for days are replaced while the process runs. New files that can't be used are logged, and the old ones stay.
//! New connections use the new files; a connection that is open keeps what it began with.

use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use std::{fmt, io};

use rustls::client::ResolvesClientCert;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, TrustAnchor};
use rustls::server::{ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_util::task::AbortOnDropHandle;
use tonic::transport::{ClientTlsConfig, Endpoint, Identity};

use crate::runtime::supervise;

pub(crate) mod stream;

use stream::Stream;

/// How often the files are compared with what is in use.
const RELOAD_EACH: Duration = Duration::from_secs(5);
/// The deadline of a handshake with another server.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(2);
/// The protocol of gRPC in the handshake (ALPN, RFC 7301).
const HTTP_2: &[u8] = b"h2";

/// The authorities that this machine trusts.
static OF_MACHINE: LazyLock<RootCertStore> = LazyLock::new(|| {
    let found = rustls_native_certs::load_native_certs();
    for error in found.errors {
        tracing::warn!(%error, "certificates of this machine can't be read");
    }
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    roots
});

/// The files of a process, in PEM.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Files {
    /// Its certificate (`--tls-cert`) and the key of it (`--tls-key`): for its server, and for servers that ask for one.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// The authorities of callers (`--tls-client-ca`). With it, a caller must have a certificate of one of them.
    pub client_ca: Option<PathBuf>,
    /// The authorities of other servers (`--ca`), besides those of this machine.
    pub ca: Option<PathBuf>,
}

/// The files can't be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file can't be read.
    #[error("{option} {} can't be read: {cause}", path.display())]
    Unreadable {
        /// The option that names it.
        option: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// A file has other content.
    #[error("{option} must be a PEM file with {content}: {cause}")]
    Content {
        /// The option that names it.
        option: &'static str,
        /// What it must have.
        content: &'static str,
        /// What is wrong.
        cause: String,
    },
    /// The certificate is not that of the key.
    #[error("--tls-cert and --tls-key do not fit together: {0}; the first certificate must be that of the key")]
    Pair(rustls::Error),
    /// TLS can't be set up with them.
    #[error("TLS can't be set up with --tls-cert, --tls-key and --tls-client-ca: {0}")]
    Setup(String),
}

/// What the files contain.
#[derive(Clone, Default, PartialEq, Eq)]
struct Contents {
    identity: Option<(Vec<u8>, Vec<u8>)>,
    client_ca: Option<Vec<u8>>,
    ca: Option<Vec<u8>>,
}

/// The TLS that was made of the files at one time.
#[derive(Default)]
struct Loaded {
    contents: Contents,
    identity: Option<Arc<CertifiedKey>>,
    server: Option<Arc<ServerConfig>>,
    /// Those of `--ca`.
    ca: Vec<TrustAnchor<'static>>,
    /// The number of earlier ones.
    version: u64,
}

/// The TLS of a process. Its clones have the same files.
#[derive(Clone)]
pub struct Tls {
    current: watch::Receiver<Arc<Loaded>>,
    _reload: Option<Arc<AbortOnDropHandle<()>>>,
}

impl Default for Tls {
    /// Without files: the server speaks plain text, and other servers need a certificate that this machine trusts.
    fn default() -> Tls {
        let (_, current) = watch::channel(Arc::default());
        Tls { current, _reload: None }
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the key.
        f.debug_struct("Tls").field("server", &self.is_served()).field("version", &self.version()).finish()
    }
}

impl Tls {
    /// Reads the files, and looks at them again in the background.
    pub async fn start(files: Files) -> Result<Tls, TlsError> {
        if files == Files::default() {
            return Ok(Tls::default());
        }
        let (reload, current) = Reload::start(files).await?;
        let task = tokio::spawn(supervise("server", "reload of certificates", reload, |reload| Box::pin(reload.run())));
        Ok(Tls { current, _reload: Some(Arc::new(AbortOnDropHandle::new(task))) })
    }

    /// Whether the server speaks TLS.
    pub fn is_served(&self) -> bool {
        self.current.borrow().server.is_some()
    }

    /// Adds what a client needs to an endpoint with an `https` URL.
    pub fn secure(&self, endpoint: Endpoint) -> Result<Endpoint, tonic::transport::Error> {
        if endpoint.uri().scheme_str() != Some("https") {
            return Ok(endpoint);
        }
        let current = self.current.borrow().clone();
        let config = ClientTlsConfig::new().trust_anchors(current.roots().roots).timeout(HANDSHAKE_LIMIT);
        endpoint.tls_config(match &current.contents.identity {
            Some((certificate, key)) => config.identity(Identity::from_pem(certificate, key)),
            None => config,
        })
    }

    /// The settings of a client that does not speak HTTP.
    pub(crate) fn client(&self) -> Result<Arc<ClientConfig>, TlsError> {
        let current = self.current.borrow().clone();
        let config = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
        let config = config.map_err(|error| TlsError::Setup(error.to_string()))?;
        let config = config.with_root_certificates(current.roots());
        Ok(Arc::new(match current.identity.clone() {
            Some(identity) => {
                let resolver: Arc<dyn ResolvesClientCert> = Arc::new(SingleCertAndKey::from(identity));
                config.with_client_cert_resolver(resolver)
            }
            None => config.with_no_client_auth(),
        }))
    }

    /// The connection of a client, encrypted if the server speaks TLS.
    pub(crate) fn accept<I: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin>(&self, stream: I) -> Stream<I> {
        match &self.current.borrow().server {
            Some(server) => Stream::handshake(TlsAcceptor::from(server.clone()).accept(stream)),
            None => Stream::Plain(stream),
        }
    }

    /// Changes with the files.
    pub(crate) fn version(&self) -> u64 {
        self.current.borrow().version
    }

    /// Returns when changed files are in use.
    pub async fn changed(&mut self) {
        if self.current.changed().await.is_err() {
            // Nothing reloads them.
            std::future::pending::<()>().await;
        }
    }
}

/// Says what to do about a certificate that is not accepted.
pub(crate) fn explained(error: io::Error) -> io::Error {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
    match cause {
        Some(rustls::Error::InvalidCertificate(_)) => io::Error::new(
            error.kind(),
            format!("{error}; it must be valid for that name, by an authority of this machine or of --ca"),
        ),
        _ => error,
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

impl Files {
    async fn read(&self) -> Result<Contents, TlsError> {
        let identity = match &self.identity {
            Some((certificate, key)) => Some((read("--tls-cert", certificate).await?, read("--tls-key", key).await?)),
            None => None,
        };
        Ok(Contents {
            identity,
            client_ca: read_if_named("--tls-client-ca", self.client_ca.as_deref()).await?,
            ca: read_if_named("--ca", self.ca.as_deref()).await?,
        })
    }
}

async fn read_if_named(option: &'static str, path: Option<&Path>) -> Result<Option<Vec<u8>>, TlsError> {
    match path {
        Some(path) => read(option, path).await.map(Some),
        None => Ok(None),
    }
}

async fn read(option: &'static str, path: &Path) -> Result<Vec<u8>, TlsError> {
    let unreadable = |cause| TlsError::Unreadable { option, path: path.to_owned(), cause };
    tokio::fs::read(path).await.map_err(unreadable)
}

impl Loaded {
    fn new(contents: Contents, version: u64) -> Result<Loaded, TlsError> {
        let identity = contents.identity.as_ref().map(|(certificate, key)| pair(certificate, key)).transpose()?;
        let callers = contents.client_ca.as_deref().map(|pem| authorities("--tls-client-ca", pem)).transpose()?;
        let ca = contents.ca.as_deref().map(|pem| authorities("--ca", pem)).transpose()?;
        let ca = ca.map(|store| store.roots).unwrap_or_default();
        let server = identity.clone().map(|identity| server(identity, callers)).transpose()?;
        Ok(Loaded { contents, identity, server, ca, version })
    }

    /// The authorities of other servers.
    fn roots(&self) -> RootCertStore {
        let mut roots = OF_MACHINE.clone();
        roots.roots.extend(self.ca.iter().cloned());
        roots
    }
}

fn certificates(option: &'static str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let bad = |cause: String| TlsError::Content { option, content: "a certificate", cause };
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let found = found.map_err(|error| bad(error.to_string()))?;
    if found.is_empty() { Err(bad("it has none".to_owned())) } else { Ok(found) }
}

fn pair(certificate: &[u8], key: &[u8]) -> Result<Arc<CertifiedKey>, TlsError> {
    let chain = certificates("--tls-cert", certificate)?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| TlsError::Content {
        option: "--tls-key",
        content: "a private key",
        cause: error.to_string(),
    })?;
    CertifiedKey::from_der(chain, key, &provider()).map(Arc::new).map_err(TlsError::Pair)
}

fn authorities(option: &'static str, pem: &[u8]) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(option, pem)? {
        let bad = |error: rustls::Error| TlsError::Content {
            option,
            content: "certificates of authorities",
            cause: error.to_string(),
        };
        roots.add(certificate).map_err(bad)?;
    }
    Ok(roots)
}

fn server(identity: Arc<CertifiedKey>, callers: Option<RootCertStore>) -> Result<Arc<ServerConfig>, TlsError> {
    let config = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
    let config = config.map_err(|error| TlsError::Setup(error.to_string()))?;
    let verifier = match callers {
        Some(roots) => {
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider()).build();
            verifier.map_err(|error| TlsError::Setup(error.to_string()))?
        }
        None => WebPkiClientVerifier::no_client_auth(),
    };
    let resolver: Arc<dyn ResolvesServerCert> = Arc::new(SingleCertAndKey::from(identity));
    let mut config = config.with_client_cert_verifier(verifier).with_cert_resolver(resolver);
    config.alpn_protocols.push(HTTP_2.to_vec());
    Ok(Arc::new(config))
}

/// Replaces what is in use when the files change.
struct Reload {
    files: Files,
    current: watch::Sender<Arc<Loaded>>,
    /// Why the files were not used the last time, so that it is logged once.
    refused: Option<String>,
}

impl Reload {
    async fn start(files: Files) -> Result<(Reload, watch::Receiver<Arc<Loaded>>), TlsError> {
        let loaded = Loaded::new(files.read().await?, 0)?;
        let (current, receiver) = watch::channel(Arc::new(loaded));
        Ok((Reload { files, current, refused: None }, receiver))
    }

    async fn run(&mut self) {
        loop {
            tokio::time::sleep(RELOAD_EACH).await;
            self.look().await;
        }
    }

    async fn look(&mut self) {
        match self.fresh().await {
            Ok(None) => self.refused = None,
            Ok(Some(loaded)) => {
                tracing::info!(version = loaded.version, "new certificates are in use");
                self.refused = None;
                self.current.send_replace(Arc::new(loaded));
            }
            Err(error) => {
                let error = error.to_string();
                if self.refused.as_ref() != Some(&error) {
                    tracing::warn!(error, "new certificates can't be used; the previous ones stay");
                }
                self.refused = Some(error);
            }
        }
    }

    /// What the files contain, if it is not what is in use.
    async fn fresh(&self) -> Result<Option<Loaded>, TlsError> {
        let contents = self.files.read().await?;
        let current = self.current.borrow().clone();
        if contents == current.contents {
            return Ok(None);
        }
        Loaded::new(contents, current.version + 1).map(Some)
    }
}

#[cfg(test)]
pub(crate) mod tests;
