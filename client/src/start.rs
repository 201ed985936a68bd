//! Starting the daemon: find it, spawn it, wait until it says how it went.
//!
//! `authsomed --detach` prints one line on its output and goes: `ready` once its socket listens,
//! `already-running` when another one holds the lock, or what went wrong, in our own words, which
//! are passed on to the person as they are.
//!
//! Fifty commands may do this at the same moment; the lock decides, the others connect to the
//! winner.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::error::{Failure, Kind};
use crate::ui::Ui;

/// The daemon's file name.
pub(crate) const DAEMON: &str = "authsomed";

/// How long the daemon may take to say how its start went. It opens no keyring before that.
const START_DEADLINE: Duration = Duration::from_secs(10);

/// How long the starter may take to end after it has spoken; then it is left alone.
const REAP_DEADLINE: Duration = Duration::from_secs(1);

/// Most that is read of what the daemon says.
const OUTPUT_MAX: usize = 16 * 1024;

/// Starts a daemon. `Ok` when one listens now, whoever started it.
pub(crate) fn start(ui: Ui) -> Result<(), Failure> {
    let program = find()?;
    ui.detail(&format!("starting `{}`", program.display()));
    let cannot =
        || Failure::unreachable(format!("cannot start the daemon `{}`", program.display()));
    // one pipe for both, so that what a broken installation prints keeps its order
    let (reader, writer) = io::pipe().map_err(|error| cannot().because(&error))?;
    let second = writer
        .try_clone()
        .map_err(|error| cannot().because(&error))?;
    let mut command = Command::new(&program);
    command
        .arg("--detach")
        .stdin(Stdio::null())
        .stdout(writer)
        .stderr(second)
        // a Ctrl-C meant for this command must not hit a daemon that others wait for
        .process_group(0);
    let mut child = command.spawn().map_err(|error| cannot().because(&error))?;
    // `command` holds the writing end: with it open, the end of the output would never come
    drop(command);
    let said = listen(File::from(OwnedFd::from(reader)));
    let verdict = match said {
        Ok(text) => judge(&text).map_err(|failure| failure.unwrap_or_else(cannot)),
        Err(error) => Err(cannot()
            .because(&error)
            .hint("`authsome daemon logs` may say why")),
    };
    reap(&mut child);
    verdict
}

/// The daemon beside this program, else the one in `PATH`.
pub(crate) fn find() -> Result<PathBuf, Failure> {
    let ours = std::env::current_exe().ok();
    let folder = ours.as_deref().and_then(Path::parent);
    let beside = folder
        .map(|folder| folder.join(DAEMON))
        .filter(|path| path.is_file());
    if let Some(path) = beside {
        return Ok(path);
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(DAEMON))
        .find(|path| path.is_file())
        .ok_or_else(|| {
            let place = folder.map_or_else(String::new, |folder| {
                format!(" in `{}` or", folder.display())
            });
            Failure::unreachable(format!("cannot find `{DAEMON}`{place} in `PATH`"))
                .hint(format!("install `{DAEMON}` beside `authsome`"))
        })
}

/// Reads until a verdict, the end, or the deadline.
fn listen(mut from: File) -> io::Result<String> {
    let deadline = Instant::now() + START_DEADLINE;
    let mut said = Vec::new();
    let mut chunk = [0; 1024];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(from.as_fd(), PollFlags::POLLIN)], timeout) {
            Ok(0) => {
                return Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    format!("it did not listen within {} s", START_DEADLINE.as_secs()),
                ));
            }
            Ok(_) => {}
            Err(Errno::EINTR) => continue,
            Err(error) => return Err(error.into()),
        }
        let n = from.read(&mut chunk)?;
        said.extend_from_slice(chunk.get(..n).unwrap_or_default());
        let text = String::from_utf8_lossy(&said);
        let listens = text
            .split_inclusive('\n')
            .any(|line| matches!(line, "ready\n" | "already-running\n"));
        if n == 0 || listens || said.len() > OUTPUT_MAX {
            return Ok(text.into_owned());
        }
    }
}

/// What the daemon's words mean; `Err(None)` when it said nothing.
fn judge(said: &str) -> Result<(), Option<Failure>> {
    if said
        .lines()
        .any(|line| matches!(line, "ready" | "already-running"))
    {
        return Ok(());
    }
    let mut failure: Option<Failure> = None;
    for line in said.lines().filter(|line| !line.trim().is_empty()) {
        let line = line.trim_end();
        let at_hand = failure.take();
        failure = Some(match (at_hand, line.split_once(": ")) {
            (None, Some(("error", message))) => Failure::new(Kind::Unreachable, message),
            (None, _) => {
                Failure::new(Kind::Unreachable, "the daemon did not start").cause(line.trim())
            }
            (Some(failure), Some(("  caused by" | "error", cause))) => failure.cause(cause),
            (Some(failure), Some(("hint", hint))) => failure.hint(hint),
            (Some(failure), _) => failure.cause(line.trim()),
        });
    }
    Err(failure)
}

/// Waits for the starter, so that `run` leaves no zombie to the command it becomes.
fn reap(child: &mut Child) {
    let deadline = Instant::now() + REAP_DEADLINE;
    while matches!(child.try_wait(), Ok(None)) && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daemon_that_listens_is_a_success_whoever_started_it() {
        assert!(judge("ready\n").is_ok());
        assert!(judge("already-running\n").is_ok());
    }

    #[test]
    fn the_daemons_own_words_reach_the_person() {
        let failure = judge(
            "error: `/h/config.toml`, line 14: unknown key `unmached` in `[proxy]`\n\
             \x20 caused by: x\nhint: did you mean `unmatched`?\n",
        )
        .unwrap_err()
        .unwrap();
        assert_eq!(
            failure.message,
            "`/h/config.toml`, line 14: unknown key `unmached` in `[proxy]`"
        );
        assert_eq!(failure.causes, ["x"]);
        assert_eq!(failure.hint.as_deref(), Some("did you mean `unmatched`?"));
        assert_eq!(failure.exit_code(), 3);
    }

    #[test]
    fn words_of_the_system_are_kept_as_the_cause() {
        let failure = judge("authsomed: error while loading libx.so\n")
            .unwrap_err()
            .unwrap();
        assert_eq!(failure.message, "the daemon did not start");
        assert_eq!(failure.causes, ["authsomed: error while loading libx.so"]);
        assert_eq!(judge("\n"), Err(None));
    }
}
