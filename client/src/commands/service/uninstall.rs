//! `service uninstall`: what was installed goes; connections, settings and living runs stay.

use authsome_proto::Places;
use serde_json::json;

use super::{refuse_inside_run, running};
use crate::cli::ServiceChange;
use crate::error::Done;
use crate::service::written::{self, Origin};
use crate::service::{Service, State};
use crate::start;
use crate::ui::Ui;

pub(super) fn uninstall(
    places: &Places,
    service: &Service,
    arguments: &ServiceChange,
    ui: Ui,
) -> Done {
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
            ui.warning(&format!("{}; only the files are removed", failure.reason()));
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
