//! Checks tokens (JWT, RFC 7519): algorithm, issuer, key, signature, audience, times, subject; then reads the roles.
//!
//! Verified tokens are cached until they expire, because a signature check costs a hundred times as much as the rest of
//! a call.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use contracts::Role;
use jsonwebtoken::dangerous::insecure_decode_claims;
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::{Algorithm, decode, decode_header};
use serde::Deserialize;
use serde_json::{Map, Value};
use tokio_util::task::AbortOnDropHandle;

use super::keys::{Grant, Key, Keyring, KeysError, Trust, Trusted};
use super::signer::ISSUER;
use super::verified::LEEWAY_SECONDS;
use super::{AuthError, Caller, Roles};
use crate::clock::Timestamp;

const TOKEN_MAX_BYTES: usize = 8 * 1024;

/// Which tokens are accepted.
#[derive(Clone, Debug)]
pub struct JwtSettings {
    /// The trusted issuers. Their keys are read when the verifier starts.
    pub trust: Vec<Trust>,
    /// The audience, which `aud` must name.
    pub audience: String,
    /// The claim that lists the roles: a name such as `roles`, or a JSON pointer such as `/realm_access/roles`.
    pub roles_claim: String,
}

/// Checks tokens.
#[derive(Clone)]
pub struct Verifier {
    ring: Arc<Keyring>,
    grants: Arc<HashMap<String, Grant>>,
    audience: Arc<str>,
    roles_claim: Arc<str>,
    _refresh: Arc<AbortOnDropHandle<()>>,
}

impl Verifier {
    /// Reads the keys, and keeps them fresh in the background.
    pub async fn start(settings: JwtSettings) -> Result<Verifier, KeysError> {
        let grants = settings.trust.iter().map(|trust| (trust.issuer.clone(), trust.grant.clone())).collect();
        let (ring, refresh) = Keyring::open(settings.trust).await?;
        Ok(Verifier {
            ring,
            grants: Arc::new(grants),
            audience: settings.audience.into(),
            roles_claim: settings.roles_claim.into(),
            _refresh: Arc::new(refresh),
        })
    }

    /// The caller of a token. No issuer of users can make a caller a context.
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<Caller, AuthError> {
        let now_seconds = now.micros() as f64 / 1e6;
        let trusted = self.ring.current();
        if let Some(caller) = trusted.verified.get(token, now_seconds) {
            return Ok(caller);
        }
        let (issuer, key, claims) = self.check(&trusted, token)?;
        if claims.exp + LEEWAY_SECONDS <= now_seconds {
            return Err(AuthError::Expired);
        }
        if claims.nbf.is_some_and(|nbf| nbf - LEEWAY_SECONDS > now_seconds) {
            return Err(AuthError::NotYetValid);
        }
        let Grant { roles: granted, prefix } = self.grants.get(&issuer).ok_or(AuthError::Issuer)?;
        let callee = self.callee(&claims.aud, &issuer).ok_or(AuthError::Audience)?;
        if !trusted.proves(key, &claims.sub, callee.is_some()) {
            return Err(AuthError::Holder);
        }
        let roles = self.roles(&claims.others).and(*granted);
        // A token of a context is for one other context, and proves nothing else; no other token is one of a context.
        let contexts = [Role::Service].into_iter().collect();
        let roles = if callee.is_some() { roles.and(contexts) } else { roles.without(Role::Service) };
        // The prefix alone would be the caller of every token without a subject.
        let subject = Some(&claims.sub).filter(|sub| !sub.is_empty()).map(|sub| format!("{prefix}{sub}"));
        let subject = subject.filter(|subject| !self.is_of_another(subject, prefix)).ok_or(AuthError::Subject)?;
        let caller = Caller::new(&subject, roles).ok_or(AuthError::Subject)?;
        let caller = match callee {
            Some(callee) => caller.calling(callee),
            None => caller,
        };
        let caller = caller.until(Timestamp::from_micros(((claims.exp + LEEWAY_SECONDS) * 1e6) as i64));
        trusted.verified.insert(token, &caller, claims.exp, now_seconds);
        Ok(caller)
    }

    /// The context that a token of the product's own is for, by its audience: `nadeuri/payment`; `Some(None)` if the token
    /// is for all contexts, `None` if it is for something else.
    fn callee<'a>(&self, audience: &'a Audience, issuer: &str) -> Option<Option<&'a str>> {
        let named = match audience {
            Audience::One(one) => std::slice::from_ref(one),
            Audience::Several(several) => several,
        };
        if named.iter().any(|name| **name == *self.audience) {
            return Some(None);
        }
        let callees = named.iter().filter_map(|name| name.strip_prefix(&*self.audience)?.strip_prefix('/'));
        callees.filter(|_| issuer == ISSUER).map(Some).next()
    }

    /// Whether a subject with this prefix reads like one of an issuer whose prefix is longer.
    fn is_of_another(&self, subject: &str, prefix: &str) -> bool {
        let mut longer = self.grants.values().filter(|other| other.prefix.len() > prefix.len());
        longer.any(|other| subject.starts_with(&other.prefix))
    }

    /// Checks all but the times.
    fn check<'t>(&self, trusted: &'t Trusted, token: &str) -> Result<(String, &'t Key, Claims), AuthError> {
        if token.len() > TOKEN_MAX_BYTES {
            return Err(AuthError::Malformed);
        }
        let header = decode_header(token).map_err(|_| AuthError::Malformed)?;
        if !matches!(header.alg, Algorithm::RS256 | Algorithm::ES256 | Algorithm::EdDSA) {
            return Err(AuthError::Algorithm);
        }
        if header.crit.is_some() {
            // RFC 7515: critical headers that are not understood must be refused.
            return Err(AuthError::Malformed);
        }
        // Not verified yet: it only selects a key, and each key proves one issuer.
        let Claimed { iss } = insecure_decode_claims(token).map_err(|_| AuthError::Malformed)?;
        let Some(key) = trusted.key(&iss, header.alg, header.kid.as_deref()) else {
            if !trusted.knows(&iss) {
                return Err(AuthError::Issuer);
            }
            self.ring.want_fresh();
            return Err(AuthError::UnknownKey);
        };
        Ok((iss, key, decode(token, &key.decoding, &key.validation)?.claims))
    }

    fn roles(&self, claims: &Map<String, Value>) -> Roles {
        let claim = match self.roles_claim.strip_prefix('/') {
            None => claims.get(&*self.roles_claim),
            Some(path) => {
                let (first, rest) = path.split_at(path.find('/').unwrap_or(path.len()));
                claims.get(first).and_then(|claim| claim.pointer(rest))
            }
        };
        Roles::named(claim.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str))
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").field("roles_claim", &self.roles_claim).finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Claimed {
    iss: String,
}

/// The claim `aud` is one name or several.
#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

/// Times are seconds since the epoch, which may have fractions.
#[derive(Deserialize)]
struct Claims {
    sub: String,
    aud: Audience,
    exp: f64,
    nbf: Option<f64>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

impl From<Error> for AuthError {
    fn from(error: Error) -> AuthError {
        match error.kind() {
            ErrorKind::InvalidSignature => AuthError::Signature,
            ErrorKind::InvalidIssuer => AuthError::Issuer,
            ErrorKind::InvalidAudience => AuthError::Audience,
            ErrorKind::InvalidAlgorithm => AuthError::Algorithm,
            _ => AuthError::Malformed,
        }
    }
}
