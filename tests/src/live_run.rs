//! A run that stays until the test ends it, with its environment in the test's hands.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::home::Home;
use crate::process::{Invocation, Output, Running};
use crate::raw::Proxy;

/// A shell under `authsome run` that does what it is told, line by line.
#[derive(Debug)]
pub struct LiveRun {
    shell: Running,
    environment: BTreeMap<String, String>,
    asked: usize,
}

/// Ends what the shell prints for one line.
const MARK: &str = "--done--";

impl LiveRun {
    /// Starts one with the options of `run` given.
    #[track_caller]
    pub fn start(home: &Home, options: &[&str]) -> Self {
        Self::from(home.authsome(["run"]).args(options))
    }

    /// Starts one from `authsome run` with options and variables, but without `--` and a command.
    #[track_caller]
    pub fn from(run: Invocation) -> Self {
        let script =
            format!("env; echo {MARK}; while read -r line; do eval \"$line\"; echo {MARK}; done");
        let shell = run.args(["--", "sh", "-c", &script]).interactive().spawn();
        let environment = shell.wait_for_stdout(MARK);
        let environment = environment
            .lines()
            .filter_map(|line| line.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        Self {
            shell,
            environment,
            asked: 1,
        }
    }

    /// Has the run's shell do a line, and gives what it printed.
    #[track_caller]
    pub fn shell(&mut self, line: &str) -> String {
        let before = self.shell.stdout_so_far().len();
        self.shell.say(&format!("{line}\n"));
        self.asked += 1;
        let asked = self.asked;
        crate::wait_for(
            &format!("an answer to {line}"),
            crate::process::TIMEOUT,
            || {
                let all = self.shell.stdout_so_far();
                (all.matches(MARK).count() >= asked)
                    .then(|| all[before..].replace(&format!("{MARK}\n"), ""))
            },
        )
    }

    /// What the run's environment holds under `name`.
    #[track_caller]
    pub fn variable(&self, name: &str) -> &str {
        self.environment
            .get(name)
            .unwrap_or_else(|| panic!("`{name}` is not set in the run"))
    }

    /// The whole environment of the run.
    pub fn environment(&self) -> &BTreeMap<String, String> {
        &self.environment
    }

    /// The run's id.
    pub fn id(&self) -> &str {
        self.variable("AUTHSOME_RUN")
    }

    /// Process id of the run's first process.
    pub fn pid(&self) -> u32 {
        self.shell.pid()
    }

    /// The proxy as the run sees it.
    #[track_caller]
    pub fn proxy(&self) -> Proxy {
        let url = self.variable("HTTPS_PROXY");
        let (credentials, address) = url
            .strip_prefix("http://")
            .and_then(|rest| rest.trim_end_matches('/').split_once('@'))
            .unwrap_or_else(|| panic!("not http://RUN:TOKEN@ADDRESS: {url}"));
        let address: SocketAddr = address.parse().expect("an address");
        let bundle = std::fs::read(self.variable("SSL_CERT_FILE")).expect("the bundle can be read");
        Proxy {
            address,
            credentials: Some(credentials.to_owned()),
            bundle,
        }
    }

    /// Hangs up: the shell ends.
    #[track_caller]
    pub fn end(self) -> Output {
        self.shell.wait()
    }

    /// The shell as a process.
    pub fn process(&self) -> &Running {
        &self.shell
    }
}
