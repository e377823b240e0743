//! Makes tokens: for calls between contexts, and for developers. Ed25519, because it is small, fast and hard to misuse.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use contracts::Role;
use ed25519_dalek::pkcs8::{DecodePrivateKey, EncodePrivateKey};
use ed25519_dalek::{SigningKey, VerifyingKey};
use jsonwebtoken::jwk::{Jwk, JwkSet, PublicKeyUse, ThumbprintHash};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, encode};
use serde::Serialize;
use tonic::metadata::{Ascii, MetadataValue};

use super::keys::{Grant, Holder, KeySource, Trust};
use super::{Caller, Roles};
use crate::clock::Timestamp;

/// The issuer of the tokens that this product makes itself.
pub const ISSUER: &str = "nadeuri";

const SERVICE_TOKEN_LIFE: Duration = Duration::from_secs(300);
/// How long before its expiry a service token is replaced.
const SERVICE_TOKEN_SPARE: Duration = Duration::from_secs(60);

/// Makes tokens.
pub struct Signer {
    key: EncodingKey,
    public: Jwk,
    header: Header,
    audience: String,
    service_tokens: Mutex<HashMap<(&'static str, &'static str), ServiceToken>>,
}

struct ServiceToken {
    authorization: MetadataValue<Ascii>,
    replace_at: Timestamp,
}

/// A token can't be made.
#[derive(Debug, thiserror::Error)]
pub enum SignerError {
    /// The file does not exist or can't be read.
    #[error("the key {path} can't be used: {cause}; make one with `openssl genpkey -algorithm ed25519`")]
    Key {
        /// Which file.
        path: PathBuf,
        /// Why.
        cause: String,
    },
    /// A file can't be written.
    #[error("{path} can't be written: {cause}; choose a folder of your own")]
    Write {
        /// Which file.
        path: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// The subject is not acceptable.
    #[error(transparent)]
    Subject(#[from] super::AuthError),
    /// The cryptography failed.
    #[error("the token can't be signed: {0}")]
    Sign(#[from] jsonwebtoken::errors::Error),
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    aud: &'a str,
    sub: &'a str,
    iat: i64,
    exp: i64,
    roles: Vec<String>,
}

impl Signer {
    /// Signs with the Ed25519 key in a PEM file (PKCS #8), for an audience.
    pub fn open(path: &Path, audience: &str) -> Result<Signer, SignerError> {
        let unusable = |cause: String| SignerError::Key { path: path.to_owned(), cause };
        let pem = std::fs::read_to_string(path).map_err(|error| unusable(error.to_string()))?;
        let key =
            SigningKey::from_pkcs8_pem(&pem).map_err(|_| unusable("it is not an Ed25519 key in PKCS #8".into()))?;
        Signer::new(&key, audience).map_err(|error| unusable(error.to_string()))
    }

    fn new(key: &SigningKey, audience: &str) -> Result<Signer, jsonwebtoken::errors::Error> {
        let der = key.to_pkcs8_der().map_err(|_| jsonwebtoken::errors::ErrorKind::InvalidEddsaKey)?;
        let public = public_jwk(&key.verifying_key())?;
        let header = Header { kid: public.common.key_id.clone(), ..Header::new(Algorithm::EdDSA) };
        let (key, audience) = (EncodingKey::from_ed_der(der.as_bytes()), audience.to_owned());
        Ok(Signer { key, public, header, audience, service_tokens: Mutex::default() })
    }

    /// A token with this subject and these roles, valid for `life`.
    pub fn token(&self, subject: &str, roles: Roles, life: Duration, now: Timestamp) -> Result<String, SignerError> {
        self.token_for(&self.audience, subject, roles, life, now)
    }

    fn token_for(
        &self,
        audience: &str,
        subject: &str,
        roles: Roles,
        life: Duration,
        now: Timestamp,
    ) -> Result<String, SignerError> {
        let caller = Caller::new(subject, roles).ok_or(super::AuthError::Subject)?;
        let seconds = |time: Timestamp| time.micros().div_euclid(1_000_000);
        let claims = Claims {
            iss: ISSUER,
            aud: audience,
            sub: caller.subject(),
            iat: seconds(now),
            exp: seconds(now + life),
            roles: roles.names().collect(),
        };
        Ok(encode(&self.header, &claims, &self.key)?)
    }

    /// The `authorization` of calls from one context to another: `Bearer …`, with a new token every few minutes.
    pub fn service_authorization(
        &self,
        from: &'static str,
        to: &'static str,
        now: Timestamp,
    ) -> Result<MetadataValue<Ascii>, SignerError> {
        let mut tokens = self.service_tokens.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(token) = tokens.get(&(from, to)).filter(|token| now < token.replace_at) {
            return Ok(token.authorization.clone());
        }
        let (audience, roles) = (format!("{}/{to}", self.audience), [Role::Service].into_iter().collect());
        let token = self.token_for(&audience, from, roles, SERVICE_TOKEN_LIFE, now)?;
        let authorization = MetadataValue::try_from(format!("Bearer {token}"));
        let mut authorization = authorization.map_err(|_| super::AuthError::Malformed)?;
        authorization.set_sensitive(true);
        let replace_at = now + (SERVICE_TOKEN_LIFE - SERVICE_TOKEN_SPARE);
        tokens.insert((from, to), ServiceToken { authorization: authorization.clone(), replace_at });
        Ok(authorization)
    }

    /// The public key, for servers that trust these tokens.
    pub fn public_keys(&self) -> JwkSet {
        JwkSet { keys: vec![self.public.clone()] }
    }

    /// The trust in this key as that of its holder.
    pub fn trust(&self, holder: Holder) -> Trust {
        let keys = KeySource::Given(self.public_keys());
        Trust { issuer: ISSUER.to_owned(), keys, holder, grant: Grant::of(ISSUER) }
    }
}

/// A public key, with the id by which tokens name it.
pub(super) fn public_jwk(key: &VerifyingKey) -> Result<Jwk, jsonwebtoken::errors::Error> {
    let mut public = Jwk::from_decoding_key(&DecodingKey::from_ed_der(key.as_bytes()), Some(Algorithm::EdDSA))?;
    public.common.public_key_use = Some(PublicKeyUse::Signature);
    public.common.key_id = Some(public.thumbprint(ThumbprintHash::SHA256)?);
    Ok(public)
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer")
            .field("kid", &self.header.kid)
            .field("audience", &self.audience)
            .finish_non_exhaustive()
    }
}
