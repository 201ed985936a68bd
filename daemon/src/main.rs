//! `authsomed`: arguments, environment, hardening, detaching, exit code; nothing else.
//!
//! Started by hand or by a service manager it stays in the foreground. The client starts it with
//! `--detach`: it starts itself once more in a session of its own and leaves, so that the daemon
//! is no child of the command that happened to need it. The starter reads one answer from our
//! standard output: `ready`, `already-running`, or the error as a person should see it.

use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use authsome_proto::Places;
use authsomed::daemon::{self, StartError};
use authsomed::{logging, service, sys};

/// The only variables the daemon takes from whoever starts it. A run's proxy, trust and
/// placeholder variables must not reach it: it would go through its own proxy, or trust a run's
/// certificate.
const VARIABLES: &[&str] = &[
    "AUTHSOME_HOME",
    "AUTHSOME_LOG",
    "DBUS_SESSION_BUS_ADDRESS", // the keyring
    "HOME",
    "LISTEN_FDNAMES", // sockets and readiness of a service manager
    "LISTEN_FDS",
    "LISTEN_PID",
    "NOTIFY_SOCKET",
    "PATH",
    "TZ",
    "USER",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
    "XDG_RUNTIME_DIR",
];

/// Over this size the log file is put aside at the next start.
const LOG_MAX: u64 = 8 * 1024 * 1024;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Background,
    Detach,
    Foreground,
}

fn main() -> ExitCode {
    let mode = match parse(std::env::args_os().skip(1)) {
        Ok(mode) => mode,
        Err(exit) => return exit,
    };
    match run(mode) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Start(error)) if error.is_already_running() && mode == Mode::Background => {
            say("already-running\n");
            ExitCode::SUCCESS
        }
        Err(Failure::Start(error)) => {
            let hint = error
                .hint()
                .map(|hint| format!("hint: {hint}\n"))
                .unwrap_or_default();
            complain(
                mode,
                &format!("error: the daemon cannot start\n{}{hint}", causes(&error)),
            );
            ExitCode::FAILURE
        }
        Err(Failure::Spawn(error)) => {
            complain(
                mode,
                &format!("error: the daemon cannot start\n{}", causes(&error)),
            );
            ExitCode::FAILURE
        }
    }
}

enum Failure {
    Spawn(io::Error),
    Start(StartError),
}

fn run(mode: Mode) -> Result<(), Failure> {
    if let Some(foreign) = std::env::vars_os().find(|(name, _)| !allowed(name)) {
        drop(foreign);
        return Err(Failure::Spawn(again(std::env::args_os().skip(1)).exec()));
    }
    if mode == Mode::Detach {
        close_inherited();
        return again(["--background"])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map(drop)
            .map_err(Failure::Spawn);
    }
    let hardening = sys::harden::harden().map_err(Failure::Spawn)?;
    let places = Places::of_process()
        .map_err(StartError::Places)
        .map_err(Failure::Start)?;
    // before anything else is opened: what was passed is known by its number
    let (passed, manager) = service::take(&places)
        .map_err(StartError::Passed)
        .map_err(Failure::Start)?;
    daemon::make_folders(&places).map_err(Failure::Start)?;
    if mode == Mode::Background {
        leave_terminal(&places.home).map_err(Failure::Spawn)?;
    }
    logging::start();
    tracing::debug!(lockable = hardening.lockable, "hardened");
    let prepared = daemon::prepare(places, passed, manager).map_err(Failure::Start)?;
    daemon::serve(prepared, || {
        if mode == Mode::Background {
            say("ready\n");
            forget_starter();
        }
    })
    .map_err(Failure::Start)
}

/// This program once more, with nothing but the allowed variables.
fn again(arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
    let program = std::env::current_exe().unwrap_or_else(|_| "authsomed".into());
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .envs(std::env::vars_os().filter(|(name, _)| allowed(name)));
    command
}

fn allowed(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| VARIABLES.contains(&name))
}

/// Closes what the starter had open beyond the standard streams. A daemon would hold it for as long
/// as it lives: the lock file of a cron job, the pipe that `$(authsome status)` waits on. Only the
/// client says `--detach`, and passes nothing on purpose; a service manager's sockets stay.
fn close_inherited() {
    let folder = if cfg!(target_os = "linux") {
        "/proc/self/fd"
    } else {
        "/dev/fd"
    };
    let listed = std::fs::read_dir(folder).into_iter().flatten().flatten();
    // all names first: the listing has a descriptor of its own, which is closed with it
    let open: Vec<i32> = listed
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    for descriptor in open.into_iter().filter(|descriptor| *descriptor > 2) {
        // not there any more, as the listing's own: what was wanted
        if nix::unistd::close(descriptor).is_err() {}
    }
}

/// A session of our own, no working directory to hold, and the log where the terminal was.
fn leave_terminal(home: &Path) -> io::Result<()> {
    nix::unistd::setsid()?;
    std::env::set_current_dir("/")?;
    let path = home.join("log/daemon.log");
    if std::fs::metadata(&path).is_ok_and(|meta| meta.len() > LOG_MAX) {
        std::fs::rename(&path, home.join("log/daemon.log.1"))?;
    }
    let log = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(&path)?;
    nix::unistd::dup2_stderr(&log)?;
    Ok(())
}

/// Lets go of the starter's pipe: it waits for the end of our output.
fn forget_starter() {
    if let Ok(null) = OpenOptions::new().write(true).open("/dev/null") {
        // without it the starter only waits for its first line
        nix::unistd::dup2_stdout(&null).ok();
    }
}

fn parse(arguments: impl Iterator<Item = std::ffi::OsString>) -> Result<Mode, ExitCode> {
    let mut mode = Mode::Foreground;
    for argument in arguments {
        match argument.to_str() {
            Some("--background") => mode = Mode::Background,
            Some("--detach") => mode = Mode::Detach,
            Some("--version" | "-V") => {
                say(concat!("authsomed ", env!("CARGO_PKG_VERSION"), "\n"));
                return Err(ExitCode::SUCCESS);
            }
            Some("--help" | "-h") => {
                say(HELP);
                return Err(ExitCode::SUCCESS);
            }
            _ => {
                complain(
                    Mode::Foreground,
                    "error: unknown argument\nhint: `authsomed --help`\n",
                );
                return Err(ExitCode::from(2));
            }
        }
    }
    Ok(mode)
}

const HELP: &str = "\
authsomed: keeps credentials and runs the injecting proxy of authsome

Usage: authsomed [--detach]

The client starts it when it is needed; a service manager starts it without
arguments. It serves the home in AUTHSOME_HOME, else ~/.authsome.

  --detach       start in the background and return
  -h, --help     print this
  -V, --version  print the version
";

fn causes(error: &dyn std::error::Error) -> String {
    let mut text = String::new();
    let mut next = Some(error);
    while let Some(cause) = next {
        text.push_str("  caused by: ");
        text.push_str(&cause.to_string());
        text.push('\n');
        next = cause.source();
    }
    text
}

/// A complaint goes to whoever started us: to its pipe when we are in the background, whose
/// standard error is the log by then.
fn complain(mode: Mode, text: &str) {
    if mode == Mode::Background {
        say(text);
    }
    // nowhere is left to report a failure of this
    drop(io::stderr().write_all(text.as_bytes()));
}

fn say(text: &str) {
    // nowhere is left to report a failure of this
    drop(
        io::stdout()
            .write_all(text.as_bytes())
            .and_then(|()| io::stdout().flush()),
    );
}
