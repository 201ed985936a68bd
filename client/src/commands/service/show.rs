//! `service status`: what is installed, what the manager says of it, and what does not fit.

use std::path::PathBuf;

use authsome_proto::Places;
use serde_json::{Value, json};

use super::{Running, running};
use crate::commands::status;
use crate::commands::version::OURS;
use crate::error::{Done, Failure};
use crate::service::written::{self, Origin};
use crate::service::{Service, State, Told};
use crate::ui::{Ui, printable};

/// What was found.
struct Findings<'a> {
    places: &'a Places,
    service: &'a Service,
    state: State,
    /// What the manager says; why it cannot be asked.
    told: Result<Told, Failure>,
    files: Vec<(PathBuf, Origin)>,
    executable: Option<PathBuf>,
    running: Option<Running>,
}

pub(super) fn show(places: &Places, service: &Service, ui: Ui) -> Done {
    let found = Findings {
        places,
        service,
        state: service.state(),
        told: service.told(),
        files: service
            .files()
            .into_iter()
            .filter_map(|path| Some((written::look(&path).ok()??.1, path)))
            .map(|(origin, path)| (path, origin))
            .collect(),
        executable: service.executable(),
        // one that cannot be asked is told of by what the manager says
        running: running(places, ui).unwrap_or(None),
    };
    let warnings = found.warnings();
    if ui.json {
        ui.object(found.json(&warnings))?;
    } else {
        found.print(ui)?;
        for warning in &warnings {
            ui.warning(warning);
        }
    }
    match found.state {
        State::Absent => Err(Failure::said(1)),
        State::Off | State::On => Ok(()),
    }
}

impl Findings<'_> {
    /// The service's process, as the manager knows it.
    fn pid(&self) -> Option<i32> {
        self.told.as_ref().ok().and_then(|told| told.pid)
    }

    /// Whether the daemon that runs is the service's.
    fn is_managed(&self) -> Option<bool> {
        let running = self.running.as_ref()?;
        Some(running.pid.is_some() && running.pid == self.pid())
    }

    fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if let Some(missing) = self.executable.as_ref().filter(|path| !path.is_file()) {
            warnings.push(format!(
                "the service starts `{}`, which is not there; `authsome service install` has it \
                 start the daemon that is installed now",
                missing.display()
            ));
        }
        if self.is_managed() == Some(false) && self.state != State::Absent {
            warnings.push(
                "the daemon that runs is not the service's; `authsome daemon restart` hands over \
                 to it"
                    .into(),
            );
        }
        if let Some(running) = &self.running {
            warnings.extend(status::skew(self.places, &running.build));
        }
        if self.told.as_ref().is_ok_and(|told| told.stale) {
            warnings.push(
                "its files were changed since the manager read them; `authsome daemon restart` \
                 has it read them again"
                    .into(),
            );
        }
        warnings
    }

    fn json(&self, warnings: &[String]) -> Value {
        let told = self.told.as_ref().ok();
        json!({
            "installed": self.state != State::Absent,
            "on": self.state == State::On,
            "manager": self.service.manager(),
            "reachable": told.is_some(),
            "sockets": {
                "name": self.service.sockets_name(),
                "state": told.map(|told| &told.sockets),
                "listens": told.is_some_and(|told| told.listens),
            },
            "service": {
                "name": self.service.daemon_name(),
                "state": told.map(|told| &told.daemon),
                "pid": self.pid(),
            },
            "files": self.files.iter().map(|(path, origin)| json!({
                "path": path, "state": origin.as_str() })).collect::<Value>(),
            "proxy_port": self.service.port(),
            "control": self.places.socket(),
            "executable": self.executable,
            "daemon": self.running.as_ref().map(|it| json!({
                "pid": it.pid, "version": it.build, "managed": self.is_managed() })),
            "client": OURS,
            "warnings": warnings,
        })
    }

    fn print(&self, ui: Ui) -> Done {
        let put = |name: &str, value: &str| ui.line(&format!("{name:<9}{}", printable(value)));
        put(
            "service",
            match self.state {
                State::Absent => "not installed",
                State::Off => "installed, switched off",
                State::On => "installed",
            },
        )?;
        let manager = self.service.manager();
        match &self.told {
            Ok(_) => put("manager", manager)?,
            Err(failure) => put("manager", &format!("{manager}: {}", failure.reason()))?,
        }
        if self.state != State::Absent {
            self.print_installed(&put)?;
        }
        if let Some(running) = &self.running {
            let whose = match self.is_managed() {
                Some(true) => "the service's",
                _ => "started without the service",
            };
            let pid = running
                .pid
                .map_or_else(String::new, |pid| format!("process {pid}, "));
            put("running", &format!("{pid}{}, {whose}", running.build))?;
        }
        Ok(())
    }

    fn print_installed(&self, put: &impl Fn(&str, &str) -> Done) -> Done {
        if let Ok(told) = &self.told {
            let (sockets, daemon) = (self.service.sockets_name(), self.service.daemon_name());
            put("sockets", &format!("{sockets}: {}", told.sockets))?;
            put("daemon", &format!("{daemon}: {}", told.daemon))?;
        }
        put("control", &self.places.socket().to_string_lossy())?;
        let port = self.service.port().map_or_else(
            || "a port of the daemon's choice".into(),
            |port| format!("127.0.0.1:{port}"),
        );
        put("proxy", &port)?;
        if let Some(executable) = &self.executable {
            put("starts", &executable.to_string_lossy())?;
        }
        for (path, origin) in &self.files {
            put("file", &format!("{} ({})", path.display(), origin.as_str()))?;
        }
        Ok(())
    }
}
