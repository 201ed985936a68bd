//! One daemon per home: the lock file decides.
//!
//! `home/daemon.lock` is locked (flock) for as long as the daemon lives; the kernel lets go of it
//! at its death, however that comes. Only its holder may remove a stale socket. Its text names
//! the holder's pid and socket, for clients that compute another runtime folder (threat L8).

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use authsome_proto::LockNote;
use nix::fcntl::{Flock, FlockArg};

/// The pause between two tries.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// The lock, held until dropped.
#[derive(Debug)]
pub struct HomeLock(Flock<File>);

/// Why the lock cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another daemon serves this home.
    #[error("another daemon serves this home{}", .0.as_ref().map(|note| format!(" (pid {})", note.pid)).unwrap_or_default())]
    Held(Option<LockNote>),
    /// The file cannot be opened, locked or written.
    #[error("cannot use the lock file `{}`", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl HomeLock {
    /// Takes the lock without waiting.
    pub fn take(path: &Path) -> Result<Self, LockError> {
        let failed = |source| LockError::File {
            path: path.into(),
            source,
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(nix::libc::O_NOFOLLOW)
            .open(path)
            .map_err(failed)?;
        let mut text = String::new();
        // what an earlier or the present holder wrote; of interest only in the error
        let note = match file.read_to_string(&mut text) {
            Ok(_) => LockNote::parse(&text),
            Err(_) => None,
        };
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => Ok(Self(lock)),
            Err((_, nix::errno::Errno::EWOULDBLOCK)) => Err(LockError::Held(note)),
            Err((_, errno)) => Err(failed(errno.into())),
        }
    }

    /// Takes the lock, and waits so long at most for another daemon to let go of it.
    pub fn take_within(path: &Path, patience: Duration) -> Result<Self, LockError> {
        let deadline = Instant::now() + patience;
        loop {
            match Self::take(path) {
                Err(LockError::Held(_)) if Instant::now() < deadline => {
                    std::thread::sleep(LOOK_AGAIN);
                }
                taken => return taken,
            }
        }
    }

    /// Says where this daemon listens. Called once it does.
    pub fn announce(&mut self, note: &LockNote) -> io::Result<()> {
        self.0.set_len(0)?;
        self.0.rewind()?;
        self.0.write_all(note.to_text().as_bytes())?;
        self.0.sync_data()
    }

    /// Says that nobody listens any more.
    pub fn retract(&mut self) -> io::Result<()> {
        self.0.set_len(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_daemon_learns_who_is_first_and_may_follow_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("daemon.lock");
        let mut first = HomeLock::take(&path).unwrap();
        let note = LockNote {
            pid: 7,
            socket: "/x/control.sock".into(),
        };
        first.announce(&note).unwrap();
        match HomeLock::take(&path) {
            Err(LockError::Held(Some(held))) => assert_eq!(held, note),
            other => panic!("{other:?}"),
        }
        drop(first);
        HomeLock::take(&path).unwrap();
    }

    #[test]
    fn a_symlink_in_the_lock_files_place_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("daemon.lock");
        std::os::unix::fs::symlink(dir.path().join("elsewhere"), &path).unwrap();
        assert!(matches!(HomeLock::take(&path), Err(LockError::File { .. })));
    }
}
