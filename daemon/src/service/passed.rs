//! Which passed socket is which.
//!
//! A socket is told by what it is: the control socket by its path, the proxy's by being TCP on
//! loopback. Names only tell the runs' own ports apart, which we left in the store ourselves. A unit
//! that passes anything else is not for this home or not ours: that ends the start, since a daemon
//! that quietly listens elsewhere would be found by nobody.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use authsome_proto::RunId;
use nix::sys::socket::{
    AddressFamily, SockType, SockaddrLike as _, SockaddrStorage, getsockname, getsockopt, sockopt,
};

use crate::sys::passed::Named;

/// In front of a run's id in the name of its port in the store.
const RUN: &str = "run-";

/// The sockets of a service manager, told apart.
#[derive(Debug, Default)]
pub struct Passed {
    /// The control socket.
    pub control: Option<OwnedFd>,
    /// The proxy's port.
    pub proxy: Option<TcpListener>,
    /// Own ports of runs, as an earlier daemon stored them.
    pub runs: HashMap<RunId, TcpListener>,
}

/// Why passed sockets cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PassedError {
    /// The descriptors could not be had or looked at.
    #[error("the sockets of the service manager cannot be taken")]
    Take(#[source] io::Error),
    /// A Unix socket with another path.
    #[error("the service manager listens on `{}`; this home's control socket is `{}`", .passed.display(), .wanted.display())]
    OtherHome {
        /// What was passed.
        passed: PathBuf,
        /// What this home's clients look for.
        wanted: PathBuf,
    },
    /// A TCP socket that others can reach.
    #[error("the service manager listens on {0}; the proxy may be on 127.0.0.1 only")]
    NotLoopback(SocketAddr),
    /// Two of a kind.
    #[error("the service manager passes two sockets for {0}")]
    Twice(&'static str),
    /// Something else.
    #[error("the service manager passes `{0}`, which is no socket of ours")]
    Unknown(String),
}

/// The name in the store of the own port of `run`.
pub(super) fn name_of(run: &RunId) -> String {
    format!("{RUN}{run}")
}

/// Tells `passed` apart; `control` is where this home's clients look.
pub fn sort(passed: Vec<Named>, control: &Path) -> Result<Passed, PassedError> {
    let mut sorted = Passed::default();
    for Named { name, fd } in passed {
        match kind(&fd) {
            Some(Kind::Control(path)) if path == control => {
                if sorted.control.replace(fd).is_some() {
                    return Err(PassedError::Twice("the control socket"));
                }
            }
            Some(Kind::Control(passed)) => {
                return Err(PassedError::OtherHome {
                    passed,
                    wanted: control.into(),
                });
            }
            Some(Kind::Tcp(address)) if !is_ours(address) => {
                return Err(PassedError::NotLoopback(address));
            }
            Some(Kind::Tcp(_)) => {
                let listener = TcpListener::from(fd);
                listener.set_nonblocking(true).map_err(PassedError::Take)?;
                match name.strip_prefix(RUN).map(str::parse) {
                    Some(Ok(run)) => drop(sorted.runs.insert(run, listener)),
                    None if sorted.proxy.replace(listener).is_some() => {
                        return Err(PassedError::Twice("the proxy"));
                    }
                    // a store that holds nonsense must not keep a daemon from its start
                    Some(Err(_)) | None => {}
                }
            }
            None => return Err(PassedError::Unknown(name)),
        }
    }
    Ok(sorted)
}

enum Kind {
    Control(PathBuf),
    Tcp(SocketAddr),
}

/// A listening stream socket of a kind that we serve.
fn kind(fd: &OwnedFd) -> Option<Kind> {
    let listens = getsockopt(fd, sockopt::AcceptConn).ok()?;
    if !listens || getsockopt(fd, sockopt::SockType).ok()? != SockType::Stream {
        return None;
    }
    let address: SockaddrStorage =
        getsockname(std::os::fd::AsRawFd::as_raw_fd(&fd.as_fd())).ok()?;
    match address.family()? {
        AddressFamily::Unix => Some(Kind::Control(address.as_unix_addr()?.path()?.to_path_buf())),
        AddressFamily::Inet => {
            let address = address.as_sockaddr_in()?;
            Some(Kind::Tcp(SocketAddr::from((address.ip(), address.port()))))
        }
        AddressFamily::Inet6 => {
            let address = address.as_sockaddr_in6()?;
            Some(Kind::Tcp(SocketAddr::from((address.ip(), address.port()))))
        }
        _ => None,
    }
}

/// The proxy URL that runs are told names 127.0.0.1.
fn is_ours(address: SocketAddr) -> bool {
    address.ip() == std::net::Ipv4Addr::LOCALHOST
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::{UnixDatagram, UnixListener};

    use super::*;

    fn named(name: &str, fd: impl Into<OwnedFd>) -> Named {
        Named {
            name: name.into(),
            fd: fd.into(),
        }
    }

    fn tcp() -> TcpListener {
        TcpListener::bind("127.0.0.1:0").unwrap()
    }

    #[test]
    fn sockets_are_told_apart_by_what_they_are() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("control.sock");
        let (proxy, run) = (tcp(), tcp());
        let (proxy_port, run_port) = (proxy.local_addr().unwrap(), run.local_addr().unwrap());
        let passed = vec![
            named("run-abc", run),
            // both of one unit have the same name
            named("authsome.socket", proxy),
            named("authsome.socket", UnixListener::bind(&path).unwrap()),
            named("run-NO ID", tcp()),
        ];
        let sorted = sort(passed, &path).unwrap();
        assert!(sorted.control.is_some());
        assert_eq!(sorted.proxy.unwrap().local_addr().unwrap(), proxy_port);
        assert_eq!(sorted.runs.len(), 1);
        let run = &sorted.runs[&"abc".parse().unwrap()];
        assert_eq!(run.local_addr().unwrap(), run_port);
        assert_eq!(
            run.accept().unwrap_err().kind(),
            io::ErrorKind::WouldBlock,
            "the runtime needs it so"
        );
        assert!(sort(Vec::new(), &path).unwrap().control.is_none());
    }

    #[test]
    fn what_is_not_for_this_home_ends_the_start() {
        let dir = tempfile::tempdir().unwrap();
        let (path, other) = (dir.path().join("control.sock"), dir.path().join("other"));
        let error = |passed| sort(passed, &path).unwrap_err().to_string();
        assert_eq!(
            error(vec![named("x", UnixListener::bind(&other).unwrap())]),
            format!(
                "the service manager listens on `{}`; this home's control socket is `{}`",
                other.display(),
                path.display()
            )
        );
        let open = TcpListener::bind("0.0.0.0:0").unwrap();
        assert!(error(vec![named("x", open)]).contains("127.0.0.1 only"));
        let six = TcpListener::bind("[::1]:0").unwrap();
        assert!(error(vec![named("x", six)]).contains("127.0.0.1 only"));
        assert!(error(vec![named("a", tcp()), named("b", tcp())]).contains("two sockets"));
        let datagram = UnixDatagram::unbound().unwrap();
        assert!(error(vec![named("odd", datagram)]).contains("`odd`"));
        // a connected socket is none that listens
        let listener = tcp();
        let stream = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert!(error(vec![named("stream", stream)]).contains("`stream`"));
        let file = std::fs::File::open("/dev/null").unwrap();
        assert!(error(vec![named("file", file)]).contains("`file`"));
    }
}
