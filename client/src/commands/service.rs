//! `service install|uninstall|status`: the daemon under the user's service manager.
//!
//! Not here: the files and the manager ([`crate::service`]).

mod install;
mod show;
mod uninstall;

use authsome_proto::{ErrorCode, Places, Request, Response};

use super::status;
use crate::cli::ServiceVerb;
use crate::connect::{Found, find_at, places};
use crate::error::{Done, Failure};
use crate::service::Service;
use crate::ui::{Ui, printable};

pub(super) fn service(verb: &ServiceVerb, ui: Ui) -> Done {
    let places = places()?;
    let service = Service::of(&places)
        .ok_or_else(|| Failure::failed("cannot tell where your services are").hint("set `HOME`"))?;
    match verb {
        ServiceVerb::Install(arguments) => install::install(&places, &service, arguments, ui),
        ServiceVerb::Status => show::show(&places, &service, ui),
        ServiceVerb::Uninstall(arguments) => uninstall::uninstall(&places, &service, arguments, ui),
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
