//! Waits for the end of a process.

use std::io;
use std::os::fd::OwnedFd;

use tokio::io::unix::AsyncFd;

use crate::sys::pidfd;

/// A process that is watched. The descriptor cannot come to mean another process.
#[derive(Debug)]
pub struct Watched(AsyncFd<OwnedFd>);

impl Watched {
    /// Watches the process of a pidfd.
    pub fn new(pidfd: OwnedFd) -> io::Result<Self> {
        pidfd::watch(pidfd).map(Self)
    }

    /// Returns when the process has ended, reaped or not: a pidfd is readable from then on.
    pub async fn ended(&self) -> io::Result<()> {
        self.0.readable().await.map(drop)
    }
}
