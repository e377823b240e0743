//! The self-signed certificate of a server, for its TLS.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Result;

/// The certificate of the server in a folder.
pub fn certificate(folder: &Path) -> PathBuf {
    folder.join("server.crt")
}

/// The key of the certificate.
pub fn key(folder: &Path) -> PathBuf {
    folder.join("server.key")
}

/// Makes both, unless they exist.
pub fn certify(folder: &Path) -> Result<()> {
    if certificate(folder).exists() {
        return Ok(());
    }
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()])?;
    // PostgreSQL refuses a key that others can read.
    let mut file = fs::File::options().write(true).create(true).truncate(true).mode(0o600).open(key(folder))?;
    file.write_all(made.signing_key.serialize_pem().as_bytes())?;
    fs::write(certificate(folder), made.cert.pem())?;
    Ok(())
}
