//! Sealing: encryption of values that are worth money to whoever reads them, such as a code that is redeemed. Only the
//! context that they belong to stores them in the clear.
//!
//! The contracts mark such fields (`sealed`). The unit of work seals them in every event that is published, so that the
//! outbox, the bus, dead letters and the stores of consumers have only sealed values. [`SealingKeys::show`] unseals them,
//! in a response to the owner: the subject whom the message names.
//!
//! A sealed value is text, also within a longer text: `sealed:v1:KEY:DATA`, in hexadecimal digits. The cipher is
//! AES-256-GCM; the subject of its owner is authenticated with it, so that it is unsealed for nobody else, wherever it
//! was copied to. What has not this form was stored before there was sealing, and is read as it is.
//!
//! The nonce is computed from the value and the owner, by a key of its own. So the same value is sealed the same
//! way each time: views don't depend on the order of events, and a simulation repeats. Whoever reads the stores learns
//! only that two values are the same.

use std::fmt;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use contracts::{Reader, Redact, SEALED_EVENTS};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hmac;

use crate::error::Error;
use crate::private;

/// How every sealed value begins. Another algorithm gets another version.
const PREFIX: &str = "sealed:v1:";
/// The length of a key in a file: 256 bits.
const SECRET_BYTES: usize = 32;
/// The length of the name of a key, which is computed from it.
const NAME_BYTES: usize = 4;

/// The keys of a process: the first seals, all unseal. Without keys it can do neither.
#[derive(Clone, Default)]
pub struct SealingKeys(Arc<[Key]>);

struct Key {
    name: String,
    cipher: LessSafeKey,
    nonces: hmac::Key,
}

/// A file of keys can't be used.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum KeysError {
    #[error("the sealing keys in {path} can't be read: {cause}")]
    Unreadable { path: PathBuf, cause: std::io::Error },
    #[error(
        "line {line} of the sealing keys in {path} is not 64 hexadecimal digits; make a key with `openssl rand -hex 32`"
    )]
    Malformed { path: PathBuf, line: usize },
    #[error("{path} has no sealing key; make one with `openssl rand -hex 32`")]
    Empty { path: PathBuf },
    #[error("the sealing key {path} can't be created: {cause}")]
    Unwritable { path: PathBuf, cause: std::io::Error },
}

/// A value can't be unsealed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnsealError {
    /// It was sealed by a key that this process does not have.
    #[error("a value was sealed by the key {0}, which the file of sealing keys does not have")]
    NoSuchKey(String),
    /// It was changed, or it belongs to somebody else.
    #[error("a sealed value was changed, or is another owner's")]
    NotAuthentic,
}

impl SealingKeys {
    /// Reads a file: a key a line, as 64 hexadecimal digits. Empty lines and those that begin with `#` are ignored.
    pub fn read(path: &Path) -> Result<SealingKeys, KeysError> {
        let unreadable = |cause| KeysError::Unreadable { path: path.to_owned(), cause };
        let text = fs::read_to_string(path).map_err(unreadable)?;
        let lines = (1..).zip(text.lines().map(str::trim));
        let keys = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')).map(|(number, line)| {
            let secret = from_hex(line).and_then(|secret| <[u8; SECRET_BYTES]>::try_from(secret).ok());
            secret.map(Key::new).ok_or_else(|| KeysError::Malformed { path: path.to_owned(), line: number })
        });
        let keys = keys.collect::<Result<Vec<_>, _>>()?;
        if keys.is_empty() {
            return Err(KeysError::Empty { path: path.to_owned() });
        }
        Ok(SealingKeys(keys.into()))
    }

    /// Reads the file, or creates it with a new key for its owner alone. Only one process may do so at a time.
    pub fn read_or_create(path: &Path) -> Result<SealingKeys, KeysError> {
        if !path.exists() {
            create(path).map_err(|cause| KeysError::Unwritable { path: path.to_owned(), cause })?;
        }
        SealingKeys::read(path)
    }

    /// The keys with these secrets, for tests and simulations.
    pub fn given(secrets: &[[u8; SECRET_BYTES]]) -> SealingKeys {
        SealingKeys(secrets.iter().map(|secret| Key::new(*secret)).collect())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Seals a value of an owner.
    pub fn seal(&self, value: &str, owner: &str) -> Result<String, Error> {
        let key = self.0.first().ok_or_else(|| Error::Internal("there is no key to seal with".into()))?;
        key.seal(value, owner).map_err(|_| Error::Internal("a value can't be sealed".into()))
    }

    /// The text with every sealed value in it unsealed. All must be of this owner.
    pub fn unseal(&self, text: &str, owner: &str) -> Result<String, UnsealError> {
        let (mut unsealed, mut rest) = (String::new(), text);
        while let Some((before, sealed)) = rest.split_once(PREFIX) {
            let (name, sealed) = split_hex(sealed);
            let (data, after) = split_hex(sealed.strip_prefix(':').ok_or(UnsealError::NotAuthentic)?);
            let key = self.0.iter().find(|key| key.name == name);
            let key = key.ok_or_else(|| UnsealError::NoSuchKey(name.to_owned()))?;
            unsealed += before;
            unsealed += &key.unseal(data, owner).ok_or(UnsealError::NotAuthentic)?;
            rest = after;
        }
        unsealed += rest;
        Ok(unsealed)
    }

    /// A message as its reader may see it: their own secrets unsealed, and none of anybody else. A value that can't be
    /// unsealed is empty.
    pub fn show<M: Redact>(&self, message: M, reader: &str) -> M {
        let unseal = |text: &str| {
            self.unseal(text, reader).unwrap_or_else(|error| {
                tracing::error!(%error, "an owner can't read a value of theirs");
                String::new()
            })
        };
        message.redacted_for(Reader { subject: reader, unseal: &unseal })
    }

    /// The body of an event to be published, with its values sealed.
    pub fn seal_event(&self, kind: &str, body: Vec<u8>) -> Result<Vec<u8>, Error> {
        let Some((_, seal)) = SEALED_EVENTS.iter().find(|(name, _)| *name == kind) else { return Ok(body) };
        let mut failed = None;
        let sealed = seal(&body, &mut |value, owner| {
            self.seal(value, owner).unwrap_or_else(|error| {
                failed = Some(error);
                String::new()
            })
        });
        match failed {
            Some(error) => Err(error),
            None => sealed.map_err(|error| Error::Internal(format!("{kind} can't be sealed: {error}"))),
        }
    }
}

impl fmt::Debug for SealingKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|key| &key.name)).finish()
    }
}

impl Key {
    /// The name, the cipher's key and that of the nonces are computed from the secret, each by HMAC-SHA-256 of its use.
    fn new(secret: [u8; SECRET_BYTES]) -> Key {
        let secret = hmac::Key::new(hmac::HMAC_SHA256, &secret);
        let derived = |purpose: &str| hmac::sign(&secret, purpose.as_bytes());
        let cipher = UnboundKey::new(&AES_256_GCM, derived("cipher").as_ref()).expect("SHA-256 has the key's length");
        Key {
            name: to_hex(&derived("name").as_ref()[..NAME_BYTES]),
            cipher: LessSafeKey::new(cipher),
            nonces: hmac::Key::new(hmac::HMAC_SHA256, derived("nonces").as_ref()),
        }
    }

    fn seal(&self, value: &str, owner: &str) -> Result<String, ring::error::Unspecified> {
        let mut nonce = hmac::Context::with_key(&self.nonces);
        // The length separates the two.
        nonce.update(&(owner.len() as u64).to_be_bytes());
        nonce.update(owner.as_bytes());
        nonce.update(value.as_bytes());
        let nonce = nonce.sign();
        let nonce = &nonce.as_ref()[..NONCE_LEN];
        let mut data = value.as_bytes().to_vec();
        let tag =
            self.cipher.seal_in_place_separate_tag(Nonce::try_assume_unique_for_key(nonce)?, aad(owner), &mut data)?;
        Ok(format!("{PREFIX}{}:{}{}{}", self.name, to_hex(nonce), to_hex(&data), to_hex(tag.as_ref())))
    }

    fn unseal(&self, data: &str, owner: &str) -> Option<String> {
        let mut data = from_hex(data)?;
        let (nonce, sealed) = data.split_at_mut_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let value = self.cipher.open_in_place(nonce, aad(owner), sealed).ok()?;
        String::from_utf8(value.to_vec()).ok()
    }
}

/// What is authenticated with a value.
fn aad(owner: &str) -> Aad<String> {
    Aad::from(format!("{PREFIX}{owner}"))
}

/// Writes a new key. A file with half a key, or one that a power failure takes away, would lose what was sealed with it.
fn create(path: &Path) -> std::io::Result<()> {
    let secret = private::secret()?;
    let unfinished = path.with_extension("new");
    let mut file = private::file_options().write(true).create(true).truncate(true).open(&unfinished)?;
    writeln!(file, "{}", to_hex(&secret))?;
    file.sync_all()?;
    fs::rename(&unfinished, path)?;
    File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
}

fn is_hex_digit(letter: char) -> bool {
    matches!(letter, '0'..='9' | 'a'..='f')
}

/// The digits at the begin of a text, and the rest.
fn split_hex(text: &str) -> (&str, &str) {
    text.split_at(text.find(|letter| !is_hex_digit(letter)).unwrap_or(text.len()))
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string can't fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let text = text.to_ascii_lowercase();
    if !text.len().is_multiple_of(2) || !text.chars().all(is_hex_digit) {
        return None;
    }
    (0..text.len()).step_by(2).map(|index| u8::from_str_radix(&text[index..index + 2], 16).ok()).collect()
}

#[cfg(test)]
mod tests;
