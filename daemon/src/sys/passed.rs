//! Sockets that a service manager passes: systemd as descriptors that are open already, launchd on
//! request.
//!
//! Not here: which socket is which (`service/passed.rs`).

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

/// A descriptor with the name that the service manager has for it.
#[derive(Debug)]
pub struct Named {
    /// The name; `unknown` if there is none.
    pub name: String,
    /// The descriptor, close-on-exec.
    pub fd: OwnedFd,
}

/// What systemd passed to this very process (`sd_listen_fds_with_names(3)`); nothing if it was not
/// meant. To be called once, before anything else is opened.
pub fn systemd() -> io::Result<Vec<Named>> {
    let passed = sd_notify::listen_fds_with_names()?;
    Ok(passed
        .map(|(fd, name)| Named {
            name,
            // SAFETY: `LISTEN_PID` says that these descriptors were opened for this process, and
            // each was found open a moment ago. Nothing else here knows of them: we are called
            // once, before this process opens files of its own.
            fd: unsafe { OwnedFd::from_raw_fd(fd) },
        })
        .collect())
}

/// What launchd holds under `name` in the job's `Sockets` (`launch_activate_socket(3)`); nothing if
/// launchd did not start this process. Untested: nobody could run it so far.
#[cfg(any(target_os = "macos", check_macos))]
pub fn launchd(name: &std::ffi::CStr) -> io::Result<Vec<Named>> {
    use nix::libc::{self, c_char, c_int};

    unsafe extern "C" {
        fn launch_activate_socket(
            name: *const c_char,
            fds: *mut *mut c_int,
            count: *mut usize,
        ) -> c_int;
    }

    let mut fds: *mut c_int = std::ptr::null_mut();
    let mut count = 0;
    // SAFETY: `name` ends in a zero byte; `fds` and `count` outlive the call, which fills them.
    let result = unsafe { launch_activate_socket(name.as_ptr(), &raw mut fds, &raw mut count) };
    match result {
        0 => {}
        // not managed by launchd, or no such key in the property list
        libc::ESRCH | libc::ENOENT => return Ok(Vec::new()),
        error => return Err(io::Error::from_raw_os_error(error)),
    }
    if fds.is_null() {
        return Ok(Vec::new());
    }
    // SAFETY: on success `fds` is an array of `count` descriptors, which is ours, and so is each
    // descriptor in it; it is freed once, after the last use.
    let open = unsafe {
        let open = std::slice::from_raw_parts(fds, count)
            .iter()
            .map(|fd| OwnedFd::from_raw_fd(*fd))
            .collect::<Vec<_>>();
        libc::free(fds.cast());
        open
    };
    open.into_iter()
        .map(|fd| {
            nix::fcntl::fcntl(
                &fd,
                nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC),
            )?;
            Ok(Named {
                name: name.to_string_lossy().into_owned(),
                fd,
            })
        })
        .collect()
}
