//! Programs in Node that a test speaks to: one JSON object a line goes in, one answer a line comes
//! out (`clients/oauth/lines.mjs`).
//!
//! Their packages are installed once, into a folder of the build. A program ends when its input
//! does, so that none outlives the test, however the test ends.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::stage;

/// How long an answer may take: starting a browser on a busy machine takes seconds.
const TIMEOUT: Duration = Duration::from_secs(60);

/// How long a program may take to end by itself.
const END_TIMEOUT: Duration = Duration::from_secs(5);

/// What is staged beside the packages.
const SOURCES: [&str; 6] = [
    "authority.mjs",
    "browser.mjs",
    "lines.mjs",
    "mock.mjs",
    "pages.mjs",
    "store.mjs",
];

/// A program that was started. Dropping it ends it.
#[derive(Debug)]
pub(super) struct Program {
    name: &'static str,
    child: Child,
    lines: Mutex<Lines>,
    complaints: Arc<Mutex<Vec<u8>>>,
}

#[derive(Debug)]
struct Lines {
    /// `None` when the program was told to end.
    say: Option<ChildStdin>,
    hear: Receiver<String>,
}

impl Program {
    /// Starts `name`, one of the programs in `clients/oauth`, in an environment of only `PATH` and
    /// what is given.
    #[track_caller]
    pub(super) fn start(name: &'static str, environment: &[(&str, &Path)]) -> Self {
        let script = staged().join(name);
        let mut child = Command::new("node")
            .arg(&script)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start node: {error}"));
        let say = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().expect("it is a pipe"));
        let mut stderr = child.stderr.take().expect("it is a pipe");
        let (told, hear) = channel();
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if told.send(line).is_err() {
                    return;
                }
            }
        });
        let complaints = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&complaints);
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(read @ 1..) = stderr.read(&mut buffer) {
                let mut kept = kept.lock().expect("no reader panics");
                kept.extend_from_slice(&buffer[..read]);
            }
        });
        Self {
            name,
            child,
            lines: Mutex::new(Lines { say, hear }),
            complaints,
        }
    }

    /// Has it do `what`; panics when it cannot.
    #[track_caller]
    pub(super) fn ask(&self, what: &str, with: Value) -> Value {
        self.try_ask(what, with)
            .unwrap_or_else(|error| panic!("{} cannot {what}: {error}", self.name))
    }

    /// Has it do `what`, with the fields of the object `with`.
    #[track_caller]
    pub(super) fn try_ask(&self, what: &str, mut with: Value) -> Result<Value, String> {
        with["do"] = what.into();
        let answer = self
            .exchange(&format!("{with}\n"))
            .unwrap_or_else(|why| panic!("{}: {why}\n{}", self.name, self.complaints()));
        let mut answer: Value = serde_json::from_str(&answer)
            .unwrap_or_else(|error| panic!("{}: {error}: {answer}", self.name));
        match answer.get("error") {
            Some(error) => Err(error.as_str().unwrap_or_default().to_owned()),
            None => Ok(answer["ok"].take()),
        }
    }

    /// Its process id.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has written to its standard error.
    pub(super) fn complaints(&self) -> String {
        let complaints = self.complaints.lock().expect("no reader panics");
        String::from_utf8_lossy(&complaints).into_owned()
    }

    fn exchange(&self, line: &str) -> Result<String, String> {
        // a test that failed while it asked is about to drop us: the program is in order all the same
        let mut lines = match self.lines.lock() {
            Ok(lines) => lines,
            Err(poisoned) => poisoned.into_inner(),
        };
        let say = lines.say.as_mut().ok_or("it was told to end")?;
        say.write_all(line.as_bytes())
            .map_err(|error| format!("it does not listen: {error}"))?;
        lines.hear.recv_timeout(TIMEOUT).map_err(|error| {
            match error {
                RecvTimeoutError::Timeout => "it does not answer",
                RecvTimeoutError::Disconnected => "it has ended",
            }
            .to_owned()
        })
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        match self.lines.get_mut() {
            Ok(lines) => lines.say = None,
            Err(poisoned) => poisoned.into_inner().say = None,
        }
        let end = Instant::now() + END_TIMEOUT;
        while matches!(self.child.try_wait(), Ok(None)) {
            if Instant::now() > end {
                let _killed = self.child.kill();
                let _status = self.child.wait();
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// The folder of the programs with their packages; installs them unless that was done.
fn staged() -> PathBuf {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/oauth");
    let folder = build_folder().join("tmp/oauth");
    let _lock = stage::lock(&folder);
    let stage = folder.join("node");
    stage::node(&stage, &sources, &SOURCES, &[]);
    stage
}

/// `target`, which the test executable lies in (`target/debug/deps/x`).
fn build_folder() -> PathBuf {
    let own = std::env::current_exe().expect("the test executable has a path");
    let profile = own
        .ancestors()
        .skip(1)
        .find(|folder| !folder.ends_with("deps"))
        .expect("deps is in a folder");
    let folder = profile.parent().expect("a profile is in a folder");
    folder.to_owned()
}
