//! Files of certificates: read, refused, and read again.

use std::fs;

use rcgen::{CertificateParams, KeyPair};
use tempfile::TempDir;

use super::*;

/// A folder with a certificate and its key.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Folder {
        let folder = Folder(tempfile::tempdir().unwrap());
        folder.renew();
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a new pair.
    fn renew(&self) {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
        fs::write(self.path("key.pem"), key.serialize_pem()).unwrap();
        fs::write(self.path("cert.pem"), certificate.pem()).unwrap();
    }

    pub(crate) fn files(&self) -> Files {
        Files { identity: Some((self.path("cert.pem"), self.path("key.pem"))), ..Files::default() }
    }
}

async fn refusal(files: Files) -> String {
    Tls::start(files).await.unwrap_err().to_string()
}

#[tokio::test]
async fn files_that_can_not_be_used_are_named_at_the_start() {
    let (folder, other) = (Folder::new(), Folder::new());
    let missing = folder.path("missing.pem");
    let (certificate, key) = folder.files().identity.unwrap();
    let with = |certificate: &Path, key: &Path| Files {
        identity: Some((certificate.to_owned(), key.to_owned())),
        ..Files::default()
    };
    let refused = refusal(with(&missing, &key)).await;
    assert!(refused.starts_with("--tls-cert") && refused.contains("missing.pem can't be read"), "{refused}");
    let refused = refusal(with(&certificate, &certificate)).await;
    assert!(refused.starts_with("--tls-key must be a PEM file with a private key"), "{refused}");
    let refused = refusal(with(&key, &key)).await;
    assert!(refused.starts_with("--tls-cert must be a PEM file with a certificate"), "{refused}");
    let refused = refusal(with(&certificate, &other.path("key.pem"))).await;
    assert!(refused.starts_with("--tls-cert and --tls-key do not fit together"), "{refused}");
    for (option, files) in [
        ("--ca", Files { ca: Some(key.clone()), ..Files::default() }),
        ("--tls-client-ca", Files { client_ca: Some(key.clone()), ..folder.files() }),
    ] {
        let refused = refusal(files).await;
        assert!(refused.starts_with(&format!("{option} must be a PEM file with a certificate")), "{refused}");
    }
}

#[tokio::test]
async fn a_bad_new_pair_is_not_used_and_the_next_good_one_is() {
    let folder = Folder::new();
    let (mut reload, current) = Reload::start(folder.files()).await.unwrap();
    let in_use = || current.borrow().contents.clone();
    let first = in_use();
    reload.look().await;
    assert!(!current.has_changed().unwrap(), "the files are the same");

    // Between the writes of the two files they do not fit together.
    let key = fs::read(folder.path("key.pem")).unwrap();
    folder.renew();
    let next = fs::read(folder.path("key.pem")).unwrap();
    fs::write(folder.path("key.pem"), key).unwrap();
    reload.look().await;
    assert!(reload.refused.as_ref().unwrap().contains("do not fit together"));
    fs::remove_file(folder.path("key.pem")).unwrap();
    reload.look().await;
    assert!(reload.refused.as_ref().unwrap().contains("can't be read"));
    assert!(in_use() == first, "the first pair stays");

    fs::write(folder.path("key.pem"), next).unwrap();
    reload.look().await;
    assert!(reload.refused.is_none() && in_use() != first && current.borrow().version == 1);
}

#[tokio::test(start_paused = true)]
async fn changed_files_are_used_without_a_restart() {
    let folder = Folder::new();
    let mut tls = Tls::start(folder.files()).await.unwrap();
    let start = tokio::time::Instant::now();
    folder.renew();
    tls.changed().await;
    assert_eq!((tls.version(), start.elapsed().as_secs()), (1, RELOAD_EACH.as_secs()));
}
