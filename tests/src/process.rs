//! Programs under test: started with a clean environment, watched, and never left behind.
//!
//! What they write is kept by whoever made the [`Invocation`] (see [`Captures`]), so that the
//! canary search sees it when the test is over.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io::{Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::wait::{wait_for, wait_until};

/// How long a program may take unless the test says otherwise. Debug builds do slow arithmetic and
/// the machine may be busy, so this is a guard against hanging, not a claim about speed.
pub const TIMEOUT: Duration = Duration::from_secs(60);

/// How long a program's output may stay open after it has ended. Somebody who inherited it, such
/// as a daemon that did not let go, would make `$(authsome …)` hang in a shell.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// Outputs kept for the canary search: what printed it, and what was printed.
pub type Captures = Arc<Mutex<Vec<(String, Vec<u8>)>>>;

/// A program about to be started.
#[derive(Debug, Clone)]
pub struct Invocation {
    words: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    folder: Option<PathBuf>,
    stdin: Vec<u8>,
    timeout: Duration,
    captures: Option<Captures>,
    own_group: bool,
    interactive: bool,
}

impl Invocation {
    /// `program` with an empty environment.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        Self {
            words: vec![program.as_ref().to_owned()],
            environment: Vec::new(),
            folder: None,
            stdin: Vec::new(),
            timeout: TIMEOUT,
            captures: None,
            own_group: false,
            interactive: false,
        }
    }

    /// Adds one argument.
    #[must_use]
    pub fn arg(mut self, word: impl AsRef<OsStr>) -> Self {
        self.words.push(word.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args(mut self, words: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.words
            .extend(words.into_iter().map(|word| word.as_ref().to_owned()));
        self
    }

    /// Puts words before the program, as `setpriv …` needs it.
    #[must_use]
    pub fn prefixed(mut self, prefix: &[String]) -> Self {
        self.words.splice(0..0, prefix.iter().map(OsString::from));
        self
    }

    /// Sets a variable.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self = self.env_remove(name.as_ref());
        self.environment
            .push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Takes a variable away again.
    #[must_use]
    pub fn env_remove(mut self, name: impl AsRef<OsStr>) -> Self {
        self.environment.retain(|(known, _)| known != name.as_ref());
        self
    }

    /// Runs in `folder`.
    #[must_use]
    pub fn current_dir(mut self, folder: impl AsRef<Path>) -> Self {
        self.folder = Some(folder.as_ref().to_owned());
        self
    }

    /// What the program reads; nothing unless said.
    #[must_use]
    pub fn stdin(mut self, text: impl Into<Vec<u8>>) -> Self {
        self.stdin = text.into();
        self
    }

    /// Its input stays open: the test writes more with [`Running::say`].
    #[must_use]
    pub fn interactive(mut self) -> Self {
        self.interactive = true;
        self
    }

    /// How long it may take. [`TIMEOUT`] unless said.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Runs in a process group of its own, so that a signal can be sent to all of it.
    #[must_use]
    pub fn own_group(mut self) -> Self {
        self.own_group = true;
        self
    }

    /// Keeps what is printed for the canary search.
    #[must_use]
    pub fn captured_by(mut self, captures: &Captures) -> Self {
        self.captures = Some(Arc::clone(captures));
        self
    }

    /// Says that the secret belongs in the output (`export`, `get --show-secret`): it is not
    /// searched.
    #[must_use]
    pub fn reveals(mut self) -> Self {
        self.captures = None;
        self
    }

    /// Starts it, and lets it run.
    #[track_caller]
    pub fn spawn(&self) -> Running {
        let (program, words) = self.words.split_first().expect("a program was named");
        let mut command = Command::new(program);
        command
            .args(words)
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if let Some(folder) = &self.folder {
            command.current_dir(folder);
        }
        if self.own_group {
            command.process_group(0);
        }
        let line = self.line();
        let begun = Instant::now();
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {line}: {error}"));
        let (say, said) = std::sync::mpsc::sync_channel::<Vec<u8>>(16);
        let mut stdin = child.stdin.take().expect("stdin is a pipe");
        let text = self.stdin.clone();
        // a thread of its own: a program that does not read must not hold up the test. It may also
        // close its end early, which is its right
        std::thread::spawn(move || {
            let mut written = stdin.write_all(&text);
            while written.is_ok()
                && let Ok(more) = said.recv()
            {
                written = stdin.write_all(&more).and_then(|()| stdin.flush());
            }
        });
        Running {
            stdout: Stream::read(child.stdout.take().expect("stdout is a pipe")),
            stderr: Stream::read(child.stderr.take().expect("stderr is a pipe")),
            child,
            line,
            begun,
            timeout: self.timeout,
            captures: self.captures.clone(),
            done: false,
            say: self.interactive.then_some(say),
        }
    }

    /// Starts it and waits for its end.
    #[track_caller]
    pub fn output(&self) -> Output {
        self.spawn().wait()
    }

    fn line(&self) -> String {
        let words: Vec<_> = self
            .words
            .iter()
            .map(|word| word.to_string_lossy())
            .collect();
        words.join(" ")
    }
}

/// A program that was started. Dropping it kills it.
#[derive(Debug)]
pub struct Running {
    child: Child,
    stdout: Stream,
    stderr: Stream,
    line: String,
    begun: Instant,
    timeout: Duration,
    captures: Option<Captures>,
    done: bool,
    say: Option<SyncSender<Vec<u8>>>,
}

impl Running {
    /// Its process id; under `authsome run` the command's too, as it is executed in place.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal.
    #[track_caller]
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.pid()).expect("process ids are small");
        kill(Pid::from_raw(pid), signal).expect("the process is still there");
    }

    /// Writes to its input (see [`Invocation::interactive`]).
    #[track_caller]
    pub fn say(&self, text: &str) {
        let say = self.say.as_ref().expect("its input was kept open");
        say.send(text.into()).expect("it still reads");
    }

    /// Closes its input.
    pub fn hang_up(&mut self) {
        self.say = None;
    }

    /// Whether it has ended.
    pub fn ended(&mut self) -> bool {
        self.child
            .try_wait()
            .expect("the child can be waited for")
            .is_some()
    }

    /// What it has printed so far.
    pub fn stdout_so_far(&self) -> String {
        self.stdout.text()
    }

    /// What it has said so far.
    pub fn stderr_so_far(&self) -> String {
        self.stderr.text()
    }

    /// Waits until its standard output holds `text`.
    #[track_caller]
    pub fn wait_for_stdout(&self, text: &str) -> String {
        self.wait_for_text("standard output", &self.stdout, text)
    }

    /// Waits until its standard error holds `text`.
    #[track_caller]
    pub fn wait_for_stderr(&self, text: &str) -> String {
        self.wait_for_text("standard error", &self.stderr, text)
    }

    #[track_caller]
    fn wait_for_text(&self, which: &str, stream: &Stream, text: &str) -> String {
        let what = format!("{text:?} on the {which} of {}", self.line);
        wait_for(&what, self.timeout, || {
            // asked first: what came before the end is in the text by then
            let ended = stream.ended();
            let all = stream.text();
            let found = all.contains(text);
            assert!(
                found || !ended,
                "no {what}\n--- stdout\n{}--- stderr\n{}",
                self.stdout.text(),
                self.stderr.text()
            );
            found.then_some(all)
        })
    }

    /// Waits for its end, at most for the invocation's timeout.
    #[track_caller]
    pub fn wait(mut self) -> Output {
        self.hang_up();
        let end = self.begun + self.timeout;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("the child can be waited for") {
                break status;
            }
            assert!(
                Instant::now() < end,
                "{} was still running after {:?}\n--- stdout\n{}--- stderr\n{}",
                self.line,
                self.timeout,
                self.stdout.text(),
                self.stderr.text()
            );
            std::thread::sleep(Duration::from_millis(2));
        };
        let took = self.begun.elapsed();
        self.done = true;
        let drained = Instant::now();
        wait_until(
            &format!(
                "the output of {} to end (who else holds it open?)",
                self.line
            ),
            DRAIN_TIMEOUT.saturating_sub(drained.elapsed()),
            || self.stdout.ended() && self.stderr.ended(),
        );
        Output {
            line: self.line.clone(),
            status,
            stdout: self.stdout.text(),
            stderr: self.stderr.text(),
            took,
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.done {
            // it may just have ended by itself: then there is nothing to kill
            let _killed = self.child.kill();
            let _status = self.child.wait();
        }
        if let Some(captures) = &self.captures
            && let Ok(mut captures) = captures.lock()
        {
            captures.push((
                format!("the standard output of {}", self.line),
                self.stdout.bytes(),
            ));
            captures.push((
                format!("the standard error of {}", self.line),
                self.stderr.bytes(),
            ));
        }
    }
}

/// What a program left.
#[derive(Debug, Clone)]
pub struct Output {
    line: String,
    status: ExitStatus,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
    /// From start to end.
    pub took: Duration,
}

impl Output {
    /// Its exit code; `None` when a signal ended it.
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// The signal that ended it.
    pub fn signal(&self) -> Option<i32> {
        self.status.signal()
    }

    /// Panics with everything it printed unless it ended with `code`.
    #[track_caller]
    pub fn exited(self, code: i32) -> Self {
        assert_eq!(self.code(), Some(code), "{self}");
        self
    }

    /// Panics with everything it printed unless it ended with 0.
    #[track_caller]
    pub fn succeeded(self) -> Self {
        self.exited(0)
    }

    /// Standard output without the last line break.
    pub fn line(&self) -> &str {
        self.stdout.trim_end_matches('\n')
    }

    /// Standard output as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("not JSON: {error}\n{self}"))
    }

    /// Panics unless standard error holds all of `texts`.
    #[track_caller]
    pub fn said(self, texts: &[&str]) -> Self {
        for text in texts {
            assert!(self.stderr.contains(text), "{text:?} was not said\n{self}");
        }
        self
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {} after {:?}\n--- stdout\n{}--- stderr\n{}",
            self.line, self.status, self.took, self.stdout, self.stderr
        )
    }
}

/// One output of a program, read by a thread of its own.
#[derive(Debug)]
struct Stream {
    state: Arc<Mutex<StreamState>>,
}

#[derive(Debug, Default)]
struct StreamState {
    bytes: Vec<u8>,
    ended: bool,
}

impl Stream {
    fn read(mut from: impl Read + Send + 'static) -> Self {
        let state = Arc::new(Mutex::new(StreamState::default()));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            let mut buffer = [0; 16 * 1024];
            loop {
                let read = from.read(&mut buffer).unwrap_or(0);
                let mut state = shared.lock().expect("no reader panics");
                state.bytes.extend_from_slice(&buffer[..read]);
                if read == 0 {
                    state.ended = true;
                    return;
                }
            }
        });
        Self { state }
    }

    fn ended(&self) -> bool {
        self.state.lock().expect("no reader panics").ended
    }

    fn bytes(&self) -> Vec<u8> {
        self.state.lock().expect("no reader panics").bytes.clone()
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes()).into_owned()
    }
}
