//! What a process that holds secrets asks of the kernel before it touches the first one.
//!
//! Threat L4: by default every process of the same user may read our memory through `/proc/PID/mem`
//! or `ptrace`, and a crash writes it all to a core file. [`harden`] closes these, and makes every
//! file that follows private unless its creator says otherwise.
//!
//! Limits: root reads everything; a user namespace around the daemon undoes it for `ptrace`; signals
//! still arrive.
#![cfg_attr(
    any(target_os = "macos", check_macos),
    expect(unsafe_code, reason = "`PT_DENY_ATTACH` has no safe wrapper")
)]

use std::io;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::stat::{Mode, umask};

/// What [`harden`] achieved, for the log and for `doctor`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hardening {
    /// Bytes of memory this process may keep out of swap; `u64::MAX` is no limit. Every secret
    /// takes at least a page.
    pub lockable: u64,
}

/// Makes this process untraceable by the user's other processes, forbids core dumps and sets the
/// umask to 077. First thing in `main`: descriptors that others opened before stay open.
pub fn harden() -> io::Result<Hardening> {
    umask(Mode::from_bits_truncate(0o077));
    // the soft *and* the hard limit: nobody inside the process raises it again
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    deny_tracing()?;
    raise_descriptors();
    let (lockable, _) = getrlimit(Resource::RLIMIT_MEMLOCK)?;
    Ok(Hardening { lockable })
}

/// As many descriptors as we may have: with the usual soft limit of 1024 a few hundred idle
/// connections of another user take every place at the proxy (threats H6, H12).
fn raise_descriptors() {
    const ENOUGH: u64 = 65_536;
    let raised = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(soft, hard)| {
        let wanted = hard.min(ENOUGH);
        if soft < wanted {
            setrlimit(Resource::RLIMIT_NOFILE, wanted, hard)?;
        }
        Ok(())
    });
    // fewer are no reason not to start; macOS refuses more than `OPEN_MAX`
    if raised.is_err() {}
}

#[cfg(target_os = "linux")]
fn deny_tracing() -> io::Result<()> {
    nix::sys::prctl::set_dumpable(false)?;
    // read back: a sandbox may answer 0 to a `prctl` that it ignored
    if nix::sys::prctl::get_dumpable()? {
        return Err(io::Error::other("the process stays traceable"));
    }
    Ok(())
}

/// Untested: nobody could run it so far.
#[cfg(target_os = "macos")]
fn deny_tracing() -> io::Result<()> {
    deny_attach()
}

#[cfg(any(target_os = "macos", check_macos))]
#[cfg_attr(
    not(target_os = "macos"),
    expect(dead_code, reason = "type-checked only")
)]
fn deny_attach() -> io::Result<()> {
    use std::ffi::{c_char, c_int};

    /// From `<sys/ptrace.h>` of macOS.
    const PT_DENY_ATTACH: c_int = 31;
    unsafe extern "C" {
        fn ptrace(request: c_int, pid: c_int, address: *mut c_char, data: c_int) -> c_int;
    }
    // SAFETY: this request reads none of the other arguments.
    match unsafe { ptrace(PT_DENY_ATTACH, 0, std::ptr::null_mut(), 0) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
    use std::process::{Command, Stdio};

    use super::*;

    const CHILD: &str = "AUTHSOME_TEST_HARDEN";

    /// Runs in a process of its own, started by the test below: hardening cannot be undone.
    #[test]
    #[ignore = "started by `a_hardened_process_is_closed_to_its_siblings`"]
    fn hardened_child() {
        if std::env::var_os(CHILD).is_none() {
            return;
        }
        harden().unwrap();
        println!("hardened");
        let mut line = String::new();
        io::stdin().read_line(&mut line).unwrap();
        std::process::abort();
    }

    /// L4: another process of the user reads neither memory nor environment, and a crash leaves no
    /// core. Root may read everything, so the reader is a plain user where the test runs as root.
    #[test]
    fn a_hardened_process_is_closed_to_its_siblings() {
        use std::io::{BufRead as _, BufReader, Write as _};

        let root = nix::unistd::geteuid().is_root();
        let nobody = 65_534;
        let mut command = Command::new("/proc/self/exe");
        command
            .args([
                "--exact",
                "sys::harden::tests::hardened_child",
                "--ignored",
                "--nocapture",
            ])
            .env(CHILD, "1")
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        if root {
            command.uid(nobody).gid(nobody);
        }
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().contains("hardened")));
        for file in ["environ", "mem", "maps"] {
            let mut cat = Command::new("cat");
            cat.arg(format!("/proc/{}/{file}", child.id()))
                .stdin(Stdio::null());
            if root {
                cat.uid(nobody).gid(nobody);
            }
            let output = cat.output().unwrap();
            let told = String::from_utf8_lossy(&output.stderr).to_lowercase();
            assert!(told.contains("permission denied"), "{file}: {told}");
        }
        child.stdin.take().unwrap().write_all(b"\n").unwrap();
        let status = child.wait().unwrap();
        assert_eq!(status.signal(), Some(6));
        assert!(!status.core_dumped());
    }
}
