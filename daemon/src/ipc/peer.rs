//! Who is at the other end of the control socket.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};

use crate::sys::pidfd;

/// A process of our own user that has connected.
#[derive(Debug)]
pub struct Peer {
    /// Its user, which is ours.
    pub uid: u32,
    /// Its pid when it connected.
    pub pid: u32,
    /// A handle on that very process.
    pub process: OwnedFd,
}

/// Why a caller is not let in.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// Another user (threat L2).
    #[error("the caller is user {0}")]
    OtherUser(u32),
    /// The kernel does not say who it is, or it is gone already.
    #[error("cannot tell who the caller is")]
    Unknown(#[source] io::Error),
}

impl Peer {
    /// Asks the kernel, before the first byte is read.
    pub fn of(socket: &impl AsFd) -> Result<Self, PeerError> {
        let credentials = getsockopt(&socket.as_fd(), PeerCredentials)
            .map_err(|errno| PeerError::Unknown(errno.into()))?;
        if credentials.uid() != nix::unistd::geteuid().as_raw() {
            return Err(PeerError::OtherUser(credentials.uid()));
        }
        let pid = u32::try_from(credentials.pid())
            .map_err(|_| PeerError::Unknown(io::ErrorKind::InvalidData.into()))?;
        let process = pidfd::of_peer(socket.as_fd(), pid).map_err(PeerError::Unknown)?;
        Ok(Self {
            uid: credentials.uid(),
            pid,
            process,
        })
    }

    /// Whether the process that connected still lives. Its socket may have been inherited.
    pub fn is_alive(&self) -> bool {
        pidfd::is_alive(self.process.as_fd())
    }
}
