//! The keys of contexts, from a PEM file with a self-signed X.509 certificate for each.
//!
//! A certificate is here the simplest file that has a public key and a name: tools make it together with the private
//! key. Nothing but these two is read. Signature and validity do not count, because who can write the file could as well
//! replace it: a key is valid as long as its certificate is in the file.

use ed25519_dalek::VerifyingKey;
use ed25519_dalek::pkcs8::spki::DecodePublicKey as _;
use jsonwebtoken::jwk::Jwk;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use x509_cert::Certificate;
use x509_cert::der::asn1::{PrintableStringRef, Utf8StringRef};
use x509_cert::der::oid::ObjectIdentifier;
use x509_cert::der::{Decode as _, Encode as _, Tag, Tagged as _};

use super::ISSUER;
use super::keys::Holder;
use super::signer::public_jwk;

/// The attribute `commonName` (X.520).
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");

/// The key of each certificate, with its holder. Names may repeat, for keys that replace each other.
pub(super) fn keys(pem: &[u8]) -> Result<Vec<(Holder, Jwk)>, String> {
    let certificates: Vec<_> =
        CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(|e| e.to_string())?;
    if certificates.is_empty() {
        return Err("there is none".to_owned());
    }
    certificates.iter().enumerate().map(|(index, certificate)| named(index + 1, certificate)).collect()
}

fn named(number: usize, certificate: &[u8]) -> Result<(Holder, Jwk), String> {
    let certificate =
        Certificate::from_der(certificate).map_err(|error| format!("number {number} is none: {error}"))?;
    let name = common_name(&certificate).ok_or_else(|| format!("number {number} has no name (CN)"))?;
    let key = certificate.tbs_certificate.subject_public_key_info.to_der();
    let key = key.ok().and_then(|der| VerifyingKey::from_public_key_der(&der).ok());
    let key = key.and_then(|key| public_jwk(&key).ok());
    let key = key.ok_or_else(|| format!("the key of number {number} ({name}) is not Ed25519"))?;
    let holder = if name == ISSUER { Holder::People } else { Holder::Contexts([name].into()) };
    Ok((holder, key))
}

fn common_name(certificate: &Certificate) -> Option<String> {
    let mut attributes = certificate.tbs_certificate.subject.0.iter().flat_map(|names| names.0.iter());
    let value = &attributes.find(|attribute| attribute.oid == COMMON_NAME)?.value;
    let text = match value.tag() {
        Tag::PrintableString => value.decode_as::<PrintableStringRef<'_>>().ok()?.as_str(),
        _ => value.decode_as::<Utf8StringRef<'_>>().ok()?.as_str(),
    };
    Some(text.to_owned()).filter(|name| !name.is_empty())
}
