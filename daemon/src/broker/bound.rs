//! Runs that are about a process which ran before them: a shell, by `authsome env`.
//!
//! Such a run ends with that process. It lends from it nothing but its life: who is inside is told
//! by the mark alone, which the process hands down once it has taken the variables. So a shell that
//! drops them again (it left the folder that they are for) is out of the run, and the run is there
//! when it takes them again.
//!
//! 1. The process is held by pidfd, and what is asked of it afterwards is asked of its pid. It lives
//!    at the end, so the pid was its own all the time.
//! 2. It must be one that the asking process descends from, of our user, and not a manager of other
//!    people's processes.
//! 3. It must be inside of the same run as the asking process, or a program could bring the shell of
//!    the person into a run (threat L3). Runs that are about it are left aside in that comparison.
//! 4. If it has a run that was asked for in the same way, that run is given again.
//!
//! direnv is started by the shell with the variables of the folder that is left, and asks for those
//! of the one that is entered: its own mark is not looked at ([`machinery`]). That opens nothing: what
//! a shell starts directly could as well execute itself without the mark.
//!
//! Not here: everything that such a run has in common with others (`start`), its end (`life`).

use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;

use authsome_proto::request::{RunLife, RunStart};
use authsome_proto::{ErrorCode, RunId, WireError, response};

use super::run::Run;
use super::start::Asker;
use super::{Broker, Inside};
use crate::errors::storage;
use crate::runs::RunSpec;
use crate::sys::pidfd::{self, Identity};
use crate::sys::processes;

/// Most runs about one process. Each wish that differs makes another one, and they all live as long
/// as the process, so a script that asks for ever new ones would take the daemon's ports.
const RUNS_MAX: usize = 16;

/// The program that manages a user's services, and is above everything the user has.
const MANAGER: &str = "systemd";

/// The program that reads a folder's settings on behalf of a shell.
const READER: &str = "direnv";

/// The process between `asker` and `shell` that asks on behalf of the shell, if there is one: direnv,
/// started by the shell itself. What other programs start is not: they are in the run, and so is all
/// below them.
pub(super) fn machinery(asker: u32, shell: u32) -> Option<u32> {
    let line = pidfd::lineage(asker);
    let below = line.iter().position(|pid| *pid == shell)?;
    let mut between = line.get(..below)?.iter().rev();
    let first = between.find(|pid| !pidfd::is_fork(**pid))?;
    (pidfd::program(*first).as_deref() == Some(READER)).then_some(*first)
}

/// The process that a run is to be about.
#[derive(Debug)]
pub(super) struct Target {
    /// Which.
    pub(super) identity: Identity,
    /// A handle on it.
    pub(super) process: OwnedFd,
}

impl Broker {
    /// The process `pid`, if a run that `asker` asks for may be about it. `outer` is the run that
    /// the asker is inside of.
    pub(super) fn target(
        &self,
        asker: &Asker,
        pid: u32,
        outer: Option<&Arc<Run>>,
        life: RunLife,
    ) -> Result<Target, WireError> {
        let refuse = |what: String| WireError::new(ErrorCode::BadRequest, what);
        if matches!(life, RunLife::TreeAtMost(_)) {
            return Err(refuse("a run that is about a process ends with it".into())
                .hint("`authsome run --keep TIME -- COMMAND` starts one that goes on"));
        }
        if pid <= 1 {
            return Err(refuse(format!("a run cannot be about process {pid}"))
                .hint("start another shell (`bash`), and ask from there"));
        }
        let gone = |error: &std::io::Error| storage(&format!("look at process {pid}"), error);
        let process = pidfd::open(pid).map_err(|error| gone(&error))?;
        let identity = Identity::of(pid).map_err(|error| gone(&error))?;
        if !pidfd::lineage(asker.pid).contains(&pid) {
            return Err(refuse(format!(
                "process {pid} is none that the asking one (process {}) descends from",
                asker.pid
            ))
            .hint("a run can be about the shell that asks for it, or a process above that"));
        }
        if !processes::is_ours(pid).map_err(|error| gone(&error))? {
            return Err(refuse(format!("process {pid} belongs to another user")));
        }
        if pidfd::program(pid).as_deref() == Some(MANAGER) {
            return Err(refuse(format!(
                "process {pid} manages your services, and ends with your last session"
            ))
            .hint("a run can be about the shell that asks for it"));
        }
        let theirs = match self.inside(pid) {
            Inside::Living(run) => Some(run.view.id.clone()),
            Inside::No => None,
            Inside::Over => {
                return Err(WireError::new(
                    ErrorCode::RefusedInsideRun,
                    format!("process {pid} was left behind by a run that is over"),
                )
                .hint("open a new shell, from outside of that run"));
            }
        };
        if self.around(outer, &identity) != theirs {
            return Err(WireError::new(
                ErrorCode::RefusedInsideRun,
                format!("process {pid} is not in the run that asks"),
            )
            .hint("a program in a run can bind another run to processes of its own run only"));
        }
        let lives = |fd: &OwnedFd| pidfd::is_alive(fd.as_fd());
        if !lives(&process) || !lives(&asker.process) {
            return Err(refuse(format!("process {pid} has ended")));
        }
        Ok(Target { identity, process })
    }

    /// The first run from `outer` outwards that is not about the process itself.
    fn around(&self, outer: Option<&Arc<Run>>, process: &Identity) -> Option<RunId> {
        let mut around = outer.cloned();
        while let Some(run) = around.take_if(|run| run.is_bound_to(process)) {
            let next = run.record().outer.clone();
            // an outer run is always older, so this ends
            around = next.and_then(|id| self.runs.find(&id));
        }
        around.map(|run| run.view.id.clone())
    }

    /// The living run about `target` that was asked for in the same way from the same place, or the
    /// one that the asker has already if nothing less is wished for.
    pub(super) fn bound_run(
        &self,
        target: &Target,
        outer: Option<&Arc<Run>>,
        spec: &RunSpec,
        life: RunLife,
    ) -> Option<Arc<Run>> {
        let has = |run: &Arc<Run>| {
            let record = run.record();
            record.process == target.identity
                && record.spec == *spec
                && !record.life.keeps
                && (life == RunLife::Process || record.bound == Some(life))
        };
        if let Some(run) = outer.filter(|run| has(run)) {
            return Some(Arc::clone(run));
        }
        let outer = outer.map(|run| &run.view.id);
        self.runs.all().into_iter().find(|run| {
            let record = run.record();
            record.process == target.identity
                && record.spec == *spec
                && record.bound == Some(life)
                && record.outer.as_ref() == outer
        })
    }

    /// Refuses one run too many about a process.
    pub(super) fn check_room(&self, target: &Target) -> Result<(), WireError> {
        let runs = self.runs.all();
        let about = runs.iter().filter(|run| run.is_bound_to(&target.identity));
        if about.count() < RUNS_MAX {
            return Ok(());
        }
        let pid = target.identity.pid;
        Err(WireError::new(
            ErrorCode::TooManyRequests,
            format!("{RUNS_MAX} runs are about process {pid} already"),
        )
        .hint("`authsome runs` lists them, `authsome runs stop ID` ends one; or open a new shell"))
    }

    /// Gives the variables of a living run again.
    pub(super) async fn again(
        self: &Arc<Self>,
        run: &Arc<Run>,
        request: &RunStart,
        mut warnings: Vec<String>,
    ) -> Result<response::RunStarted, WireError> {
        let environment = self.environment(run, request).await?;
        warnings.extend(environment.warnings);
        Ok(response::RunStarted {
            run: run.view.id.clone(),
            set: environment.set,
            remove: environment.remove,
            warnings,
            granted: self.granted(run),
        })
    }
}

impl Run {
    /// Whether it was started for this process, which ran already.
    fn is_bound_to(&self, process: &Identity) -> bool {
        let record = self.record();
        record.bound.is_some() && record.process == *process
    }
}
