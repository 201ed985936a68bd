//! Waits for the end of a process.

use std::io;
use std::os::fd::OwnedFd;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A process that is watched. The descriptor cannot come to mean another process.
#[derive(Debug)]
pub struct Watched(AsyncFd<OwnedFd>);

impl Watched {
    /// Watches the process of a pidfd.
    pub fn new(pidfd: OwnedFd) -> io::Result<Self> {
        Ok(Self(AsyncFd::register_with_interest(pidfd, Interest::READABLE)?))
    }

    /// Returns when the process has ended, reaped or not: a pidfd is readable from then on.
    pub async fn ended(&self) -> io::Result<()> {
        self.0.readable().await.map(drop)
    }
}
