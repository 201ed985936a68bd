//! The control socket: bound in a private folder, mode 0600, accepting until told to stop.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use interprocess::local_socket::traits::tokio::Listener as _;
use interprocess::os::unix::uds_local_socket::tokio::Listener;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use super::peer::Peer;
use super::session;
use crate::broker::{Broker, Inside};

/// How many clients may be connected at once. More would be one program gone wrong; every one of
/// them costs a descriptor that the proxy needs too.
const CLIENTS_MAX: usize = 256;

/// Further places for callers outside of runs: a run that takes all others must not keep its user
/// from ending it.
const CLIENTS_RESERVED: usize = 32;

/// How long to wait after accepting failed (out of descriptors, mostly), so that the loop does not
/// spin while the cause lasts.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

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
    let room = Arc::new(Semaphore::new(CLIENTS_MAX));
    let reserved = Arc::new(Semaphore::new(CLIENTS_RESERVED));
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
        let place =
            Arc::clone(&room)
                .try_acquire_owned()
                .or_else(|full| match broker.inside(peer.pid) {
                    Inside::No => Arc::clone(&reserved).try_acquire_owned(),
                    Inside::Living(_) | Inside::Over => Err(full),
                });
        let Ok(place) = place else {
            tracing::warn!(
                peer.pid = peer.pid,
                limit = CLIENTS_MAX,
                "refused a caller: too many"
            );
            continue;
        };
        let broker = Arc::clone(&broker);
        sessions.spawn(async move {
            let pid = peer.pid;
            if let Err(error) = session::serve(stream, peer, broker).await {
                tracing::debug!(peer.pid = pid, %error, "session ended");
            }
            drop(place);
        });
    }
}
