//! A developer's key, generated on first use: `nadeuri token` signs tokens with it that a local server accepts.

use std::fs;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::EncodePrivateKey as _;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;

use super::signer::{Signer, SignerError};
use crate::private;

/// The files of a developer's key.
#[derive(Clone, Debug)]
pub struct DevKey {
    /// The private key, which only its owner can read.
    pub key: PathBuf,
    /// The public key, for the servers that trust it.
    pub jwks: PathBuf,
}

impl DevKey {
    /// The key of a folder.
    pub fn open_or_create(folder: &Path) -> Result<DevKey, SignerError> {
        let files = DevKey { key: folder.join("dev-key.pem"), jwks: folder.join("dev-jwks.json") };
        let at = |path: &Path| {
            let path = path.to_owned();
            move |cause| SignerError::Write { path, cause }
        };
        private::create_folder(folder).map_err(at(folder))?;
        create_secret(&files.key).map_err(at(&files.key))?;
        let public_keys = Signer::open(&files.key, "")?.public_keys();
        let json = serde_json::to_vec_pretty(&public_keys).map_err(|error| at(&files.jwks)(error.into()))?;
        fs::write(&files.jwks, json).map_err(at(&files.jwks))?;
        Ok(files)
    }
}

/// Writes a new key, unless there is one.
fn create_secret(path: &Path) -> std::io::Result<()> {
    let mut file = match private::file_options().write(true).create_new(true).open(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(()),
        opened => opened?,
    };
    let pem =
        SigningKey::from_bytes(&private::secret()?).to_pkcs8_pem(LineEnding::LF).map_err(std::io::Error::other)?;
    file.write_all(pem.as_bytes())
}
