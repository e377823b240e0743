//! Authentication with a key for each context: whose tokens a key proves.

#![expect(clippy::unwrap_used, reason = "what a helper can't do fails its test")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use chassis::auth::{AuthError, Caller, Holder, JwtSettings, Roles, Signer, Trust, Verifier};
use chassis::clock::Timestamp;
use contracts::Role;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519};
use tempfile::TempDir;

const AUDIENCE: &str = "nadeuri";
const MINUTE: Duration = Duration::from_secs(60);
const NOW: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);

/// A key with its certificate.
struct Identity {
    certificate: String,
    signer: Signer,
}

impl Identity {
    fn new(name: &str) -> Identity {
        let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&file, key.serialize_pem()).unwrap();
        let signer = Signer::open(file.path(), AUDIENCE).unwrap();
        Identity { certificate: certificate(name, &key), signer }
    }

    /// The token of a call from one context to another, as this key signs it.
    fn call(&self, from: &'static str, to: &'static str) -> String {
        let authorization = self.signer.service_authorization(from, to, NOW).unwrap();
        authorization.to_str().unwrap().strip_prefix("Bearer ").unwrap().to_owned()
    }

    fn person(&self, name: &str) -> String {
        self.signer.token(name, Roles::all(), MINUTE, NOW).unwrap()
    }
}

/// A certificate that was never valid.
fn certificate(name: &str, key: &KeyPair) -> String {
    let mut certificate = CertificateParams::default();
    certificate.distinguished_name = DistinguishedName::new();
    certificate.distinguished_name.push(DnType::CommonName, name);
    (certificate.not_before, certificate.not_after) =
        (rcgen::date_time_ymd(1999, 1, 1), rcgen::date_time_ymd(1999, 1, 1));
    certificate.self_signed(key).unwrap().pem()
}

fn written(certificates: &[&str]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("identities.pem");
    std::fs::write(&path, certificates.concat()).unwrap();
    (folder, path)
}

async fn started(trust: Vec<Trust>) -> Result<Verifier, String> {
    let settings = JwtSettings { trust, audience: AUDIENCE.to_owned(), roles_claim: "roles".to_owned() };
    Verifier::start(settings).await.map_err(|error| error.to_string())
}

/// The verifier of a process with these keys.
async fn verifier(identities: &Path, own: &Identity, serves: &[&str]) -> Verifier {
    let serves = Holder::Contexts(serves.iter().map(|name| (*name).to_owned()).collect());
    started(vec![own.signer.trust(serves), Trust::certificates(identities)]).await.unwrap()
}

#[tokio::test]
async fn a_context_is_believed_only_what_its_own_key_signed() {
    let [rental, mypage, payment] = ["rental", "mypage", "payment"].map(Identity::new);
    let (_folder, path) = written(&[&rental.certificate, &mypage.certificate, &payment.certificate]);
    let at_payment = verifier(&path, &payment, &["payment"]).await;
    let until = NOW + Duration::from_secs(300 + 30);
    assert_eq!(
        at_payment.verify(&rental.call("rental", "payment"), NOW),
        Ok(Caller::service("rental").calling("payment").until(until))
    );
    assert!(at_payment.verify(&payment.call("payment", "wallet"), NOW).is_ok(), "its own certificate may be there");
    for (signer, from) in [(&mypage, "rental"), (&payment, "rental"), (&rental, "payment"), (&mypage, "nadeuri")] {
        assert_eq!(at_payment.verify(&signer.call(from, "payment"), NOW), Err(AuthError::Holder), "{from}");
    }
    let stranger = Identity::new("rental");
    assert_eq!(at_payment.verify(&stranger.call("rental", "payment"), NOW), Err(AuthError::UnknownKey));
}

#[tokio::test]
async fn the_key_of_a_context_proves_no_people_and_that_of_the_operators_nothing_else() {
    let [rental, payment, operators] = ["rental", "payment", "nadeuri"].map(Identity::new);
    let (_folder, path) = written(&[&rental.certificate, &operators.certificate]);
    let at_payment = verifier(&path, &payment, &["payment"]).await;
    for signer in [&rental, &payment] {
        for name in ["mina", "rental", "payment", "nadeuri"] {
            assert_eq!(at_payment.verify(&signer.person(name), NOW), Err(AuthError::Holder), "{name}");
        }
    }
    let boss = at_payment.verify(&operators.person("boss"), NOW).unwrap();
    assert_eq!((boss.subject(), boss.roles()), ("boss", Roles::all().without(Role::Service)));
    assert_eq!(at_payment.verify(&operators.call("rental", "payment"), NOW), Err(AuthError::Holder));
}

#[tokio::test]
async fn a_process_of_several_contexts_signs_for_them_alone() {
    let [both, mypage] = ["both", "mypage"].map(Identity::new);
    let (_folder, path) = written(&[&mypage.certificate]);
    let verifier = verifier(&path, &both, &["rental", "payment"]).await;
    for (from, to) in [("rental", "payment"), ("payment", "rental")] {
        assert!(verifier.verify(&both.call(from, to), NOW).is_ok(), "{from}");
    }
    assert_eq!(verifier.verify(&both.call("mypage", "payment"), NOW), Err(AuthError::Holder));
}

#[tokio::test(start_paused = true)]
async fn a_key_is_replaced_while_contexts_run() {
    let [old, new, payment] = ["rental", "rental", "payment"].map(Identity::new);
    let (_folder, path) = written(&[&old.certificate, &new.certificate]);
    let verifier = verifier(&path, &payment, &["payment"]).await;
    let [by_old, by_new] = [&old, &new].map(|key| key.call("rental", "payment"));
    assert!(verifier.verify(&by_old, NOW).is_ok() && verifier.verify(&by_new, NOW).is_ok());

    std::fs::write(&path, &new.certificate).unwrap();
    tokio::time::sleep(Duration::from_secs(2 * 3600)).await;
    assert_eq!(verifier.verify(&by_old, NOW), Err(AuthError::UnknownKey), "although it was remembered");
    assert!(verifier.verify(&by_new, NOW).is_ok());
}

#[tokio::test]
async fn certificates_of_openssl_are_read() {
    let (_folder, path) = written(&[include_str!("keys/payment.crt")]);
    let verifier = started(vec![Trust::certificates(&path)]).await.unwrap();
    let key = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/keys/payment.pem");
    let signer = Signer::open(&key, AUDIENCE).unwrap();
    let authorization = signer.service_authorization("payment", "rental", NOW).unwrap();
    let token = authorization.to_str().unwrap().strip_prefix("Bearer ").unwrap();
    assert!(verifier.verify(token, NOW).unwrap().is("payment"));
}

#[tokio::test]
async fn certificates_that_can_not_be_used_stop_the_start_and_are_told_apart() {
    let ec = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let good = Identity::new("rental").certificate;
    for (certificates, says) in [
        (vec![], "there is none"),
        (vec![&good, &certificate("payment", &ec)], "the key of number 2 (payment) is not Ed25519"),
        (vec![&good, &certificate("", &KeyPair::generate_for(&PKCS_ED25519).unwrap())], "number 2 has no name (CN)"),
        (vec![&good.replace("MI", "MA")], "number 1 is none"),
    ] {
        let certificates: Vec<&str> = certificates.iter().map(|pem| pem.as_str()).collect();
        let (_folder, path) = written(&certificates);
        let error = started(vec![Trust::certificates(&path)]).await.unwrap_err();
        assert!(error.contains(says) && error.contains("openssl req -x509"), "{error}");
    }
    let error = started(vec![Trust::certificates(Path::new("/nowhere/identities.pem"))]).await.unwrap_err();
    assert!(error.contains("/nowhere/identities.pem can't be read"), "{error}");
}
