//! The store without a keyring: one `age` file per item, readable by the stock `age` tool.
//!
//! `vault/identity` is an X25519 identity as `age-keygen` writes it; with a passphrase, that file
//! is itself an `age` file encrypted by it (a key derivation costs a second, so it guards one file
//! and not each). Items are encrypted to that identity, in files whose names are hashes. Recovery:
//! `age -d -i vault/identity vault/HASH.age`.
//!
//! Invariants:
//! - VF1: an identity is made only where there is neither an identity nor an item: a new one beside
//!   old items would make them unreadable and look like an empty vault.
//! - VF2: where a passphrase is wanted, nothing is stored or read before the identity is encrypted.
//!
//! Not in locked memory: the identity while in use, whose type belongs to the `age` crate and wipes
//! itself.

use std::path::{Path, PathBuf};

use age::secrecy::{ExposeSecret as _, SecretString};
use age::{DecryptError, scrypt, x25519};
use authsome_proto::Secret;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::PassphraseWish;
use super::error::VaultError;
use super::item::{ITEM_MAX, ItemKey, corrupt};
use crate::files::{
    ReadError, create_private_dir, hex, read_private, remove_durably, write_atomic,
};

/// Far more than an identity, encrypted or not.
const IDENTITY_MAX: u64 = 16 * 1024;

/// What an encrypted file begins with, whatever its version.
const AGE_MAGIC: &[u8] = b"age-encryption.org/";

/// Work of the passphrase's key derivation as a power of two: that of the stock tool. A larger one
/// takes minutes on small machines, a smaller one makes guessing cheaper.
const WORK_LOG2: u8 = 18;

/// The encrypted files of one home.
pub(super) struct FileStore {
    folder: PathBuf,
    wish: PassphraseWish,
    identity: Option<x25519::Identity>,
}

/// What is at `vault/identity`.
enum Stored {
    Encrypted(Vec<u8>),
    None,
    Plain(x25519::Identity),
}

impl FileStore {
    pub(super) fn new(folder: &Path, wish: PassphraseWish) -> Self {
        Self {
            folder: folder.to_owned(),
            wish,
            identity: None,
        }
    }

    pub(super) fn put(&mut self, key: &ItemKey, text: &[u8]) -> Result<(), VaultError> {
        create_private_dir(&self.folder).map_err(VaultError::Folder)?;
        if self.open_identity()?.is_none() {
            let identity = x25519::Identity::generate();
            write_atomic(&self.identity_path(), identity_text(&identity).as_bytes())
                .map_err(VaultError::Write)?;
            self.identity = Some(identity);
        }
        let Some(identity) = &self.identity else {
            return Err(VaultError::Stopped);
        };
        let sealed = age::encrypt(&identity.to_public(), text)
            .map_err(|_| VaultError::Platform("`age` cannot encrypt".into()))?;
        write_atomic(&self.item_path(key), &sealed).map_err(VaultError::Write)
    }

    pub(super) fn get(&mut self, key: &ItemKey) -> Result<Option<Zeroizing<Vec<u8>>>, VaultError> {
        let path = self.item_path(key);
        let Some(identity) = self.open_identity()? else {
            return Ok(None);
        };
        let Some(sealed) = read_private(&path, ITEM_MAX * 2).map_err(VaultError::Read)? else {
            return Ok(None);
        };
        match age::decrypt(identity, &sealed) {
            Ok(text) => Ok(Some(Zeroizing::new(text))),
            Err(error) => Err(corrupt(
                key,
                &format!("`{}`: {}", path.display(), words(&error)),
            )),
        }
    }

    /// Works without the passphrase: deleting reveals nothing.
    pub(super) fn delete(&mut self, key: &ItemKey) -> Result<bool, VaultError> {
        let path = self.item_path(key);
        remove_durably(&path).map_err(|source| VaultError::Remove { path, source })
    }

    /// Whether items can be read and stored now.
    pub(super) fn check(&mut self) -> Result<(), VaultError> {
        self.open_identity().map(drop)
    }

    /// Opens the identity with `passphrase`, or, where one is wanted and there is none yet, sets it.
    pub(super) fn unlock(&mut self, passphrase: &Secret) -> Result<(), VaultError> {
        if passphrase.is_empty() {
            return Err(VaultError::EmptyPassphrase);
        }
        let identity = match self.stored_identity()? {
            Stored::Encrypted(sealed) => self.decrypt_identity(passphrase, &sealed)?,
            Stored::None | Stored::Plain(_) if self.wish == PassphraseWish::None => {
                return Err(VaultError::NothingToUnlock);
            }
            Stored::None => {
                create_private_dir(&self.folder).map_err(VaultError::Folder)?;
                self.seal_identity(passphrase, x25519::Identity::generate())?
            }
            // items stay as they are: only the file that opens them is closed
            Stored::Plain(identity) => self.seal_identity(passphrase, identity)?,
        };
        self.identity = Some(identity);
        Ok(())
    }

    /// The identity, if it is there and open. `None` only where nothing was stored yet.
    fn open_identity(&mut self) -> Result<Option<&x25519::Identity>, VaultError> {
        if self.identity.is_none() {
            self.identity = match (self.stored_identity()?, self.wish) {
                (Stored::Encrypted(_), _) => {
                    return Err(VaultError::PassphraseNeeded { new: false });
                }
                (Stored::None | Stored::Plain(_), PassphraseWish::Wanted) => {
                    return Err(VaultError::PassphraseNeeded { new: true });
                }
                (Stored::None, PassphraseWish::None) => None,
                (Stored::Plain(identity), PassphraseWish::None) => Some(identity),
            };
        }
        Ok(self.identity.as_ref())
    }

    fn stored_identity(&self) -> Result<Stored, VaultError> {
        let path = self.identity_path();
        let Some(text) = read_private(&path, IDENTITY_MAX).map_err(VaultError::Read)? else {
            return if self.has_items()? {
                Err(self.corrupt_identity("it is missing, and the items need it"))
            } else {
                Ok(Stored::None)
            };
        };
        if text.starts_with(AGE_MAGIC) {
            return Ok(Stored::Encrypted(text));
        }
        self.parse_identity(&Zeroizing::new(text))
            .map(Stored::Plain)
    }

    fn decrypt_identity(
        &self,
        passphrase: &Secret,
        sealed: &[u8],
    ) -> Result<x25519::Identity, VaultError> {
        let opener = scrypt::Identity::new(SecretString::from(passphrase.expose()));
        match age::decrypt(&opener, sealed) {
            Ok(text) => self.parse_identity(&Zeroizing::new(text)),
            Err(DecryptError::DecryptionFailed | DecryptError::KeyDecryptionFailed) => {
                Err(VaultError::WrongPassphrase)
            }
            Err(error) => Err(self.corrupt_identity(words(&error))),
        }
    }

    /// Writes `identity` encrypted by `passphrase`, in place of what was there.
    fn seal_identity(
        &self,
        passphrase: &Secret,
        identity: x25519::Identity,
    ) -> Result<x25519::Identity, VaultError> {
        let mut recipient = scrypt::Recipient::new(SecretString::from(passphrase.expose()));
        recipient.set_work_factor(WORK_LOG2);
        let sealed = age::encrypt(&recipient, identity_text(&identity).as_bytes())
            .map_err(|_| VaultError::Platform("`age` cannot encrypt".into()))?;
        write_atomic(&self.identity_path(), &sealed).map_err(VaultError::Write)?;
        Ok(identity)
    }

    fn parse_identity(&self, text: &[u8]) -> Result<x25519::Identity, VaultError> {
        std::str::from_utf8(text)
            .ok()
            .and_then(|text| {
                text.lines()
                    .find(|line| line.starts_with("AGE-SECRET-KEY-"))
            })
            .and_then(|line| line.trim_end().parse().ok())
            // the parser's own message is left out: it was given the key
            .ok_or_else(|| self.corrupt_identity("it is not an identity of `age`"))
    }

    fn has_items(&self) -> Result<bool, VaultError> {
        match std::fs::read_dir(&self.folder) {
            Ok(entries) => Ok(entries
                .flatten()
                .any(|entry| Path::new(&entry.file_name()).extension() == Some("age".as_ref()))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(source) => Err(VaultError::Read(ReadError::System {
                path: self.folder.clone(),
                source,
            })),
        }
    }

    fn corrupt_identity(&self, reason: &str) -> VaultError {
        VaultError::Corrupt {
            what: format!("`{}`", self.identity_path().display()),
            reason: reason.to_owned(),
        }
    }

    fn identity_path(&self) -> PathBuf {
        self.folder.join("identity")
    }

    /// The file of `key`: a hash, so that a copied folder does not list who has accounts where.
    fn item_path(&self, key: &ItemKey) -> PathBuf {
        let hash = Sha256::digest(format!("authsome vault item\n{key}"));
        let name = hex(hash.iter().take(16));
        self.folder.join(name).with_extension("age")
    }
}

/// What went wrong, in our words: the library's own texts come from translation files that a debug
/// build looks for where it was compiled, and it panics if they are gone.
fn words(error: &DecryptError) -> &'static str {
    match error {
        DecryptError::DecryptionFailed
        | DecryptError::InvalidMac
        | DecryptError::KeyDecryptionFailed => "it does not decrypt",
        DecryptError::ExcessiveWork { .. } => "it asks for more work than any passphrase needs",
        DecryptError::InvalidHeader => "its header is damaged",
        DecryptError::Io(_) => "it ends too early or is damaged",
        DecryptError::NoMatchingKeys => "it was encrypted to another identity",
        DecryptError::UnknownFormat => "it is not an `age` file of a known version",
        // the enum grows
        _ => "`age` cannot open it",
    }
}

/// An identity file as `age-keygen` writes it.
fn identity_text(identity: &x25519::Identity) -> Zeroizing<String> {
    let (public, secret) = (identity.to_public(), identity.to_string());
    // long enough that it never grows and leaves a copy of the key behind
    let mut text = Zeroizing::new(String::with_capacity(256));
    for part in [
        "# public key: ",
        &public.to_string(),
        "\n",
        secret.expose_secret(),
        "\n",
    ] {
        text.push_str(part);
    }
    text
}

#[cfg(test)]
mod tests;
