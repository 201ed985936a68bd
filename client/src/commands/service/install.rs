//! `service install`, in this order, so that a failure leaves what was there:
//! 1. nothing is touched before it is known that the manager answers, that it sees this home where
//!    we see it, and that no file of a person stands in the way;
//! 2. the files are written and the manager reads them;
//! 3. a daemon that was started by hand is stopped: it holds the sockets. Its living runs know port,
//!    token and certificate; the next daemon takes them up on that port, which is why it is the one
//!    that is installed;
//! 4. the sockets are opened, and a first connection shows that the daemon starts. If it does not,
//!    what this command wrote is taken back.
//!
//! Done twice it changes nothing and says so.

use std::fs;
use std::path::{Path, PathBuf};

use authsome_proto::Places;
use serde_json::json;

use super::{Running, refuse_inside_run, running};
use crate::cli::ServiceChange;
use crate::commands::{daemon, status};
use crate::connect::{Start, connect_to};
use crate::error::{Done, Failure};
use crate::service::written::Changes;
use crate::service::{Service, State, port};
use crate::start;
use crate::ui::{Ui, printable};

pub(super) fn install(
    places: &Places,
    service: &Service,
    arguments: &ServiceChange,
    ui: Ui,
) -> Done {
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
    let folder = match starts.iter().find(|folder| daemon.starts_with(folder)) {
        Some(folder) => format!("`{folder}`"),
        None if is_build(daemon) => "a build folder".into(),
        None => return None,
    };
    Some(format!(
        "the service starts `{}`; once that file is gone (files in {folder} do not stay) it starts \
         nothing. Install `authsomed` to a place that stays and run this again",
        daemon.display()
    ))
}

/// Whether cargo put it where it is.
fn is_build(program: &Path) -> bool {
    program.parent().is_some_and(|folder| {
        (folder.ends_with("debug") || folder.ends_with("release"))
            && folder.ancestors().any(|above| above.ends_with("target"))
    })
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
