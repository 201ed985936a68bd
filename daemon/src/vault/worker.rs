//! The vault's one thread: takes requests in turn, chooses the store, owns both.
//!
//! A request whose caller no longer waits is dropped before it is begun, so that a change which was
//! reported as failed does not happen minutes later. One that panics costs its caller an error and
//! the stores their connections, and nothing else (threat S6).

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use authsome_proto::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::sync::{mpsc, oneshot};
use zeroize::Zeroizing;

use super::choice::{self, StoreChoice, StoreKind};
use super::error::VaultError;
use super::file::FileStore;
use super::item::{ItemKey, StoredItem, corrupt, decode, encode};
#[cfg(target_os = "macos")]
use super::keychain::Keyring;
#[cfg(not(target_os = "macos"))]
use super::keyring::Keyring;
use super::{PassphraseWish, VaultStatus};
use crate::files::create_private_dir;
use crate::sys::locked::LockedBytes;

/// Bytes of the install secret: as strong as anything derived from it.
const INSTALL_SECRET_LEN: usize = 32;

type Answer<T> = oneshot::Sender<Result<T, VaultError>>;

/// A request and the instant at which its caller goes away.
pub(super) struct Job {
    pub(super) deadline: Instant,
    pub(super) request: Request,
}

pub(super) enum Request {
    Delete {
        key: ItemKey,
        answer: Answer<bool>,
    },
    Get {
        key: ItemKey,
        answer: Answer<Option<StoredItem>>,
    },
    InstallSecret {
        answer: Answer<Arc<LockedBytes>>,
    },
    Put {
        key: ItemKey,
        item: Box<StoredItem>,
        answer: Answer<()>,
    },
    Status {
        answer: Answer<VaultStatus>,
    },
    Unlock {
        passphrase: Secret,
        answer: Answer<()>,
    },
}

pub(super) struct Worker {
    folder: PathBuf,
    home_id: String,
    configured: StoreChoice,
    wish: PassphraseWish,
    keyring: Keyring,
    files: FileStore,
    install_secret: Option<Arc<LockedBytes>>,
}

impl Worker {
    pub(super) fn new(
        folder: &Path,
        home_id: &str,
        configured: StoreChoice,
        wish: PassphraseWish,
    ) -> Self {
        Self {
            folder: folder.to_owned(),
            home_id: home_id.to_owned(),
            configured,
            wish,
            keyring: Keyring::new(home_id),
            files: FileStore::new(folder, wish),
            install_secret: None,
        }
    }

    /// Serves until the last handle is gone.
    pub(super) fn run(mut self, mut queue: mpsc::Receiver<Job>) {
        while let Some(job) = queue.blocking_recv() {
            if catch_unwind(AssertUnwindSafe(|| self.serve(job))).is_err() {
                tracing::error!("a request made the vault panic; its stores are opened anew");
                self.keyring = Keyring::new(&self.home_id);
                self.files = FileStore::new(&self.folder, self.wish);
            }
        }
    }

    fn serve(&mut self, job: Job) {
        let until = job.deadline;
        // a closed channel is a caller who left in the meantime: nothing to tell anybody
        match job.request {
            Request::Delete { key, answer } if !answer.is_closed() => {
                drop(answer.send(self.delete(&key, until)));
            }
            Request::Get { key, answer } if !answer.is_closed() => {
                drop(answer.send(self.get(&key, until)));
            }
            Request::InstallSecret { answer } if !answer.is_closed() => {
                drop(answer.send(self.install_secret(until)));
            }
            Request::Put { key, item, answer } if !answer.is_closed() => {
                drop(answer.send(self.put(&key, &item, until)));
            }
            Request::Status { answer } if !answer.is_closed() => {
                drop(answer.send(Ok(self.status())));
            }
            Request::Unlock { passphrase, answer } if !answer.is_closed() => {
                drop(answer.send(self.unlock(&passphrase)));
            }
            Request::Delete { .. }
            | Request::Get { .. }
            | Request::InstallSecret { .. }
            | Request::Put { .. }
            | Request::Status { .. }
            | Request::Unlock { .. } => tracing::debug!("dropped a request nobody waits for"),
        }
    }

    fn put(&mut self, key: &ItemKey, item: &StoredItem, until: Instant) -> Result<(), VaultError> {
        let text = encode(key, item)?;
        let recorded = self.recorded()?;
        let kind = match recorded {
            Some(kind) => kind,
            None => self.would_choose()?,
        };
        match kind {
            StoreKind::File => self.files.put(key, &text)?,
            StoreKind::Keyring => self.keyring.put(key, &text, until)?,
        }
        if recorded.is_none() {
            // after the secret: a choice without one would bind a user who stored nothing (V1, V2)
            create_private_dir(&self.folder).map_err(VaultError::Folder)?;
            choice::record(&self.folder, kind)?;
            tracing::info!(store = %kind, "chose the store for secrets");
        }
        Ok(())
    }

    fn get(&mut self, key: &ItemKey, until: Instant) -> Result<Option<StoredItem>, VaultError> {
        // nothing was ever stored: no reason to wake or unlock a keyring
        let Some(kind) = self.recorded()? else {
            return Ok(None);
        };
        self.get_from(kind, key, until)
    }

    fn get_from(
        &mut self,
        kind: StoreKind,
        key: &ItemKey,
        until: Instant,
    ) -> Result<Option<StoredItem>, VaultError> {
        let text = match kind {
            StoreKind::File => self.files.get(key)?,
            StoreKind::Keyring => self.keyring.get(key, until)?,
        };
        text.map(|text| decode(key, &text)).transpose()
    }

    fn delete(&mut self, key: &ItemKey, until: Instant) -> Result<bool, VaultError> {
        match self.recorded()? {
            None => Ok(false),
            Some(StoreKind::File) => self.files.delete(key),
            Some(StoreKind::Keyring) => self.keyring.delete(key, until),
        }
    }

    fn unlock(&mut self, passphrase: &Secret) -> Result<(), VaultError> {
        let kind = match self.recorded()? {
            Some(kind) => kind,
            None => self.would_choose()?,
        };
        match kind {
            StoreKind::File => self.files.unlock(passphrase),
            StoreKind::Keyring => Err(VaultError::NothingToUnlock),
        }
    }

    fn install_secret(&mut self, until: Instant) -> Result<Arc<LockedBytes>, VaultError> {
        if let Some(secret) = &self.install_secret {
            return Ok(Arc::clone(secret));
        }
        let key = ItemKey::Install;
        // looked up in the store that would be chosen, too: a home whose record was lost finds it
        let kind = match self.recorded()? {
            Some(kind) => kind,
            None => self.would_choose()?,
        };
        let secret = match self.get_from(kind, &key, until)? {
            Some(item) => {
                let bytes =
                    Zeroizing::new(STANDARD.decode(item.secret.expose()).unwrap_or_default());
                if bytes.len() != INSTALL_SECRET_LEN {
                    return Err(corrupt(&key, "it is not 32 bytes in base64"));
                }
                LockedBytes::new(&bytes)
            }
            None => self.make_install_secret(until)?,
        };
        Ok(Arc::clone(self.install_secret.insert(Arc::new(secret))))
    }

    fn make_install_secret(&mut self, until: Instant) -> Result<LockedBytes, VaultError> {
        let mut bytes = Zeroizing::new([0; INSTALL_SECRET_LEN]);
        getrandom::fill(&mut *bytes).map_err(|error| VaultError::Random(Box::new(error)))?;
        let item = StoredItem {
            secret: Secret::new(STANDARD.encode(*bytes)),
            hosts: Vec::new(),
            stored_at: jiff::Timestamp::now().to_string(),
            grant: None,
        };
        self.put(&ItemKey::Install, &item, until)?;
        Ok(LockedBytes::new(&*bytes))
    }

    fn status(&mut self) -> VaultStatus {
        let recorded = choice::read(&self.folder).ok().flatten();
        let in_use = match self.recorded() {
            Ok(Some(kind)) => Ok(kind),
            Ok(None) => self.would_choose(),
            Err(error) => Err(error),
        };
        let (in_use, problem) = match in_use {
            Ok(kind) => {
                let checked = match kind {
                    StoreKind::File => self.files.check(),
                    StoreKind::Keyring => self.keyring.check(),
                };
                (Some(kind), checked.err())
            }
            Err(problem) => (recorded, Some(problem)),
        };
        VaultStatus {
            configured: self.configured,
            recorded,
            in_use,
            path: self.folder.clone(),
            problem,
        }
    }

    fn recorded(&self) -> Result<Option<StoreKind>, VaultError> {
        choice::recorded(&self.folder, self.configured)
    }

    /// The store for the first secret. Under `auto`, files only where no keyring *answers*: one
    /// that is locked or broken is the user's keyring all the same.
    fn would_choose(&mut self) -> Result<StoreKind, VaultError> {
        match self.configured {
            StoreChoice::File => Ok(StoreKind::File),
            StoreChoice::Keyring => Ok(StoreKind::Keyring),
            StoreChoice::Auto => match self.keyring.check() {
                Ok(()) | Err(VaultError::Locked) => Ok(StoreKind::Keyring),
                Err(VaultError::Absent(_) | VaultError::TimedOut) => Ok(StoreKind::File),
                Err(error) => Err(error),
            },
        }
    }
}
