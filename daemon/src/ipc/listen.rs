//! The control socket: bound in a private folder, mode 0600, accepting until told to stop.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use interprocess::local_socket::traits::tokio::Listener as _;
use interprocess::os::unix::uds_local_socket::tokio::Listener;
use tokio_util::task::TaskTracker;

use super::frames::Budget;
use super::peer::Peer;
use super::seats::Seats;
use super::session;
use crate::broker::{Broker, Inside};

/// How long to wait after accepting failed (out of descriptors, mostly), so that the loop does not
/// spin while the cause lasts.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How often refused callers are told of in the log: a flood of them must not fill the disk.
const TELL: Duration = Duration::from_secs(10);

/// Binds the socket at `path`, replacing one that a dead daemon left. Only the holder of the
/// home's lock may call this (threat L8); the folder is private already, so nobody else can have
/// put the old one there, and the mode is right before anybody can connect (umask 0077).
pub fn bind(path: &Path) -> io::Result<OwnedFd> {
    match std::fs::remove_file(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener.into())
}

/// Accepts clients until the daemon stops; every session runs in its own task of `sessions`.
pub async fn accept(socket: OwnedFd, broker: Arc<Broker>, sessions: TaskTracker) -> io::Result<()> {
    let listener = Listener::try_from(socket).map_err(io::Error::other)?;
    let seats = Seats::new();
    let budget = Budget::new();
    let mut refused = Refused::default();
    loop {
        let stream = tokio::select! {
            stream = listener.accept() => stream,
            () = broker.shutdown.cancelled() => return Ok(()),
        };
        let stream = match stream {
            Ok(stream) => stream,
            Err(error) => {
                tracing::warn!(%error, "accepting a client failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let peer = match Peer::of(&stream) {
            Ok(peer) => peer,
            Err(error) => {
                tracing::warn!(%error, "refused a caller");
                continue;
            }
        };
        let Some(turn) = seats.take(|| matches!(broker.inside(peer.pid), Inside::No)) else {
            refused.one(peer.pid);
            continue;
        };
        let (broker, budget) = (Arc::clone(&broker), budget.clone());
        sessions.spawn(async move {
            let pid = peer.pid;
            let Some(seat) = turn.wait().await else {
                tracing::debug!(peer.pid = pid, "refused a caller: nobody left in time");
                return;
            };
            if let Err(error) = session::serve(stream, peer, broker, &seat, budget).await {
                tracing::debug!(peer.pid = pid, %error, "session ended");
            }
        });
    }
}

/// Callers that found no place, for the log.
#[derive(Debug, Default)]
struct Refused {
    count: u64,
    told: Option<Instant>,
}

impl Refused {
    fn one(&mut self, pid: u32) {
        self.count += 1;
        if self.told.is_none_or(|told| told.elapsed() >= TELL) {
            tracing::warn!(
                peer.pid = pid,
                count = self.count,
                "refused callers: too many"
            );
            self.told = Some(Instant::now());
        }
    }
}
