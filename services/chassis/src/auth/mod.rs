//! Authentication: the subject and roles of a caller, from a signed token.
//!
//! [`Verifier`] checks tokens against the public keys of the issuers that are trusted, [`Signer`] makes the tokens of
//! contexts and developers. [`access`](crate::access) is the authorization.
//!
//! **Invariant**: a key proves only tokens of its own issuer, and of its [`Holder`]. A token that claims another issuer, or
//! another context, is refused, whoever signed it.

mod certificates;
mod dev;
mod keys;
mod roles;
mod signer;
mod verified;
mod verifier;

use std::sync::Arc;

use contracts::Role;
use http::HeaderMap;
use http::header::AUTHORIZATION;

pub use dev::DevKey;
pub use keys::{Grant, Holder, KeySource, KeysError, Trust};
pub use roles::Roles;
pub use signer::{ISSUER, Signer, SignerError};
pub use verifier::{JwtSettings, Verifier};

use crate::clock::Timestamp;

/// The longest subject, in bytes.
const SUBJECT_MAX: usize = 128;

/// The caller of an RPC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    subject: Arc<str>,
    roles: Roles,
    names_roles: bool,
    expires_at: Option<Timestamp>,
    callee: Option<Arc<str>>,
}

impl Caller {
    /// A caller; `None` unless the subject has 1 to 128 characters, all of them printable.
    pub fn new(subject: &str, roles: Roles) -> Option<Caller> {
        let is_right = (1..=SUBJECT_MAX).contains(&subject.len()) && !subject.chars().any(char::is_control);
        is_right.then(|| Caller { subject: subject.into(), roles, names_roles: true, expires_at: None, callee: None })
    }

    /// A context of this product.
    pub fn service(name: &'static str) -> Caller {
        let roles = [Role::Service].into_iter().collect();
        Caller { subject: name.into(), roles, names_roles: true, expires_at: None, callee: None }
    }

    /// The same caller, with a token that expires.
    #[must_use]
    pub fn until(self, expires_at: Timestamp) -> Caller {
        Caller { expires_at: Some(expires_at), ..self }
    }

    /// The same caller, with a token for calls of one context alone.
    #[must_use]
    pub fn calling(self, callee: &str) -> Caller {
        Caller { callee: Some(callee.into()), ..self }
    }

    /// The only context that their token is for; `None` if it is for all.
    pub fn callee(&self) -> Option<&str> {
        self.callee.as_deref()
    }

    /// When their token expires; `None` if they have none.
    pub fn expires_at(&self) -> Option<Timestamp> {
        self.expires_at
    }

    /// Who they are: the `sub` of the token behind the prefix of its issuer.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The same, as a shared text.
    pub fn shared_subject(&self) -> Arc<str> {
        self.subject.clone()
    }

    /// Their roles.
    pub fn roles(&self) -> Roles {
        self.roles
    }

    /// Whether they said which roles they have. Without authentication, who says nothing has all.
    pub fn names_roles(&self) -> bool {
        self.names_roles
    }

    /// Whether they have the role.
    pub fn has(&self, role: Role) -> bool {
        self.roles.contains(role)
    }

    /// Whether this is their subject, such as the owner of a resource.
    pub fn is(&self, subject: &str) -> bool {
        &*self.subject == subject
    }
}

/// The way of authentication.
#[derive(Clone, Debug)]
pub enum Auth {
    /// Headers are trusted: `x-user` (default: `guest`) and `x-roles` (such as `customer,admin`; default: all). For a
    /// server that only this machine can reach.
    Off,
    /// By a signed token: `authorization: Bearer …`.
    Jwt(Verifier),
}

/// Why authentication failed. The texts say what to do, and nothing about keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// There is no token.
    #[error("there is no token; send the metadata `authorization: Bearer <token>`")]
    Missing,
    /// It is no JWT, or a required claim is missing.
    #[error("the token is malformed; send a signed JWT with iss, aud, sub and exp")]
    Malformed,
    /// Its signature algorithm is not accepted.
    #[error("the token's algorithm is not accepted; have it signed with RS256, ES256 or EdDSA")]
    Algorithm,
    /// Its issuer is not trusted.
    #[error("the token's issuer is not trusted here; get one from an issuer that is")]
    Issuer,
    /// It is signed with a key that the issuer has not published.
    #[error("the token's key is not one of its issuer's; get a new token, or try again in a minute if the key is new")]
    UnknownKey,
    /// Its key is that of another caller.
    #[error(
        "the token's key is not its subject's: a context signs tokens of its own name, each for one other context; get \
         tokens of people from an issuer of people"
    )]
    Holder,
    /// Its signature is wrong.
    #[error("the token's signature is wrong; get a new token")]
    Signature,
    /// It is for another audience.
    #[error("the token is for another audience; get one for this service")]
    Audience,
    /// It has expired.
    #[error("the token has expired; get a new one")]
    Expired,
    /// It is not valid yet.
    #[error("the token is not valid yet; check the clocks")]
    NotYetValid,
    /// Its subject is not acceptable.
    #[error("the subject, with the prefix of its issuer, must have 1 to {SUBJECT_MAX} bytes, all characters printable")]
    Subject,
}

impl Auth {
    /// Authenticates a request with these headers.
    pub fn caller(&self, headers: &HeaderMap, now: Timestamp) -> Result<Caller, AuthError> {
        match self {
            Auth::Off => believed(headers),
            Auth::Jwt(verifier) => verifier.verify(bearer(headers)?, now),
        }
    }
}

fn believed(headers: &HeaderMap) -> Result<Caller, AuthError> {
    let text = |name| headers.get(name).map(|value| value.to_str().map_err(|_| AuthError::Subject)).transpose();
    let named = text("x-roles")?.map(|names| Roles::named(names.split(',').map(str::trim)));
    let (names_roles, roles) = (named.is_some(), named.unwrap_or_else(Roles::all));
    let caller = Caller::new(text("x-user")?.unwrap_or("guest"), roles).ok_or(AuthError::Subject)?;
    Ok(Caller { names_roles, ..caller })
}

fn bearer(headers: &HeaderMap) -> Result<&str, AuthError> {
    let value = headers.get(AUTHORIZATION).ok_or(AuthError::Missing)?.to_str().map_err(|_| AuthError::Malformed)?;
    let (scheme, token) = value.split_once(' ').ok_or(AuthError::Missing)?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim()).ok_or(AuthError::Missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn believed_of(headers: &[(&'static str, &'static str)]) -> Result<Caller, AuthError> {
        let headers = headers.iter().map(|(name, value)| ((*name).parse().unwrap(), (*value).parse().unwrap()));
        Auth::Off.caller(&headers.collect(), Timestamp::from_micros(0))
    }

    #[test]
    fn without_auth_everybody_is_who_they_say() {
        let guest = believed_of(&[]).unwrap();
        assert!(guest.is("guest") && guest.has(Role::Admin) && guest.has(Role::Service));
        let rider = believed_of(&[("x-user", "rider-1"), ("x-roles", "customer, unknown")]).unwrap();
        assert!(rider.is("rider-1") && rider.has(Role::Customer) && !rider.has(Role::Admin));
    }

    #[test]
    fn a_subject_that_can_not_be_used_is_refused() {
        assert_eq!(believed_of(&[("x-user", "")]), Err(AuthError::Subject));
        assert_eq!(Caller::new(&"x".repeat(129), Roles::all()), None);
        assert_eq!(Caller::new("line\nbreak", Roles::all()), None);
    }
}
