//! Descriptors that somebody left open in whoever started us.
//!
//! A daemon that keeps them holds a script's lock file or a pipe's end for as long as it lives.

use std::io;

use nix::libc;

/// Makes every descriptor above standard error close when this process executes another program.
/// Nothing is closed in this process (Linux 5.11; before that, `close_range` is refused and they
/// stay as they are, which is said).
pub fn close_on_exec() -> io::Result<()> {
    // SAFETY: a system call that takes three integers and touches no memory of ours; it only sets
    // the close-on-exec flag, so no descriptor that some value owns becomes invalid.
    let result = unsafe {
        libc::syscall(
            libc::SYS_close_range,
            3,
            libc::c_uint::MAX,
            libc::CLOSE_RANGE_CLOEXEC,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::{AsFd, AsRawFd};

    use super::*;

    #[test]
    fn a_descriptor_left_open_is_not_passed_on() {
        let file = std::fs::File::open("/dev/null").unwrap();
        // what a careless starter leaves behind: a duplicate without the flag
        let left = nix::unistd::dup(file.as_fd()).unwrap();
        close_on_exec().unwrap();
        let listing = std::process::Command::new("ls")
            .arg("/proc/self/fd")
            .output()
            .unwrap();
        let listing = String::from_utf8(listing.stdout).unwrap();
        assert!(
            !listing.lines().any(|fd| fd == left.as_raw_fd().to_string()),
            "{listing}"
        );
    }
}
