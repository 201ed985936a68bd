//! `service install|uninstall|status`: the daemon under the user's service manager.
//!
//! Installing, in this order, so that a failure leaves what was there:
//! 1. nothing is touched before it is known that the manager answers, that it sees this home where
//!    we see it, and that no file of a person stands in the way;
//! 2. the files are written and the manager reads them;
//! 3. a daemon that was started by hand is stopped: it holds the sockets. Its living runs know port,
//!    token and certificate; the next daemon takes them up on that port, which is why it is the one
//!    that is installed;
//! 4. the sockets are opened, and a first connection shows that the daemon starts. If it does not,
//!    what this command wrote is taken back.
//!
//! Done twice it changes nothing and says so. Not here: the files and the manager ([`crate::service`]).

use std::fs;
use std::path::{Path, PathBuf};

use authsome_proto::{ErrorCode, Places, Request, Response};
use serde_json::{Value, json};

use super::version::OURS;
use super::{daemon, status};
use crate::cli::{ServiceChange, ServiceVerb};
use crate::connect::{Found, Start, connect_to, find_at, places};
use crate::error::{Done, Failure};
use crate::service::written::{self, Changes, Origin};
use crate::service::{Service, State, port};
use crate::start;
use crate::ui::{Ui, printable};

pub(super) fn service(verb: &ServiceVerb, ui: Ui) -> Done {
    let places = places()?;
    let service = Service::of(&places)
        .ok_or_else(|| Failure::failed("cannot tell where your services are").hint("set `HOME`"))?;
    match verb {
        ServiceVerb::Install(arguments) => install(&places, &service, arguments, ui),
        ServiceVerb::Status => show(&places, &service, ui),
        ServiceVerb::Uninstall(arguments) => uninstall(&places, &service, arguments, ui),
    }
}

/// The daemon that runs now.
#[derive(Debug)]
struct Running {
    pid: Option<i32>,
    build: String,
    port: Option<u16>,
    runs: u32,
}

/// Looks for a daemon without starting one.
fn running(places: &Places, ui: Ui) -> Result<Option<Running>, Failure> {
    match find_at(places, ui)? {
        Found::Nobody => Ok(None),
        Found::Foreign { .. } => Err(Failure::failed(
            "a daemon of another version runs, which cannot be asked about its runs",
        )
        .hint("`authsome daemon restart` replaces it; then run this again")),
        Found::Greeted(mut daemon) => {
            let status = status::ask(&mut daemon, ui)?;
            Ok(Some(Running {
                pid: i32::try_from(status.pid).ok(),
                build: status.version,
                port: status.proxy_port,
                runs: status.runs,
            }))
        }
    }
}

/// A program in a run must not end the daemon or change how it starts (threat L3). The daemon would
/// refuse it; the manager knows of no runs.
pub(super) fn refuse_inside_run(places: &Places, what: &str, ui: Ui) -> Done {
    let refused = |run: &str| {
        let mut failure = Failure::failed(format!("`{what}` is refused inside run {run}"))
            .hint("use a shell outside of the run");
        failure.code = Some(ErrorCode::RefusedInsideRun);
        Err(failure)
    };
    if let Some(run) = std::env::var_os("AUTHSOME_RUN") {
        return refused(&printable(&run.to_string_lossy()));
    }
    // a daemon that hangs, or is of another version, refuses nothing
    if let Ok(Found::Greeted(mut daemon)) = find_at(places, ui)
        && let Ok(Response::WhoAmI(who)) = daemon.call(Request::WhoAmI, ui)
        && let Some(run) = who.run
    {
        return refused(run.as_str());
    }
    Ok(())
}

fn install(places: &Places, service: &Service, arguments: &ServiceChange, ui: Ui) -> Done {
    refuse_inside_run(places, "service install", ui)?;
    let daemon = stable(&start::find()?);
    service.reachable()?;
    let running = running(places, ui)?;
    let told = service.told()?;
    let known = port::Known {
        daemon: running.as_ref().and_then(|it| it.port),
        has_runs: running.as_ref().is_some_and(|it| it.runs > 0),
        installed: service.port(),
        listens: told.listens,
    };
    let port = port::choose(known, port::is_free, port::draw).ok_or_else(|| {
        Failure::failed("no port of 127.0.0.1 is free for the proxy")
            .hint("`ss -ltn` shows who listens")
    })?;
    let plan = service.plan(&daemon, port)?;
    let changes = Changes::between(plan, &service.files(), arguments.force)?;
    let by_hand = running
        .as_ref()
        .filter(|it| it.pid.is_none() || it.pid != told.pid);
    let was_on = service.state() == State::On;
    let mut report = Report::new(service, port, &changes);
    report.warnings.extend(passing(&daemon));
    if changes.is_empty() && was_on && told.listens && !told.stale && by_hand.is_none() {
        report.executable = Some(daemon);
        report.daemon = running.as_ref().map(|it| (it.pid, it.build.clone()));
        return report.show("nothing to do: the service is installed and listens", ui);
    }
    let done = bring_up(places, service, &changes, by_hand, ui);
    let greeted = match done {
        Ok(greeted) => greeted,
        Err(failure) => {
            take_back(service, &changes, was_on);
            // living runs wait for a daemon; and one that cannot start says why better than the
            // manager does
            start::start(ui)?;
            return Err(failure);
        }
    };
    if let Some(file) = service.told()?.file
        && !service.files().contains(&file)
        && service.files().first().is_some_and(|own| own.exists())
    {
        report.warnings.push(format!(
            "the manager uses `{}` instead of what was written",
            file.display()
        ));
    }
    report.stopped = by_hand.and_then(|it| it.pid);
    report.runs = by_hand.map_or(0, |it| it.runs);
    report.executable = Some(daemon);
    report.daemon = Some(greeted);
    report.show(
        "the service is installed; the first connection starts the daemon",
        ui,
    )?;
    if !ui.json && !lingers() {
        ui.note(
            "it lives while you are logged in; `loginctl enable-linger` has it live from boot on",
        );
    }
    Ok(())
}

/// Steps 2 to 4; the daemon that answers.
fn bring_up(
    places: &Places,
    service: &Service,
    changes: &Changes,
    by_hand: Option<&Running>,
    ui: Ui,
) -> Result<(Option<i32>, String), Failure> {
    changes.apply()?;
    service.reload()?;
    if by_hand.is_some() {
        daemon::stop_if_any(places, ui)?;
    }
    let mut touched: Vec<PathBuf> = changes.write.iter().map(|it| it.path.clone()).collect();
    touched.extend(changes.remove.iter().cloned());
    service.switch_on(&touched)?;
    let connected = connect_to(places, Start::Service, ui).map_err(|failure| {
        let mut cannot = Failure::failed(format!(
            "`{}` does not start its daemon",
            service.daemon_name()
        ))
        .cause(failure.message);
        cannot.causes.extend(failure.causes);
        cannot.hint(format!(
            "nothing is installed; `{} --lines 20` may say why",
            service.log_command()
        ))
    });
    let status = status::ask(&mut connected?, ui)?;
    let pid = i32::try_from(status.pid).ok();
    let told = service.told()?;
    if told.pid != pid {
        return Err(Failure::failed(format!(
            "another daemon than that of `{}` answers",
            service.daemon_name()
        ))
        .hint(format!("`{}` says more", service.status_command())));
    }
    Ok((pid, status.version))
}

/// Undoes what this command did. What failed before is what is told.
fn take_back(service: &Service, changes: &Changes, was_on: bool) {
    let undone = if was_on {
        service.close()
    } else {
        service.switch_off()
    };
    drop(undone);
    drop(changes.take_back());
    drop(service.reload());
}

/// What an installation did.
struct Report<'a> {
    service: &'a Service,
    port: u16,
    wrote: Vec<PathBuf>,
    removed: Vec<PathBuf>,
    same: Vec<PathBuf>,
    stopped: Option<i32>,
    runs: u32,
    executable: Option<PathBuf>,
    daemon: Option<(Option<i32>, String)>,
    warnings: Vec<String>,
}

impl<'a> Report<'a> {
    fn new(service: &'a Service, port: u16, changes: &Changes) -> Self {
        Self {
            service,
            port,
            wrote: changes.write.iter().map(|it| it.path.clone()).collect(),
            removed: changes.remove.clone(),
            same: changes.same.clone(),
            stopped: None,
            runs: 0,
            executable: None,
            daemon: None,
            warnings: Vec::new(),
        }
    }

    fn show(&self, outcome: &str, ui: Ui) -> Done {
        if ui.json {
            return ui.object(json!({
                "manager": self.service.manager(),
                "service": self.service.daemon_name(),
                "changed": !(self.wrote.is_empty() && self.removed.is_empty()),
                "wrote": self.wrote,
                "removed": self.removed,
                "unchanged": self.same,
                "proxy_port": self.port,
                "executable": self.executable,
                "stopped": self.stopped,
                "daemon": self.daemon.as_ref().map(|(pid, version)| {
                    json!({ "pid": pid, "version": version })
                }),
                "warnings": self.warnings,
            }));
        }
        for path in &self.wrote {
            ui.done(&format!("wrote `{}`", path.display()))?;
        }
        for path in &self.removed {
            ui.done(&format!("removed `{}`", path.display()))?;
        }
        if let Some(pid) = self.stopped {
            let runs = match self.runs {
                0 => String::new(),
                1 => "; its living run goes on".into(),
                runs => format!("; its {runs} living runs go on"),
            };
            ui.done(&format!(
                "stopped process {pid}, a daemon that was not the service's{runs}"
            ))?;
        }
        ui.done(outcome)?;
        ui.done(&format!("proxy   127.0.0.1:{}", self.port))?;
        if let Some(executable) = &self.executable {
            ui.done(&format!(
                "starts  {}",
                printable(&executable.to_string_lossy())
            ))?;
        }
        for warning in &self.warnings {
            ui.warning(warning);
        }
        Ok(())
    }
}

fn uninstall(places: &Places, service: &Service, arguments: &ServiceChange, ui: Ui) -> Done {
    refuse_inside_run(places, "service uninstall", ui)?;
    let mut ours = Vec::new();
    let mut kept = Vec::new();
    for path in service.files() {
        match written::look(&path)? {
            None => {}
            Some((_, Origin::Ours)) => ours.push(path),
            Some((_, Origin::Changed)) if arguments.force => ours.push(path),
            // its sockets would stay, and the port be gone
            Some((_, origin @ Origin::Changed)) => {
                return Err(written::refused(&path, origin, "removed"));
            }
            Some((_, Origin::Foreign)) => kept.push(path),
        }
    }
    if ours.is_empty() {
        if ui.json {
            return ui.object(json!({ "removed": ours, "left": kept, "stopped": null }));
        }
        ui.done("nothing to do: no service was installed")?;
        for path in &kept {
            ui.note(&format!("`{}` is not ours and stays", path.display()));
        }
        return Ok(());
    }
    // a daemon of another version, or none that answers, is stopped with the sockets
    let running = running(places, ui).unwrap_or(None);
    let told = service.told();
    match &told {
        Ok(_) => service.switch_off()?,
        Err(failure) => {
            ui.warning(&format!(
                "{}; only the files are removed",
                failure.causes.first().unwrap_or(&failure.message)
            ));
        }
    }
    for path in &ours {
        written::remove(path)?;
    }
    match &told {
        Ok(_) => service.reload()?,
        Err(_) => service.forget(),
    }
    let stopped = told.ok().and_then(|told| told.pid);
    let has_runs = stopped.is_some() && running.is_some_and(|it| it.runs > 0);
    if has_runs {
        // nobody opens their port any more: a daemon of the old kind takes them up
        start::start(ui)?;
    }
    let left = service.state() != State::Absent;
    if ui.json {
        return ui.object(json!({ "removed": ours, "left": kept, "stopped": stopped }));
    }
    for path in &ours {
        ui.done(&format!("removed `{}`", path.display()))?;
    }
    ui.done(if has_runs {
        "the service is uninstalled; a daemon without it serves the living runs"
    } else {
        "the service is uninstalled; commands start the daemon by themselves"
    })?;
    ui.note("connections and settings stay");
    if left {
        ui.note(&format!(
            "units of a package are still switched on for every user; `systemctl --user mask {}` \
             switches them off for you",
            service.sockets_name()
        ));
    }
    Ok(())
}

fn show(places: &Places, service: &Service, ui: Ui) -> Done {
    let state = service.state();
    let told = service.told();
    let files: Vec<(PathBuf, Origin)> = service
        .files()
        .into_iter()
        .filter_map(|path| Some((written::look(&path).ok()??.1, path)))
        .map(|(origin, path)| (path, origin))
        .collect();
    let executable = service.executable();
    let missing = executable.as_ref().filter(|path| !path.is_file());
    let running = running(places, ui).unwrap_or(None);
    let pid = told.as_ref().ok().and_then(|told| told.pid);
    let managed = running.as_ref().map(|it| it.pid.is_some() && it.pid == pid);
    let mut warnings = Vec::new();
    if let Some(missing) = missing {
        warnings.push(format!(
            "the service starts `{}`, which is not there; `authsome service install` has it start \
             the daemon that is installed now",
            missing.display()
        ));
    }
    if managed == Some(false) && state != State::Absent {
        warnings.push(
            "the daemon that runs is not the service's; `authsome daemon restart` hands over to it"
                .into(),
        );
    }
    if let Some(running) = &running {
        warnings.extend(status::skew(places, &running.build));
    }
    if told.as_ref().is_ok_and(|told| told.stale) {
        warnings.push(
            "its files were changed since the manager read them; `authsome daemon restart` has it \
             read them again"
                .into(),
        );
    }
    let word = match state {
        State::Absent => "not installed",
        State::Off => "installed, switched off",
        State::On => "installed",
    };
    if ui.json {
        ui.object(json!({
            "installed": state != State::Absent,
            "on": state == State::On,
            "manager": service.manager(),
            "reachable": told.is_ok(),
            "sockets": { "name": service.sockets_name(),
                "state": told.as_ref().ok().map(|told| &told.sockets),
                "listens": told.as_ref().is_ok_and(|told| told.listens) },
            "service": { "name": service.daemon_name(),
                "state": told.as_ref().ok().map(|told| &told.daemon), "pid": pid },
            "files": files.iter().map(|(path, origin)| json!({
                "path": path, "state": origin.as_str() })).collect::<Value>(),
            "proxy_port": service.port(),
            "control": places.socket(),
            "executable": executable,
            "daemon": running.as_ref().map(|it| json!({
                "pid": it.pid, "version": it.build, "managed": managed })),
            "client": OURS,
            "warnings": warnings,
        }))?;
        return absent(state);
    }
    let put = |name: &str, value: &str| ui.line(&format!("{name:<9}{}", printable(value)));
    let whose = match &told {
        Ok(_) => service.manager().to_owned(),
        Err(failure) => format!(
            "{}: {}",
            service.manager(),
            failure.causes.first().unwrap_or(&failure.message)
        ),
    };
    put("service", word)?;
    put("manager", &whose)?;
    if state != State::Absent {
        if let Ok(told) = &told {
            put(
                "sockets",
                &format!("{}: {}", service.sockets_name(), told.sockets),
            )?;
            put(
                "daemon",
                &format!("{}: {}", service.daemon_name(), told.daemon),
            )?;
        }
        put("control", &places.socket().to_string_lossy())?;
        let port = service.port().map_or_else(
            || "a port of the daemon's choice".into(),
            |port| format!("127.0.0.1:{port}"),
        );
        put("proxy", &port)?;
        if let Some(executable) = &executable {
            put("starts", &executable.to_string_lossy())?;
        }
        for (path, origin) in &files {
            put("file", &format!("{} ({})", path.display(), origin.as_str()))?;
        }
    }
    if let Some(running) = &running {
        let whose = match managed {
            Some(true) => "the service's",
            _ => "started without the service",
        };
        let pid = running
            .pid
            .map_or_else(String::new, |pid| format!("process {pid}, "));
        put("running", &format!("{pid}{}, {whose}", running.build))?;
    }
    for warning in &warnings {
        ui.warning(warning);
    }
    absent(state)
}

fn absent(state: State) -> Done {
    match state {
        State::Absent => Err(Failure::said(1)),
        State::Off | State::On => Ok(()),
    }
}

/// The name by which `daemon` is found in `PATH`, where there is one: links of package managers stay
/// when the version they lead to goes.
fn stable(daemon: &Path) -> PathBuf {
    let Ok(real) = fs::canonicalize(daemon) else {
        return daemon.to_owned();
    };
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .filter(|folder| folder.is_absolute())
        .filter_map(|folder| Some(folder.join(daemon.file_name()?)))
        .find(|candidate| fs::canonicalize(candidate).is_ok_and(|it| it == real))
        .unwrap_or_else(|| daemon.to_owned())
}

/// Warns of places whose files do not stay.
fn passing(daemon: &Path) -> Option<String> {
    let starts = ["/tmp", "/var/tmp", "/dev/shm", "/run", "/nix/store"];
    let folder = starts.iter().find(|folder| daemon.starts_with(folder));
    let built = daemon.parent().and_then(|folder| {
        let profile = folder.file_name()?;
        let above = folder.ancestors().any(|it| it.ends_with("target"));
        (above && (profile == "debug" || profile == "release")).then_some("a build folder")
    });
    let whose = folder.copied().or(built)?;
    Some(format!(
        "the service starts `{}`; once that file is gone ({}) it starts nothing. Install \
         `authsomed` to a place that stays and run this again",
        daemon.display(),
        if folder.is_some() {
            format!("files in `{whose}` do not stay")
        } else {
            "files in a build folder do not stay".into()
        }
    ))
}

/// Whether the user manager lives without a login session.
fn lingers() -> bool {
    let user = nix::unistd::User::from_uid(nix::unistd::getuid())
        .ok()
        .flatten();
    user.is_some_and(|user| {
        Path::new("/var/lib/systemd/linger")
            .join(user.name)
            .exists()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_that_do_not_stay_are_warned_of() {
        for path in [
            "/tmp/x/authsomed",
            "/nix/store/abc-authsome/bin/authsomed",
            "/home/u/authsome/target/debug/authsomed",
            "/home/u/authsome/target/x86_64-unknown-linux-musl/release/authsomed",
        ] {
            let warning = passing(Path::new(path)).unwrap();
            assert!(warning.contains(path), "{warning}");
        }
        for path in [
            "/usr/bin/authsomed",
            "/home/u/.cargo/bin/authsomed",
            "/home/u/target/authsomed",
            "/opt/release/authsomed",
        ] {
            assert_eq!(passing(Path::new(path)), None, "{path}");
        }
    }
}
