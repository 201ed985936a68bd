//! Where credentials rest: the operating system's keyring, or encrypted files where there is none.
//!
//! [`Vault`] is a cheap handle. One thread of its own ([`worker`]) owns the store, because every
//! keyring call blocks and some wait for a human: a call that hangs there holds up neither the
//! runtime nor the end of the process. Requests go over a bounded channel; each caller waits until
//! its deadline and no longer.
//!
//! Invariants:
//! - V1: the store is chosen when the first secret is stored, recorded in `vault/store`, and never
//!   changes by itself. A keyring that is locked or gone is an error, not a reason to use files.
//! - V2: nothing is reported as stored before it and the record of the choice are on the disk or in
//!   the keyring.
//! - V3: there is one install secret, made by the one thread.
//! - V4: no error holds a secret. Errors of the keyring library may, so they are converted at the
//!   edge ([`keyring_errors`]).
//!
//! On failure: [`VaultError`], each with a remedy. After [`VaultError::TimedOut`] a change may still
//! happen; saying it again is harmless.
//! Not here: which connections exist ([`crate::connections`]), and the credentials in use, which
//! the proxy holds in [`crate::sys::locked`] memory.

mod choice;
mod error;
mod file;
mod grant;
mod item;
#[cfg(any(target_os = "macos", check_macos, test))]
mod keychain;
#[cfg(not(target_os = "macos"))]
mod keyring;
mod keyring_errors;
#[cfg(not(target_os = "macos"))]
mod secret_service;
mod worker;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use authsome_proto::Secret;
use tokio::sync::{mpsc, oneshot};

pub use choice::{StoreChoice, StoreKind};
pub use error::VaultError;
pub use grant::{Renewal, StoredClient, StoredGrant};
pub use item::{ItemKey, StoredItem};

use crate::sys::locked::LockedBytes;
use worker::{Job, Request};

/// How long a caller waits. Longer, and a command looks dead before it says that the keyring is
/// locked; shorter, and a slow keyring (0.3 s for a change among 2,000 items) fails when busy.
const DEADLINE: Duration = Duration::from_secs(5);

/// How long a caller waits for a passphrase to be tried: the key derivation alone takes more than a
/// second on a fast machine, by design.
const UNLOCK_DEADLINE: Duration = Duration::from_secs(30);

/// Requests that may wait. More would only time out: each takes milliseconds, or the keyring hangs.
const QUEUE_MAX: usize = 32;

/// Whether the file store is protected by a passphrase: `passphrase` in `[vault]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PassphraseWish {
    /// The identity file is readable by whoever reads the user's files.
    #[default]
    None,
    /// The identity file is encrypted; the client asks once per start of the daemon.
    Wanted,
}

/// What `status` and `doctor` tell.
#[derive(Debug)]
pub struct VaultStatus {
    /// What the configuration asks for.
    pub configured: StoreChoice,
    /// What was recorded when the first secret was stored.
    pub recorded: Option<StoreKind>,
    /// The store in use, or the one that would be chosen now.
    pub in_use: Option<StoreKind>,
    /// The folder of the choice, and of the files if they are the store.
    pub path: PathBuf,
    /// Why secrets cannot be read or stored now, if they cannot.
    pub problem: Option<VaultError>,
}

impl VaultStatus {
    /// The store in use, or the one that would be, as people read it.
    pub fn store_name(&self) -> String {
        let kind = self.recorded.or(self.in_use);
        kind.map_or_else(|| self.configured.to_string(), |kind| kind.to_string())
    }

    /// Whether a person has to unlock the store first.
    pub fn is_locked(&self) -> bool {
        matches!(
            self.problem,
            Some(VaultError::Locked | VaultError::PassphraseNeeded { new: false })
        )
    }
}

/// A handle to the one vault of this daemon.
#[derive(Clone, Debug)]
pub struct Vault {
    jobs: mpsc::Sender<Job>,
    configured: StoreChoice,
    path: Arc<Path>,
}

impl Vault {
    /// Starts the vault's thread for the home folder `home`, whose items are told from those of
    /// other homes by `home_id`. Never blocks: what fails is told by the first request.
    pub fn open(
        home: &Path,
        home_id: &str,
        choice: StoreChoice,
        passphrase: PassphraseWish,
    ) -> Self {
        let (jobs, queue) = mpsc::channel(QUEUE_MAX);
        let path: Arc<Path> = home.join("vault").into();
        let worker = worker::Worker::new(&path, home_id, choice, passphrase);
        let started = std::thread::Builder::new()
            .name("vault".to_owned())
            .spawn(|| worker.run(queue));
        if let Err(error) = started {
            // the queue is closed now, so every request says that the vault has stopped
            tracing::error!(error = %error, "cannot start the vault's thread");
        }
        Self {
            jobs,
            configured: choice,
            path,
        }
    }

    /// Stores `item`, in place of what was stored under `key`.
    pub async fn put(&self, key: &ItemKey, item: StoredItem) -> Result<(), VaultError> {
        let key = key.clone();
        let item = Box::new(item);
        self.ask(DEADLINE, |answer| Request::Put { key, item, answer })
            .await
    }

    /// The item under `key`, if there is one.
    pub async fn get(&self, key: &ItemKey) -> Result<Option<StoredItem>, VaultError> {
        let key = key.clone();
        self.ask(DEADLINE, |answer| Request::Get { key, answer })
            .await
    }

    /// Deletes the item under `key`; `false` if there was none.
    pub async fn delete(&self, key: &ItemKey) -> Result<bool, VaultError> {
        let key = key.clone();
        self.ask(DEADLINE, |answer| Request::Delete { key, answer })
            .await
    }

    /// Unlocks a file store with its passphrase, or sets the passphrase of one that wants its
    /// first: after [`VaultError::PassphraseNeeded`].
    pub async fn unlock(&self, passphrase: Secret) -> Result<(), VaultError> {
        self.ask(UNLOCK_DEADLINE, |answer| Request::Unlock {
            passphrase,
            answer,
        })
        .await
    }

    /// The 32 random bytes from which run tokens, run CAs and the audit chain's key are derived;
    /// made when first asked for.
    pub async fn install_secret(&self) -> Result<Arc<LockedBytes>, VaultError> {
        self.ask(DEADLINE, |answer| Request::InstallSecret { answer })
            .await
    }

    /// The store in use and whether it can be used now.
    pub async fn status(&self) -> VaultStatus {
        match self
            .ask(DEADLINE, |answer| Request::Status { answer })
            .await
        {
            Ok(status) => status,
            Err(problem) => VaultStatus {
                configured: self.configured,
                recorded: None,
                in_use: None,
                path: self.path.to_path_buf(),
                problem: Some(problem),
            },
        }
    }

    async fn ask<T>(
        &self,
        limit: Duration,
        request: impl FnOnce(oneshot::Sender<Result<T, VaultError>>) -> Request,
    ) -> Result<T, VaultError> {
        let (answer, answered) = oneshot::channel();
        let job = Job {
            deadline: Instant::now() + limit,
            request: request(answer),
        };
        let asked = async {
            self.jobs.send(job).await.map_err(|_| VaultError::Stopped)?;
            // closed without an answer: the request made the thread panic
            answered.await.map_err(|_| VaultError::Stopped)?
        };
        tokio::time::timeout(limit, asked)
            .await
            .map_err(|_| VaultError::TimedOut)?
    }
}

#[cfg(test)]
mod tests;
