//! A terminal with a person at it.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::{Winsize, openpty};
use nix::sys::termios::{LocalFlags, tcgetattr};

/// How long something may take to be seen.
const PATIENCE: Duration = Duration::from_secs(20);

/// A command on a terminal of its own.
pub(crate) struct Terminal {
    person: File,
    /// Held open, so that the terminal's state can be looked at when the command is gone.
    tty: File,
    child: Child,
    /// All that was seen so far.
    pub(crate) screen: String,
    /// Up to where it was looked at.
    looked_at: usize,
}

impl Terminal {
    /// Runs `command`, which begins with `setsid --wait`, on a new terminal.
    pub(crate) fn run(command: &Command) -> Self {
        let size = Winsize {
            ws_row: 50,
            ws_col: 250,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let pty = openpty(&size, None).unwrap();
        let tty = File::from(pty.slave);
        let mut on_terminal = Command::new("setsid");
        on_terminal
            .arg("--ctty")
            .args(command.get_args())
            .env_clear()
            .envs(
                command
                    .get_envs()
                    .filter_map(|(name, value)| Some((name, value?))),
            )
            .env("TERM", "xterm")
            .stdin(tty.try_clone().unwrap())
            .stdout(Stdio::from(tty.try_clone().unwrap()))
            .stderr(Stdio::from(tty.try_clone().unwrap()));
        let child = on_terminal.spawn().unwrap();
        drop(on_terminal);
        Self {
            person: File::from(pty.master),
            tty,
            child,
            screen: String::new(),
            looked_at: 0,
        }
    }

    /// Waits until `text` is seen behind what was waited for before.
    pub(crate) fn sees(&mut self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.screen[self.looked_at..].find(text) {
                self.looked_at += at + text.len();
                return;
            }
            assert!(Instant::now() < deadline, "`{text}` in:\n{}", self.screen);
            self.read(Duration::from_millis(50));
        }
    }

    pub(crate) fn types(&mut self, text: &str) {
        self.person.write_all(text.as_bytes()).unwrap();
    }

    /// Waits for the end; the exit code.
    pub(crate) fn ends(&mut self) -> Option<i32> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.read(Duration::from_millis(20));
            if let Some(status) = self.child.try_wait().unwrap() {
                while self.read(Duration::from_millis(20)) {}
                return status.code();
            }
            assert!(Instant::now() < deadline, "still there:\n{}", self.screen);
        }
    }

    pub(crate) fn signal(&self, signal: nix::sys::signal::Signal) {
        let pid = nix::unistd::Pid::from_raw(self.child.id().try_into().unwrap());
        nix::sys::signal::kill(pid, signal).unwrap();
    }

    /// Whether the terminal is one that a person can work with.
    pub(crate) fn is_as_before(&self) -> bool {
        let flags = tcgetattr(&self.tty).unwrap().local_flags;
        flags.contains(LocalFlags::ECHO | LocalFlags::ICANON | LocalFlags::ISIG)
    }

    fn read(&mut self, patience: Duration) -> bool {
        let patience = PollTimeout::try_from(patience).unwrap();
        let mut fds = [PollFd::new(
            std::os::fd::AsFd::as_fd(&self.person),
            PollFlags::POLLIN,
        )];
        if poll(&mut fds, patience).unwrap_or(0) == 0 {
            return false;
        }
        let mut bytes = [0; 4096];
        let Ok(len @ 1..) = self.person.read(&mut bytes) else {
            return false;
        };
        self.screen
            .push_str(&String::from_utf8_lossy(&bytes[..len]));
        true
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
