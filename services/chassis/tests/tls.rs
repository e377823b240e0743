//! A server with certificates and its clients: who is let in, over which protocol, and what changes with the files.

#![expect(clippy::unwrap_used, reason = "what a helper can't do fails its test")]

use std::collections::HashMap;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chassis::access::{Calls, Guard, Limits};
use chassis::auth::Auth;
use chassis::clock::Clock;
use chassis::identity::Identity;
use chassis::peer::{self, Peers};
use chassis::tls::{Files, Tls};
use chassis::{CallError, PeerClient, server};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ProtocolVersion, RootCertStore, SupportedProtocolVersion};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::transport::Endpoint;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

/// The limit of a wait for something that must happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// An authority in a folder of its own, and what it has issued.
struct Authority {
    folder: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Authority {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let (key, folder) = (KeyPair::generate().unwrap(), tempfile::tempdir().unwrap());
        fs::write(folder.path().join("ca.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
        Authority { folder, issuer: Issuer::new(params, key) }
    }

    fn ca(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// Writes a new certificate for this machine, and its key.
    fn issue_to(&self, (certificate, key): &(PathBuf, PathBuf)) {
        let its_key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
        fs::write(certificate, params.signed_by(&its_key, &self.issuer).unwrap().pem()).unwrap();
        fs::write(key, its_key.serialize_pem()).unwrap();
    }

    /// A new certificate with its key.
    fn issue(&self) -> (PathBuf, PathBuf) {
        let files = (self.folder.path().join("cert.pem"), self.folder.path().join("key.pem"));
        self.issue_to(&files);
        files
    }
}

/// A server without contexts; it answers for its health. It ends with the test.
async fn served(tls: &Tls) -> SocketAddr {
    let listener = server::listen(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    let address = listener.local_addr().unwrap();
    let settings = server::Settings { tls: tls.clone(), has_reflection: false, linger: Duration::ZERO };
    let guard = Guard::new(Auth::Off, Clock::system(), Limits::default(), Calls::default());
    tokio::spawn(async move { server::serve(listener, &[], guard, settings, std::future::pending()).await });
    address
}

async fn tls(files: Files) -> Tls {
    Tls::start(files).await.unwrap()
}

fn live() -> HealthCheckRequest {
    HealthCheckRequest { service: "live".to_owned() }
}

/// Calls the server over a new connection; returns the causes of an error.
async fn call(tls: &Tls, url: String) -> Result<(), String> {
    let endpoint = tls.secure(Endpoint::from_shared(url).unwrap()).unwrap();
    let called = async {
        let channel = endpoint.connect().await.map_err(|error| format!("{error:?}"))?;
        HealthClient::new(channel).check(live()).await.map_err(|error| format!("{error:?}"))?;
        Ok(())
    };
    tokio::time::timeout(PATIENCE, called).await.expect("an answer or an error comes")
}

/// Waits until changed files are in use, without the time that it takes.
async fn reloaded(tls: &mut Tls) {
    tokio::time::pause();
    tls.changed().await;
    tokio::time::resume();
}

#[tokio::test]
async fn a_client_knows_the_server_by_its_authority_and_plain_text_is_closed() {
    let (authority, other) = (Authority::new(), Authority::new());
    let address = served(&tls(Files { identity: Some(authority.issue()), ..Files::default() }).await).await;
    let knowing = |authority: &Authority| tls(Files { ca: Some(authority.ca()), ..Files::default() });
    call(&knowing(&authority).await, format!("https://{address}")).await.unwrap();
    for stranger in [knowing(&other).await, Tls::default()] {
        let refused = call(&stranger, format!("https://{address}")).await.unwrap_err();
        assert!(refused.contains("InvalidCertificate"), "{refused}");
    }
    let by_name = format!("https://localhost:{}", address.port());
    let refused = call(&knowing(&authority).await, by_name).await.unwrap_err();
    assert!(refused.contains("NotValidForName"), "{refused}");

    call(&Tls::default(), format!("http://{address}")).await.unwrap_err();
    let mut plain = TcpStream::connect(address).await.unwrap();
    plain.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    // It may be reset, too.
    let _ = tokio::time::timeout(PATIENCE, plain.read_to_end(&mut answer)).await.expect("it is closed");
    assert!(answer.len() <= 7, "no more than an alert comes: {answer:?}");
}

#[tokio::test]
async fn a_server_that_asks_for_certificates_lets_nobody_else_in() {
    let (authority, other) = (Authority::new(), Authority::new());
    let identity = Some(authority.issue());
    let checking = Files { identity: identity.clone(), client_ca: Some(authority.ca()), ca: None };
    let url = format!("https://{}", served(&tls(checking).await).await);
    let known = tls(Files { identity, ca: Some(authority.ca()), client_ca: None }).await;
    call(&known, url.clone()).await.unwrap();
    for identity in [None, Some(other.issue())] {
        let stranger = tls(Files { identity, ca: Some(authority.ca()), client_ca: None }).await;
        call(&stranger, url.clone()).await.unwrap_err();
    }
}

async fn handshake(
    address: SocketAddr,
    authority: &Authority,
    version: &'static SupportedProtocolVersion,
    protocol: &[u8],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority.ca()).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
    let config = config.with_protocol_versions(&[version]).unwrap().with_root_certificates(roots);
    let mut config = config.with_no_client_auth();
    config.alpn_protocols.push(protocol.to_vec());
    let stream = TcpStream::connect(address).await.unwrap();
    TlsConnector::from(Arc::new(config)).connect(ServerName::from(address.ip()), stream).await
}

#[tokio::test]
async fn both_versions_of_tls_agree_on_http_2() {
    let authority = Authority::new();
    let address = served(&tls(Files { identity: Some(authority.issue()), ..Files::default() }).await).await;
    for (version, number) in
        [(&rustls::version::TLS12, ProtocolVersion::TLSv1_2), (&rustls::version::TLS13, ProtocolVersion::TLSv1_3)]
    {
        let stream = handshake(address, &authority, version, b"h2").await.unwrap();
        let session = stream.get_ref().1;
        assert_eq!((session.protocol_version(), session.alpn_protocol()), (Some(number), Some(b"h2".as_slice())));
        handshake(address, &authority, version, b"http/1.1").await.unwrap_err();
    }
}

#[tokio::test]
async fn the_next_connection_gets_the_new_certificate() {
    let (first, second) = (Authority::new(), Authority::new());
    let files = first.issue();
    let mut serving = tls(Files { identity: Some(files.clone()), ..Files::default() }).await;
    let url = format!("https://{}", served(&serving).await);
    let knows_second = tls(Files { ca: Some(second.ca()), ..Files::default() }).await;
    call(&knows_second, url.clone()).await.unwrap_err();
    second.issue_to(&files);
    reloaded(&mut serving).await;
    call(&knows_second, url).await.unwrap();
}

#[tokio::test]
async fn a_peer_client_connects_again_with_its_new_certificate() {
    let (authority, other) = (Authority::new(), Authority::new());
    let checking = Files { identity: Some(authority.issue()), client_ca: Some(authority.ca()), ca: None };
    let address = served(&tls(checking).await).await;
    let mine = other.issue();
    let mut tls = tls(Files { identity: Some(mine.clone()), ca: Some(authority.ca()), client_ca: None }).await;
    let endpoint = Endpoint::from_shared(format!("https://{address}")).unwrap();
    let peers = Peers::new(HashMap::from([("fleet", endpoint)]), tls.clone());
    let (identity, limits) = (Identity::Named, peer::Limits::default());
    let client = PeerClient::new("rental", "fleet", peers, identity, Clock::system(), limits);
    let send = |transport, request| async move { HealthClient::new(transport).check(request).await };
    let refused = client.call(None, live(), send).await;
    assert!(matches!(refused, Err(CallError::Unavailable { .. })));
    authority.issue_to(&mine);
    reloaded(&mut tls).await;
    client.call(None, live(), send).await.unwrap();
}
