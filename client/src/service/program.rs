//! Programs of the service manager: run, waited for at most so long, and what they said.

use std::io::{self, Read};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

/// Most that is kept of what a program says. The whole environment of a user manager fits.
const SAID_MAX: u64 = 1024 * 1024;

/// How often it is asked whether the program has ended.
const PAUSE: Duration = Duration::from_millis(2);

/// How long its output may stay open once it has ended: whoever it started may hold it.
const DRAIN: Duration = Duration::from_millis(200);

/// What a program said, and whether it did what it was to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Said {
    /// Whether it ended with 0.
    pub(crate) ok: bool,
    /// Its standard output.
    pub(crate) out: String,
    /// Its standard error.
    pub(crate) err: String,
}

impl Said {
    /// The first line of its complaint.
    pub(crate) fn complaint(&self) -> String {
        let line = self.err.lines().chain(self.out.lines());
        let mut lines = line.map(str::trim).filter(|line| !line.is_empty());
        crate::ui::printable(lines.next().unwrap_or("it did not say why"))
    }
}

/// Runs `command` for at most `limit`; then it is killed, which is an error.
pub(crate) fn run(command: &mut Command, limit: Duration) -> io::Result<Said> {
    let deadline = Instant::now() + limit;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let out = read(child.stdout.take());
    let err = read(child.stderr.take());
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if Instant::now() >= deadline {
            child.kill()?;
            child.wait()?;
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("it did not end within {} s", limit.as_secs()),
            ));
        }
        std::thread::sleep(PAUSE);
    };
    Ok(Said {
        ok: status.success(),
        out: out.recv_timeout(DRAIN).unwrap_or_default(),
        err: err.recv_timeout(DRAIN).unwrap_or_default(),
    })
}

/// Reads in a thread of its own: a pipe that nobody empties would hold the program up.
fn read(from: Option<impl Read + Send + 'static>) -> Receiver<String> {
    let (said, heard) = sync_channel(1);
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(from) = from
            && let Err(error) = from.take(SAID_MAX).read_to_end(&mut bytes)
        {
            bytes = error.to_string().into_bytes();
        }
        // nobody hears it any more: the limit was reached
        drop(said.send(String::from_utf8_lossy(&bytes).into_owned()));
    });
    heard
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, limit: Duration) -> io::Result<Said> {
        run(Command::new("sh").args(["-c", script]), limit)
    }

    #[test]
    fn what_it_said_and_how_it_ended_are_told_apart() {
        let said = shell(
            "echo out; echo; echo why >&2; exit 3",
            Duration::from_secs(20),
        )
        .unwrap();
        assert!(!said.ok);
        assert_eq!((said.out.as_str(), said.err.as_str()), ("out\n\n", "why\n"));
        assert_eq!(said.complaint(), "why");
        assert!(shell("exit 0", Duration::from_secs(20)).unwrap().ok);
    }

    #[test]
    fn one_that_hangs_is_ended() {
        let error = shell("exec sleep 60", Duration::from_millis(50)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn more_than_a_pipe_holds_arrives() {
        let said = shell(
            "head -c 200000 /dev/zero | tr '\\0' x",
            Duration::from_secs(20),
        )
        .unwrap();
        assert_eq!(said.out.len(), 200_000);
    }
}
