//! Why the vault could not do something, and what a person can do about it.
//!
//! None of these holds a secret (V4), so all may be logged and shown.

use std::io;
use std::path::PathBuf;

use super::choice::{StoreChoice, StoreKind};
use crate::files::{DirError, ReadError, WriteError};

/// Cause of a failure in a library whose errors are many.
pub(super) type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why the vault could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The keyring is the store, and there is none.
    #[error("no keyring answers")]
    Absent(#[source] Cause),
    /// The configuration asks for another store than the one that holds the secrets.
    #[error(
        "the configuration asks for the store `{configured}`, but the secrets are in `{recorded}`"
    )]
    ChoiceConflict {
        /// Where the secrets are.
        recorded: StoreKind,
        /// What the configuration says.
        configured: StoreChoice,
    },
    /// What is stored is not what was stored.
    #[error("{what} is damaged: {reason}")]
    Corrupt {
        /// The item or file.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A person or a policy said no.
    #[error("access to the keyring was denied")]
    Denied,
    /// Another program stored an item under the same name.
    #[error("the keyring holds several items for {what}")]
    Duplicate {
        /// The item.
        what: String,
    },
    /// A passphrase cannot be empty.
    #[error("the passphrase is empty")]
    EmptyPassphrase,
    /// The vault's folder is not private or cannot be made.
    #[error("cannot use the vault's folder")]
    Folder(#[source] DirError),
    /// The keyring is locked.
    #[error("the login keyring is locked")]
    Locked,
    /// A newer version of the program stored it.
    #[error("{what} was written by a newer version (format {found})")]
    NewerVersion {
        /// The item or file.
        what: String,
        /// The version it names.
        found: u64,
    },
    /// The keyring runs, but has no collection for new items.
    #[error("the keyring has no default collection")]
    NoCollection,
    /// A passphrase was given to a store that has none.
    #[error("the vault needs no passphrase")]
    NothingToUnlock,
    /// The file store waits for its passphrase; `new`: for its first.
    #[error("the vault is locked by a passphrase")]
    PassphraseNeeded {
        /// Whether there is none yet, so that this one is to be chosen, and asked for twice.
        new: bool,
    },
    /// The keyring failed in another way.
    #[error("the keyring failed")]
    Platform(#[source] Cause),
    /// The system gave no random bytes.
    #[error("the system gives no random bytes")]
    Random(#[source] Cause),
    /// A file of the vault could not be read.
    #[error("cannot read from the vault's folder")]
    Read(#[source] ReadError),
    /// A file of the vault could not be removed.
    #[error("cannot remove `{}`", path.display())]
    Remove {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The vault's thread is gone, or this request made it fail.
    #[error("the vault stopped working on this request")]
    Stopped,
    /// No answer in time.
    #[error("the vault did not answer in time")]
    TimedOut,
    /// The secret is longer than any store takes.
    #[error("the secret has {len} bytes; at most {max} are accepted")]
    TooLarge {
        /// Its length in bytes.
        len: usize,
        /// The limit in bytes.
        max: usize,
    },
    /// A file of the vault could not be written.
    #[error("cannot write to the vault's folder")]
    Write(#[source] WriteError),
    /// Not the passphrase of this vault.
    #[error("that is not the vault's passphrase")]
    WrongPassphrase,
}

impl VaultError {
    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Absent(_) => {
                "start a Secret Service such as `gnome-keyring-daemon` and log in to the session \
                 again, or, if nothing was stored yet, set `store = \"file\"` in `[vault]`"
            }
            Self::ChoiceConflict { recorded, .. } => {
                return Some(format!(
                    "set `store = \"{recorded}\"` in `[vault]`; to move, log out of every \
                     connection, delete `vault/store` and log in again"
                ));
            }
            Self::Corrupt { .. } => {
                "restore it from a backup, or log in again with `--force` to replace it"
            }
            Self::Denied => "run the command again and allow access when you are asked",
            Self::Duplicate { .. } => {
                "another program stored an item of that name: remove it with your keyring's own \
                 program (its label does not begin with `authsome`)"
            }
            Self::EmptyPassphrase | Self::WrongPassphrase => "run the command again",
            Self::Folder(error) => return error.hint(),
            Self::Locked => "unlock it, or run the command again in a desktop session to be asked",
            Self::NewerVersion { .. } => "install the newer version of `authsome` again",
            Self::NoCollection => {
                "create one with your keyring's own program, or, if nothing was stored yet, set \
                 `store = \"file\"` in `[vault]`"
            }
            Self::PassphraseNeeded { new: true } => {
                "choose a passphrase with `authsome unlock`, in a script `authsome unlock --stdin`"
            }
            Self::PassphraseNeeded { new: false } => {
                "give the passphrase with `authsome unlock`, in a script `authsome unlock --stdin`"
            }
            Self::Platform(_) => "`authsome doctor` looks at the keyring more closely",
            Self::Stopped => "run the command again; `authsome daemon logs` has the details",
            Self::TimedOut => {
                "answer the keyring's question if one is open, then run the command again"
            }
            Self::TooLarge { .. } => "give only the secret itself, not a whole file",
            Self::NothingToUnlock
            | Self::Random(_)
            | Self::Read(_)
            | Self::Remove { .. }
            | Self::Write(_) => return None,
        };
        Some(text.to_owned())
    }
}
