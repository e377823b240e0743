//! A key for each context and one for the operators, as in a cluster with a process for each context.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use chassis::auth::{ISSUER, Roles, Signer};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_ED25519};

/// Longer than any test.
const LIFE: Duration = Duration::from_secs(12 * 3_600);

/// The keys, and the tokens that they signed.
pub struct Identities {
    signers: BTreeMap<String, Signer>,
    tokens: Mutex<HashMap<(String, &'static str), Option<String>>>,
}

impl Identities {
    /// Makes a key for each of these processes and for the operators, with a file that has the name of its first context
    /// (`payment.pem`, `nadeuri.pem`), and one file of all certificates (`identities.pem`).
    pub fn create<'a>(folder: &Path, processes: impl Iterator<Item = &'a [&'static str]>) -> Identities {
        std::fs::create_dir_all(folder).unwrap();
        let (mut signers, mut certificates) = (BTreeMap::new(), String::new());
        for names in processes.chain([[ISSUER].as_slice()]) {
            let (key, path) = (KeyPair::generate_for(&PKCS_ED25519).unwrap(), folder.join(format!("{}.pem", names[0])));
            std::fs::write(&path, key.serialize_pem()).unwrap();
            for name in names {
                certificates += &certificate(name, &key);
                signers.insert((*name).to_owned(), Signer::open(&path, "nadeuri").unwrap());
            }
        }
        std::fs::write(folder.join("identities.pem"), certificates).unwrap();
        Identities { signers, tokens: Mutex::default() }
    }

    /// The token of a person, which the operators' key signed; `None` if no token can have such a subject.
    pub fn person(&self, name: &str, roles: &'static str) -> Option<String> {
        let mut tokens = self.tokens.lock().unwrap();
        let sign = || self.signers[ISSUER].token(name, Roles::named(roles.split(',')), LIFE, super::now()).ok();
        tokens.entry((name.to_owned(), roles)).or_insert_with(sign).clone()
    }

    /// The token for a call of one context to another, which the key of `signer` signed.
    pub fn call(&self, signer: &str, from: &'static str, to: &'static str) -> String {
        let authorization = self.signers[signer].service_authorization(from, to, super::now()).unwrap();
        authorization.to_str().unwrap().strip_prefix("Bearer ").unwrap().to_owned()
    }
}

fn certificate(name: &str, key: &KeyPair) -> String {
    let mut certificate = CertificateParams::default();
    certificate.distinguished_name = DistinguishedName::new();
    certificate.distinguished_name.push(DnType::CommonName, name);
    certificate.self_signed(key).unwrap().pem()
}
