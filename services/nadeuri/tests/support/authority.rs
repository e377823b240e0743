//! A certificate authority of a test, for servers and callers on this machine.

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tonic::transport::{Certificate, ClientTlsConfig, Identity};

/// An authority.
pub struct Authority {
    /// Its certificate, in PEM.
    pub certificate: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// A new one.
    pub fn new() -> Authority {
        let (mut params, key) = (CertificateParams::default(), KeyPair::generate().unwrap());
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap().pem();
        Authority { certificate, issuer: Issuer::new(params, key) }
    }

    /// A new certificate of loopback, and its key, in PEM.
    pub fn issue(&self) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(["127.0.0.1".to_owned(), "localhost".to_owned()]).unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }

    /// The settings of a client that knows this authority and has a certificate of it.
    pub fn client(&self) -> ClientTlsConfig {
        let (certificate, key) = self.issue();
        let config = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(&self.certificate));
        config.identity(Identity::from_pem(certificate, key))
    }
}
