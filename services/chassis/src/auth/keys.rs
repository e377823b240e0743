//! The public keys of the issuers that are trusted: JSON Web Key Sets (RFC 7517) from files and URLs, and the
//! certificates of contexts.
//!
//! Keys are read at start, each hour, and when a token names an unknown key, at most once a minute. If a source can't
//! be read again, its previous keys stay. The keys are replaced as a whole together with the cache of verified tokens,
//! so that a withdrawn key is no longer accepted.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind, Validation};
use tokio::sync::Notify;
use tokio_util::task::AbortOnDropHandle;

use super::verified::Verified;
use super::{ISSUER, Roles, certificates};
use crate::runtime::supervise;

const REFRESH_EACH: Duration = Duration::from_secs(3600);
const REFRESH_PAUSE: Duration = Duration::from_secs(60);
const FETCH_LIMIT: Duration = Duration::from_secs(5);
/// Far more than the keys of an issuer need.
const JWKS_MAX_BYTES: usize = 256 * 1024;
/// 2048 bits, the least of RFC 7518 for RS256.
const RSA_MODULUS_MIN_BYTES: usize = 256;

/// An issuer, where its keys are, and what its tokens prove. Written `ISSUER=KEYS`, such as
/// `https://login.example.com=https://login.example.com/jwks`.
#[derive(Clone, Debug)]
pub struct Trust {
    /// The `iss` of its tokens.
    pub issuer: String,
    /// Where its keys are.
    pub keys: KeySource,
    /// Whose tokens these keys prove. Certificates say it themselves.
    pub holder: Holder,
    /// What its tokens prove.
    pub grant: Grant,
}

impl Trust {
    /// The product's own issuer, with a key for each context: a PEM file with a certificate for each, whose subject is
    /// the name of the context. A certificate of [`ISSUER`] is for the tokens of people.
    pub fn certificates(path: &Path) -> Trust {
        let keys = KeySource::Certificates(path.to_owned());
        Trust { issuer: ISSUER.to_owned(), keys, holder: Holder::People, grant: Grant::of(ISSUER) }
    }
}

/// Whose tokens a key proves. There are more than one only for the product's own issuer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    /// Every token of its issuer.
    Anybody,
    /// Those of people: every role but that of contexts.
    People,
    /// Those of these contexts, for their calls of others.
    Contexts(Arc<[String]>),
}

impl Holder {
    /// Whether a key of this holder proves a token with this subject, which is for calls of one context or not.
    fn proves(&self, subject: &str, is_for_context: bool) -> bool {
        match self {
            Holder::Anybody => true,
            Holder::People => !is_for_context,
            Holder::Contexts(names) => is_for_context && names.iter().any(|name| name == subject),
        }
    }
}

/// What an issuer's tokens prove.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The roles that it may give.
    pub roles: Roles,
    /// Stands before the `sub` of its tokens, so that subjects of two issuers are two callers.
    pub prefix: String,
}

impl Grant {
    /// The default: it may give no role until it is told which, and its subjects begin with its name.
    ///
    /// The product's own issuer may give every role, and its subjects, among them the names of contexts, stand alone.
    pub fn of(issuer: &str) -> Grant {
        if issuer == ISSUER {
            return Grant { roles: Roles::all(), prefix: String::new() };
        }
        Grant { roles: Roles::default(), prefix: format!("{issuer}#") }
    }
}

/// Where an issuer's keys are.
#[derive(Clone, Debug)]
pub enum KeySource {
    /// A JWKS file.
    File(PathBuf),
    /// A URL of a JWKS. Use `https`, unless the connection is protected otherwise, as within a mesh.
    Url(reqwest::Url),
    /// A PEM file of certificates, one for each key of a context.
    Certificates(PathBuf),
    /// Keys given directly.
    Given(JwkSet),
}

/// Keys can't be read.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// No issuer is trusted.
    #[error(
        "no issuer is trusted; name at least one with its keys, as in `https://issuer.example=https://issuer.example/jwks`"
    )]
    NoTrust,
    /// The text is malformed.
    #[error("`{0}` does not name an issuer and its keys; write it as in `nadeuri=/etc/nadeuri/jwks.json`")]
    BadTrust(String),
    /// A source can't be read.
    #[error("the keys at {place} can't be read: {cause}; check that it is there and is a JSON Web Key Set")]
    Unreadable {
        /// Where.
        place: String,
        /// Why.
        cause: String,
    },
    /// A file has a certificate that can't be used, or none.
    #[error(
        "the certificates at {place} can't be used: {cause}; write one for each context, made with `openssl req -x509 \
         -newkey ed25519 -nodes -subj /CN=CONTEXT -keyout CONTEXT.pem -out CONTEXT.crt`"
    )]
    Certificates {
        /// Where.
        place: String,
        /// Why.
        cause: String,
    },
    /// A source has no usable key.
    #[error("the keys at {place} have none for RS256 (2048 bits or more), ES256 or EdDSA (Ed25519); add one")]
    NoneFits {
        /// Where.
        place: String,
    },
}

impl FromStr for Trust {
    type Err = KeysError;

    fn from_str(text: &str) -> Result<Trust, KeysError> {
        let bad = || KeysError::BadTrust(text.to_owned());
        let (issuer, keys) = text.split_once('=').filter(|(i, k)| !i.is_empty() && !k.is_empty()).ok_or_else(bad)?;
        let is_url = keys.starts_with("https://") || keys.starts_with("http://");
        let keys = if is_url { KeySource::Url(keys.parse().map_err(|_| bad())?) } else { KeySource::File(keys.into()) };
        Ok(Trust { issuer: issuer.to_owned(), keys, holder: Holder::Anybody, grant: Grant::of(issuer) })
    }
}

impl fmt::Display for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeySource::File(path) | KeySource::Certificates(path) => path.display().fmt(f),
            KeySource::Url(url) => shown(url).fmt(f),
            KeySource::Given(_) => f.write_str("the settings"),
        }
    }
}

/// The URL without user, password and parameters, which can be secrets.
fn shown(url: &reqwest::Url) -> reqwest::Url {
    let mut shown = url.clone();
    shown.set_query(None);
    // A URL that can have no user has none.
    let _ = (shown.set_username(""), shown.set_password(None));
    shown
}

/// A key, and the claims that its tokens must have.
#[derive(Clone)]
pub(super) struct Key {
    issuer: Arc<str>,
    holder: Holder,
    id: Option<String>,
    algorithm: Algorithm,
    pub decoding: DecodingKey,
    pub validation: Validation,
}

impl Key {
    /// `None` for keys that are not for signatures we accept, or too weak.
    fn new(issuer: &Arc<str>, holder: &Holder, jwk: &Jwk) -> Option<Key> {
        let (algorithm, named) = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => (Algorithm::RS256, KeyAlgorithm::RS256),
            AlgorithmParameters::EllipticCurve(ec) if ec.curve == EllipticCurve::P256 => {
                (Algorithm::ES256, KeyAlgorithm::ES256)
            }
            AlgorithmParameters::OctetKeyPair(okp) if okp.curve == EllipticCurve::Ed25519 => {
                (Algorithm::EdDSA, KeyAlgorithm::EdDSA)
            }
            _ => return None,
        };
        let for_this = jwk.common.key_algorithm.is_none_or(|algorithm| algorithm == named);
        let for_signatures = matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature));
        let decoding = DecodingKey::from_jwk(jwk).ok().filter(|key| is_whole(algorithm, key))?;
        let mut validation = Validation::new(algorithm);
        validation.set_issuer(&[issuer]);
        validation.set_required_spec_claims(&["iss", "aud", "sub", "exp"]);
        // The verifier checks the audience, and these against the current time of its caller.
        validation.validate_aud = false;
        validation.validate_exp = false;
        validation.validate_nbf = false;
        let (issuer, holder, id) = (issuer.clone(), holder.clone(), jwk.common.key_id.clone());
        (for_this && for_signatures).then_some(Key { issuer, holder, id, algorithm, decoding, validation })
    }

    /// Whether both are the same key with the same name, whoever has it.
    fn is(&self, other: &Key) -> bool {
        use DecodingKeyKind::{RsaModulusExponent, SecretOrDer};
        let is_same = match (self.decoding.kind(), other.decoding.kind()) {
            (SecretOrDer(own), SecretOrDer(others)) => own == others,
            (RsaModulusExponent { n, e }, RsaModulusExponent { n: others_n, e: others_e }) => {
                n == others_n && e == others_e
            }
            _ => false,
        };
        is_same && self.issuer == other.issuer && self.id == other.id && self.algorithm == other.algorithm
    }
}

/// Whether a key has the length that its algorithm requires. The cryptographic library may rely on it.
fn is_whole(algorithm: Algorithm, key: &DecodingKey) -> bool {
    match (algorithm, key.kind()) {
        (Algorithm::RS256, DecodingKeyKind::RsaModulusExponent { n, .. }) => n.len() >= RSA_MODULUS_MIN_BYTES,
        (Algorithm::ES256, DecodingKeyKind::SecretOrDer(point)) => point.len() == 65,
        (Algorithm::EdDSA, DecodingKeyKind::SecretOrDer(point)) => point.len() == 32,
        _ => false,
    }
}

/// A snapshot of the keys, with the tokens that were verified by them.
#[derive(Default)]
pub(super) struct Trusted {
    keys: Vec<Key>,
    pub verified: Verified,
}

impl Trusted {
    pub fn knows(&self, issuer: &str) -> bool {
        self.keys.iter().any(|key| &*key.issuer == issuer)
    }

    /// The key of the issuer with this id; without an id, the only one for this algorithm.
    pub fn key(&self, issuer: &str, algorithm: Algorithm, id: Option<&str>) -> Option<&Key> {
        let fits = |key: &&Key| &*key.issuer == issuer && key.algorithm == algorithm;
        let mut fitting = self.keys.iter().filter(fits).filter(|key| id.is_none() || key.id.as_deref() == id);
        fitting.next().filter(|key| fitting.all(|other| other.is(key)))
    }

    /// Whether a key proves a token with this subject, which is for calls of one context or not. One key may have
    /// several holders, as in a process that has its own certificate in the file.
    pub fn proves(&self, key: &Key, subject: &str, is_for_context: bool) -> bool {
        self.keys.iter().any(|known| known.is(key) && known.holder.proves(subject, is_for_context))
    }
}

/// The current keys, refreshed in the background.
pub(super) struct Keyring {
    current: RwLock<Arc<Trusted>>,
    wanted: Notify,
}

impl Keyring {
    /// Reads all sources; each must have a key. The task keeps the keys fresh for as long as its handle lives.
    pub async fn open(trust: Vec<Trust>) -> Result<(Arc<Keyring>, AbortOnDropHandle<()>), KeysError> {
        if trust.is_empty() {
            return Err(KeysError::NoTrust);
        }
        let mut sources = Vec::new();
        for trust in trust {
            let issuer: Arc<str> = trust.issuer.into();
            let mut source = Source { issuer, holder: trust.holder, place: trust.keys, keys: Vec::new() };
            source.keys = source.load().await?;
            sources.push(source);
        }
        let ring = Arc::new(Keyring { current: RwLock::default(), wanted: Notify::new() });
        ring.swap(&sources);
        let state = (ring.clone(), sources);
        let task = tokio::spawn(supervise("server", "refresh of keys", state, |(ring, sources)| {
            Box::pin(ring.keep_fresh(sources))
        }));
        Ok((ring, AbortOnDropHandle::new(task)))
    }

    pub fn current(&self) -> Arc<Trusted> {
        self.current.read().unwrap_or_else(|poisoned| poisoned.into_inner()).clone()
    }

    /// Requests a refresh: a token named an unknown key.
    pub fn want_fresh(&self) {
        self.wanted.notify_one();
    }

    fn swap(&self, sources: &[Source]) {
        let mut keys: Vec<Key> = Vec::new();
        for key in sources.iter().flat_map(|source| &source.keys) {
            // Two sources may have one key, as when the product's own key stands in a file too.
            if !keys.iter().any(|known| known.is(key) && known.holder == key.holder) {
                keys.push(key.clone());
            }
        }
        let fresh = Arc::new(Trusted { keys, ..Trusted::default() });
        *self.current.write().unwrap_or_else(|poisoned| poisoned.into_inner()) = fresh;
    }

    async fn keep_fresh(&self, sources: &mut [Source]) {
        loop {
            // A request during the pause takes effect at its end.
            tokio::time::sleep(REFRESH_PAUSE).await;
            let _ = tokio::time::timeout(REFRESH_EACH - REFRESH_PAUSE, self.wanted.notified()).await;
            for source in &mut *sources {
                match source.load().await {
                    Ok(keys) => source.keys = keys,
                    Err(error) => tracing::warn!(issuer = &*source.issuer, %error, "keeping the previous keys"),
                }
            }
            self.swap(sources);
        }
    }
}

struct Source {
    issuer: Arc<str>,
    holder: Holder,
    place: KeySource,
    keys: Vec<Key>,
}

impl Source {
    async fn load(&self) -> Result<Vec<Key>, KeysError> {
        let place = || self.place.to_string();
        let unreadable = |cause: String| KeysError::Unreadable { place: place(), cause };
        let read = async |path: &Path| tokio::fs::read(path).await.map_err(|error| unreadable(error.to_string()));
        let parse = |json: &[u8]| serde_json::from_slice(json).map_err(|error| unreadable(error.to_string()));
        let set: JwkSet = match &self.place {
            KeySource::Given(set) => set.clone(),
            KeySource::File(path) => parse(&read(path).await?)?,
            KeySource::Url(url) => parse(&fetch(url.clone()).await.map_err(unreadable)?)?,
            KeySource::Certificates(path) => {
                let named = certificates::keys(&read(path).await?);
                let named = named.map_err(|cause| KeysError::Certificates { place: place(), cause })?;
                return Ok(named.iter().filter_map(|(holder, jwk)| Key::new(&self.issuer, holder, jwk)).collect());
            }
        };
        let keys: Vec<_> = set.keys.iter().filter_map(|jwk| Key::new(&self.issuer, &self.holder, jwk)).collect();
        if keys.is_empty() { Err(KeysError::NoneFits { place: place() }) } else { Ok(keys) }
    }
}

async fn fetch(url: reqwest::Url) -> Result<Vec<u8>, String> {
    // The process may have installed a cryptographic provider already; then that is used.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().timeout(FETCH_LIMIT).redirect(reqwest::redirect::Policy::none());
    let answered = async { client.build()?.get(url).send().await?.error_for_status() };
    let mut response = answered.await.map_err(with_causes)?;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(with_causes)? {
        body.extend_from_slice(&chunk);
        if body.len() > JWKS_MAX_BYTES {
            return Err(format!("it has more than {JWKS_MAX_BYTES} bytes"));
        }
    }
    Ok(body)
}

/// reqwest's errors contain the cause, such as a refused connection, only in their sources. They contain the URL, which
/// is named already.
fn with_causes(error: reqwest::Error) -> String {
    let error = error.without_url();
    let causes = std::iter::successors(std::error::Error::source(&error), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
