//! Finding processes of our own user by what `/proc` shows of them.
//!
//! Not here: what is known of one process, which is `pidfd.rs`.

use std::fs;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::MetadataExt as _;

use nix::libc;
use nix::unistd::geteuid;

use super::pidfd;

/// The pids of all processes of our user, lowest first. Those that began meanwhile may be missing,
/// and of some that ended the pid may be there.
pub fn of_our_user() -> io::Result<Vec<u32>> {
    let us = geteuid().as_raw();
    let mut pids = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let entry = entry?;
        let Some(pid) = entry.file_name().to_str().and_then(|it| it.parse().ok()) else {
            continue;
        };
        // the folder belongs to the user whom the process belongs to, or to root if nobody else may
        // look into it
        if entry.metadata().is_ok_and(|meta| meta.uid() == us) {
            pids.push(pid);
        }
    }
    pids.sort_unstable();
    Ok(pids)
}

/// Whether the process that has `pid` now is one of our user that lets us look into it.
pub fn is_ours(pid: u32) -> io::Result<bool> {
    let meta = fs::metadata(format!("/proc/{pid}"))?;
    Ok(meta.uid() == geteuid().as_raw())
}

/// The process of our user with the lowest pid that lives and has `name` = `value` in the
/// environment that it was started with: its pid and a handle on it.
pub fn marked(name: &str, value: &str) -> io::Result<Option<(u32, OwnedFd)>> {
    for pid in of_our_user()? {
        if !is_marked(pid, name, value)? {
            continue;
        }
        let process = match pidfd::open(pid) {
            Ok(process) => process,
            Err(error) if is_hidden(&error) => continue,
            Err(error) => return Err(error),
        };
        // asked again: what held the pid before it was opened may have been another process, but
        // one that lives now has held it ever since
        if is_marked(pid, name, value)? && pidfd::is_alive(process.as_fd()) {
            return Ok(Some((pid, process)));
        }
    }
    Ok(None)
}

/// Whether the process that has `pid` now has `name` = `value` in the environment that its program
/// was started with. Not if it is gone or does not let us look.
pub fn is_marked(pid: u32, name: &str, value: &str) -> io::Result<bool> {
    match pidfd::environment(pid, name) {
        Ok(found) => Ok(found.as_deref() == Some(value)),
        Err(error) if is_hidden(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

/// The values of `name` in the environments that the processes of our user were started with.
pub fn values_of(name: &str) -> io::Result<Vec<String>> {
    let mut values = Vec::new();
    for pid in of_our_user()? {
        match pidfd::environment(pid, name) {
            Ok(value) => values.extend(value),
            Err(error) if is_hidden(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(values)
}

/// Whether a process is gone or does not let us look, as opposed to: we cannot look at any.
fn is_hidden(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied
    ) || error.raw_os_error() == Some(libc::ESRCH)
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command};

    use super::*;

    const NAME: &str = "AUTHSOME_TEST_MARK";

    fn sleeper(value: &str) -> Child {
        let child = Command::new("sleep").arg("60").env(NAME, value).spawn();
        let child = child.unwrap();
        // `spawn` returns a moment before the kernel has filled the new program's environment in
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while pidfd::variable(child.id(), NAME).is_none() {
            assert!(std::time::Instant::now() < deadline, "no environment");
            std::thread::yield_now();
        }
        child
    }

    #[test]
    fn a_marked_process_is_found_until_it_ends_and_no_other_one() {
        let value = format!("find-{}", std::process::id());
        let mut wanted = sleeper(&value);
        let mut other = sleeper(&format!("{value}-not"));
        assert!(of_our_user().unwrap().contains(&wanted.id()));
        assert!(values_of(NAME).unwrap().contains(&value));
        let (pid, found) = marked(NAME, &value).unwrap().unwrap();
        assert_eq!(pid, wanted.id());
        wanted.kill().unwrap();
        // ended, and not waited for: its pid is still there
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while pidfd::is_alive(found.as_fd()) {
            assert!(std::time::Instant::now() < deadline, "it does not end");
            std::thread::yield_now();
        }
        assert!(marked(NAME, &value).unwrap().is_none());
        wanted.wait().unwrap();
        assert!(marked(NAME, &value).unwrap().is_none());
        other.kill().unwrap();
        other.wait().unwrap();
    }
}
