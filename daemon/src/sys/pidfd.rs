//! Processes: a handle that cannot come to mean another one, and who descends from whom.
//!
//! A pid may be reused the moment its process ends; a pidfd may not. [`of_peer`] asks the kernel
//! for the peer of a Unix socket (`SO_PEERPIDFD`, Linux 6.5); before that kernel it opens the
//! peer's pid, which is sound while the peer waits for our answer. [`Identity`] names a process
//! across a restart of ours: pid, start time and boot.
//!
//! Not here: waiting for the end of a process, which is `runs/watch.rs`.

use std::fs;
use std::io::{self, Read as _};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::libc;
use serde::{Deserialize, Serialize};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// From `linux/asm-generic/socket.h`; the libc crate has it only on some targets.
const SO_PEERPIDFD: libc::c_int = 77;

/// How far up a chain of parents is followed. Real trees are far shallower; a longer one would
/// let a peer keep us reading `/proc`.
const ANCESTORS_MAX: usize = 128;

/// From `linux/sched.h`: forked, and has not executed a program since.
const PF_FORKNOEXEC: u64 = 0x40;

/// Room for the usual file under `/proc/PID`; a larger one takes another step.
const PROC_LEN: usize = 8 * 1024;

/// A process across our own restarts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Its pid.
    pub pid: u32,
    /// Its start, in clock ticks since boot.
    pub start: u64,
    /// The boot it belongs to.
    pub boot: String,
}

impl Identity {
    /// The identity of the process that has `pid` now.
    pub fn of(pid: u32) -> io::Result<Self> {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id")?
            .trim()
            .to_owned();
        Ok(Self {
            pid,
            start: stat(pid)?.start,
            boot,
        })
    }

    /// Opens the process if it still is the same one.
    pub fn open(&self) -> io::Result<Option<OwnedFd>> {
        let fd = match open(self.pid) {
            Ok(fd) => fd,
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => return Ok(None),
            Err(error) => return Err(error),
        };
        // asked after opening: if the identity holds now, the descriptor is that process
        match Self::of(self.pid) {
            Ok(now) if now == *self => Ok(Some(fd)),
            Ok(_) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// A pidfd of the process at the other end of a Unix socket, whose pid is `pid`.
pub fn of_peer(socket: BorrowedFd<'_>, pid: u32) -> io::Result<OwnedFd> {
    let mut fd: libc::c_int = -1;
    let mut len = libc::socklen_t::try_from(size_of::<libc::c_int>()).unwrap_or(4);
    // SAFETY: `fd` and `len` outlive the call and `len` is the size of `fd`; the kernel writes at
    // most that many bytes.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            SO_PEERPIDFD,
            (&raw mut fd).cast(),
            &raw mut len,
        )
    };
    if result == 0 && fd >= 0 {
        // SAFETY: the kernel has just made this descriptor for us; nobody else owns it. It is
        // close-on-exec from birth.
        return Ok(unsafe { OwnedFd::from_raw_fd(fd) });
    }
    match io::Error::last_os_error() {
        error if error.raw_os_error() == Some(libc::ENOPROTOOPT) => open(pid),
        error => Err(error),
    }
}

/// A pidfd of the process that has `pid` now.
pub fn open(pid: u32) -> io::Result<OwnedFd> {
    let pid = libc::pid_t::try_from(pid).map_err(|_| io::ErrorKind::InvalidInput)?;
    // SAFETY: a system call that takes two integers and touches no memory of ours.
    let result = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    match libc::c_int::try_from(result) {
        // SAFETY: as above, the descriptor is new and ours, and close-on-exec from birth.
        Ok(fd) if fd >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Lets the runtime watch a pidfd; it is readable once its process has ended (`pidfd_open(2)`).
pub fn watch(pidfd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: the descriptor is owned by the `AsyncFd` and closed only after that has been taken
    // off the runtime; `OwnedFd` always names the same open file.
    unsafe { AsyncFd::register_with_interest(pidfd, Interest::READABLE) }.map_err(Into::into)
}

/// Whether the process of `pidfd` has not ended: a pidfd is readable from its end on. If the kernel
/// does not say, it counts as ended.
pub fn is_alive(pidfd: BorrowedFd<'_>) -> bool {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    let mut polled = [PollFd::new(pidfd, PollFlags::POLLIN)];
    poll(&mut polled, PollTimeout::ZERO) == Ok(0)
}

/// The pids from the parent of `pid` up, nearest first, `pid` itself before them.
pub fn lineage(pid: u32) -> Vec<u32> {
    let mut line = vec![pid];
    let mut at = pid;
    while let Ok(Stat { parent, .. }) = stat(at) {
        if parent == 0 || line.len() >= ANCESTORS_MAX {
            break;
        }
        line.push(parent);
        at = parent;
    }
    line
}

/// The value of `name` in the environment that the process `pid` was started with. `None` also
/// where that cannot be read (a process of another user, or one that is gone).
pub fn variable(pid: u32, name: &str) -> Option<String> {
    environment(pid, name).ok()?
}

/// As [`variable`], with the reason where the environment cannot be read. It is empty for a moment
/// while the process executes another program.
pub fn environment(pid: u32, name: &str) -> io::Result<Option<String>> {
    let environment = read_proc(pid, "environ")?;
    Ok(environment.split(|byte| *byte == 0).find_map(|entry| {
        let value = entry.strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
        String::from_utf8(value.to_vec()).ok()
    }))
}

/// The name of the program that the process `pid` runs (at most 15 bytes, proc(5)).
pub fn program(pid: u32) -> Option<String> {
    let name = read_proc(pid, "comm").ok()?;
    Some(String::from_utf8_lossy(name.trim_ascii_end()).into_owned())
}

/// Whether the process `pid` was forked and has executed no program since: it is a part of its
/// parent then, as the subshells of a shell are. Not if that cannot be told.
pub fn is_fork(pid: u32) -> bool {
    stat(pid).is_ok_and(|stat| stat.flags & PF_FORKNOEXEC != 0)
}

/// What we read of `/proc/PID/stat`.
struct Stat {
    parent: u32,
    flags: u64,
    start: u64,
}

fn stat(pid: u32) -> io::Result<Stat> {
    let text = read_proc(pid, "stat")?;
    parse_stat(&String::from_utf8_lossy(&text)).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// Such files say that they are empty, so the standard library reads them in many small steps;
/// this runs for every ancestor of every process that asks for a run.
fn read_proc(pid: u32, name: &str) -> io::Result<Vec<u8>> {
    let mut file = fs::File::open(format!("/proc/{pid}/{name}"))?;
    let mut bytes = Vec::with_capacity(PROC_LEN);
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// proc(5): the second field is the command in parentheses and may itself hold spaces and
/// parentheses, so counting begins after the last one; field 4 is the parent, field 9 the flags,
/// field 22 the start.
fn parse_stat(text: &str) -> Option<Stat> {
    let (_, rest) = text.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let parent = fields.nth(1)?.parse().ok()?;
    let flags = fields.nth(4)?.parse().ok()?;
    let start = fields.nth(12)?.parse().ok()?;
    Some(Stat {
        parent,
        flags,
        start,
    })
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;

    use super::*;

    #[test]
    fn stat_is_read_past_a_command_that_looks_like_fields() {
        let text = "7 (a) b) S 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4711 9 9\n";
        let stat = parse_stat(text).unwrap();
        assert_eq!((stat.parent, stat.flags, stat.start), (1, 4_194_560, 4711));
    }

    #[test]
    fn a_process_is_found_again_by_its_identity_and_a_dead_or_other_one_is_not() {
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let identity = Identity::of(child.id()).unwrap();
        assert!(identity.open().unwrap().is_some());
        assert_eq!(lineage(child.id())[1], std::process::id());
        assert!(!is_fork(child.id()));
        let other = Identity {
            start: identity.start + 1,
            ..identity.clone()
        };
        assert!(
            other.open().unwrap().is_none(),
            "another process that took over the pid"
        );
        let rebooted = Identity {
            boot: "another".into(),
            ..identity.clone()
        };
        assert!(rebooted.open().unwrap().is_none());
        let pidfd = open(child.id()).unwrap();
        assert!(is_alive(pidfd.as_fd()));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!is_alive(pidfd.as_fd()));
        assert!(identity.open().unwrap().is_none());
    }

    #[test]
    fn a_variable_is_read_as_the_kernel_shows_it() {
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .env("AUTHSOME_RUN", "abc")
            .env("AUTHSOME_RUN_NOT", "x")
            .spawn()
            .unwrap();
        // `spawn` returns a moment before the kernel has filled the new program's environment in
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while variable(child.id(), "AUTHSOME_RUN").is_none() {
            assert!(std::time::Instant::now() < deadline, "no environment");
            std::thread::yield_now();
        }
        assert_eq!(variable(child.id(), "AUTHSOME_RUN").as_deref(), Some("abc"));
        assert_eq!(variable(child.id(), "AUTHSOME_RU"), None);
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
