//! `daemon start|stop|restart|status|logs`.
//!
//! `stop` asks the daemon, and waits until its process is gone. A daemon of another version, which
//! would not understand, or one that hangs, is ended by SIGTERM: it is ours (the kernel said so when
//! we connected), and it drains on that signal too.
//!
//! Under a service `stop` is the same, and the next connection starts the daemon again; `restart`
//! is left to the manager, which keeps the sockets open and puts off whoever connects meanwhile; the
//! log is the journal.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use authsome_proto::{ErrorCode, Places, Request};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

use crate::cli::{DaemonLogs, DaemonVerb};
use crate::connect::{Found, Start, connect, find_at, places};
use crate::error::{Done, Failure};
use crate::service::{Service, State};
use crate::start;
use crate::ui::Ui;

/// How long a daemon may take to end: its own deadline for draining requests, and some.
const STOP_DEADLINE: Duration = Duration::from_secs(20);

/// How often `logs -f` looks for new lines.
const FOLLOW_PAUSE: Duration = Duration::from_millis(250);

pub(super) fn daemon(verb: DaemonVerb, ui: Ui) -> Done {
    match verb {
        DaemonVerb::Logs(arguments) => logs(&arguments, ui),
        DaemonVerb::Restart => restart(ui),
        DaemonVerb::Serve => serve(),
        DaemonVerb::Start => start_it(ui),
        DaemonVerb::Status => status(ui),
        DaemonVerb::Stop => stop(ui),
    }
}

/// Also where the service is switched off: this is how a person starts it once.
fn start_it(ui: Ui) -> Done {
    if let Some((service, State::Off)) = Service::installed(&places()?)
        && let Err(failure) = service.start()
    {
        ui.detail(&failure.message);
        start::start(ui)?;
    }
    started(ui)
}

fn restart(ui: Ui) -> Done {
    let places = places()?;
    if let Some((service, _)) = Service::installed(&places)
        && let Ok(told) = service.told()
    {
        super::service::refuse_inside_run(&places, "daemon restart", ui)?;
        // one that the manager did not start holds the home
        let other = match find_at(&places, ui) {
            Ok(Found::Greeted(daemon)) => daemon.pid != told.pid,
            Ok(Found::Foreign { pid }) => pid != told.pid,
            Ok(Found::Nobody) | Err(_) => false,
        };
        if other {
            stop_if_any(&places, ui)?;
        }
        service.restart()?;
    } else {
        stop_if_any(&places, ui)?;
    }
    started(ui)
}

fn started(ui: Ui) -> Done {
    let daemon = connect(Start::IfNeeded, ui)?;
    if ui.json {
        return ui.object(json!({ "running": true, "pid": daemon.pid, "version": daemon.build }));
    }
    let pid = daemon
        .pid
        .map_or_else(String::new, |pid| format!(", process {pid}"));
    ui.done(&format!(
        "the daemon is running: {}{pid}",
        crate::ui::printable(&daemon.build)
    ))
}

fn status(ui: Ui) -> Done {
    match connect(Start::Never, ui) {
        Ok(mut daemon) => super::status::show(&mut daemon, ui),
        Err(failure) => {
            if ui.json {
                ui.object(json!({ "running": false }))?;
            }
            Err(failure)
        }
    }
}

fn stop(ui: Ui) -> Done {
    let places = places()?;
    let stopped = stop_if_any(&places, ui)?;
    if ui.json {
        return ui.object(json!({ "stopped": stopped }));
    }
    ui.done(if stopped {
        "the daemon has stopped"
    } else {
        "no daemon was running"
    })?;
    if let Some((service, State::On)) = Service::installed(&places) {
        ui.note(&format!(
            "the next command starts it again, and so does a request of a living run; `{}` keeps it off",
            service.off_command()
        ));
    }
    Ok(())
}

/// Stops the daemon; whether there was one.
pub(super) fn stop_if_any(places: &Places, ui: Ui) -> Result<bool, Failure> {
    let deadline = Instant::now() + STOP_DEADLINE;
    let pid = match find_at(places, ui)? {
        Found::Nobody => return Ok(false),
        Found::Foreign { pid } => {
            // its manager knows how to end one that hangs
            if let Some((service, _)) = Service::installed(places)
                && service
                    .told()
                    .is_ok_and(|told| told.pid.is_some() && told.pid == pid)
            {
                return service.stop().map(|()| true);
            }
            let pid = pid
                .ok_or_else(|| Failure::failed("cannot tell which process the other daemon is"))?;
            kill(Pid::from_raw(pid), Signal::SIGTERM)
                .map_err(|error| Failure::failed("cannot stop the daemon").because(&error))?;
            Some(pid)
        }
        Found::Greeted(mut daemon) => {
            match daemon.call(Request::Shutdown, ui) {
                Ok(_) => {}
                Err(failure) if failure.is(ErrorCode::ShuttingDown) => {}
                // it hung up before it answered: it is going
                Err(failure) if failure.code.is_none() => {}
                Err(failure) => return Err(failure),
            }
            daemon.wait_for_hang_up(deadline.saturating_duration_since(Instant::now()));
            daemon.pid
        }
    };
    // it hangs up before it flushes and goes; whoever says "stopped" means the process
    while let Some(pid) = pid.filter(|pid| !gone(*pid)) {
        if Instant::now() >= deadline {
            return Err(Failure::failed(format!(
                "the daemon, process {pid}, did not end within {} s",
                STOP_DEADLINE.as_secs()
            ))
            .hint(format!(
                "`kill -9 {pid}` ends it; no connection is lost by that"
            )));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(true)
}

/// Whether a process has ended. One that its parent has not waited for yet has: in a container the
/// first process may take its time, or never do it.
fn gone(pid: i32) -> bool {
    if kill(Pid::from_raw(pid), None) == Err(Errno::ESRCH) {
        return true;
    }
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.is_ok_and(|stat| {
        stat.rsplit(") ")
            .next()
            .is_some_and(|rest| rest.starts_with(['Z', 'X']))
    })
}

/// `daemon serve`: becomes the daemon, in the foreground.
fn serve() -> Done {
    let program = start::find()?;
    let error = Command::new(&program).exec();
    Err(Failure::unreachable(format!("cannot start `{}`", program.display())).because(&error))
}

fn logs(arguments: &DaemonLogs, ui: Ui) -> Done {
    let places = places()?;
    if let Some((Service::Systemd(units), _)) = Service::installed(&places) {
        return journal(
            units.journal(arguments.lines, arguments.follow),
            arguments,
            ui,
        );
    }
    let folder = places.home.join("log");
    let Some(path) = newest(&folder) else {
        return Err(
            Failure::failed(format!("there is no log in `{}`", folder.display()))
                .hint("the daemon writes one once it runs; `authsome daemon start` starts it"),
        );
    };
    let cannot = |error: &std::io::Error| {
        Failure::failed(format!("cannot read `{}`", path.display())).because(error)
    };
    let file = File::open(&path).map_err(|error| cannot(&error))?;
    let mut reader = BufReader::new(file);
    let mut last: VecDeque<String> = VecDeque::new();
    let mut line = Vec::new();
    while reader
        .read_until(b'\n', &mut line)
        .map_err(|error| cannot(&error))?
        > 0
    {
        if last.len() >= arguments.lines {
            last.pop_front();
        }
        last.push_back(shown(&line));
        line.clear();
    }
    if ui.json && !arguments.follow {
        return ui.object(json!({ "file": path, "lines": last }));
    }
    let put = |line: &str| {
        if ui.json {
            ui.object(json!({ "line": line }))
        } else {
            ui.line(line)
        }
    };
    for line in last.iter().rev().take(arguments.lines).rev() {
        put(line)?;
    }
    if !arguments.follow {
        return Ok(());
    }
    loop {
        if reader
            .read_until(b'\n', &mut line)
            .map_err(|error| cannot(&error))?
            == 0
        {
            std::thread::sleep(FOLLOW_PAUSE);
        } else if line.ends_with(b"\n") {
            put(&shown(&line))?;
            line.clear();
        }
    }
}

/// The log of a daemon under systemd.
fn journal(mut command: Command, arguments: &DaemonLogs, ui: Ui) -> Done {
    let program = command.get_program().to_owned();
    let cannot = |error: &std::io::Error| {
        Failure::failed(format!(
            "cannot read the journal by `{}`",
            program.display()
        ))
        .because(error)
    };
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| cannot(&error))?;
    let mut lines = Vec::new();
    if let Some(out) = child.stdout.take() {
        for line in BufReader::new(out).split(b'\n') {
            let line = shown(&line.map_err(|error| cannot(&error))?);
            match (ui.json, arguments.follow) {
                (true, false) => lines.push(line),
                (true, true) => ui.object(json!({ "line": line }))?,
                (false, _) => ui.line(&line)?,
            }
        }
    }
    let ended = child.wait().map_err(|error| cannot(&error))?;
    if !ended.success() {
        // it has said why on standard error
        return Err(Failure::said(1));
    }
    if ui.json && !arguments.follow {
        return ui.object(json!({ "file": null, "lines": lines }));
    }
    Ok(())
}

fn shown(line: &[u8]) -> String {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let text = String::from_utf8_lossy(line);
    text.chars()
        .map(|c| {
            if c.is_control() && c != '\t' {
                '\u{fffd}'
            } else {
                c
            }
        })
        .collect()
}

/// The file of the log folder that was written last.
fn newest(folder: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(folder).ok()?;
    let files = entries.filter_map(|entry| {
        let entry = entry.ok()?;
        let meta = entry.metadata().ok().filter(std::fs::Metadata::is_file)?;
        Some((meta.modified().ok()?, entry.path()))
    });
    files.max().map(|(_, path)| path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn a_process_that_nobody_waited_for_counts_as_gone() {
        let mut child = Command::new("true").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        while !gone(pid) {
            assert!(Instant::now() < deadline);
            std::thread::sleep(Duration::from_millis(1));
        }
        child.wait().unwrap();
        assert!(!gone(i32::try_from(std::process::id()).unwrap()));
    }
}
