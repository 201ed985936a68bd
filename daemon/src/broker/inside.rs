//! Whether a process belongs to a run (threat L3).

use std::sync::Arc;

use authsome_proto::RunId;

use super::Broker;
use super::run::Run;
use crate::runs::tree::MARK;
use crate::sys::pidfd;

/// The run whose first process is `pid`. Of several (a run whose command is `authsome run` again, in the same
/// process) the one that no other is inside of: each was asked for from inside the one before.
fn innermost(runs: &[Arc<Run>], pid: u32) -> Option<Arc<Run>> {
    // a run may outlive its first process, whose pid then means nothing any more; and a process that
    // ran before its run belongs to what it was in before
    let own = || {
        runs.iter()
            .filter(|run| run.view.pid == pid && !run.outlives_its_first() && !run.is_bound())
    };
    let is_outer = |run: &Run| own().any(|it| it.record().outer.as_ref() == Some(&run.view.id));
    own().find(|run| !is_outer(run)).cloned()
}

/// Whether a process belongs to a run.
#[derive(Debug)]
pub enum Inside {
    /// To this one.
    Living(Arc<Run>),
    /// To none.
    No,
    /// To one that is over.
    Over,
}

impl Broker {
    /// Whether the process `pid` belongs to a run (threat L3).
    ///
    /// Its chain of parents says so while the chain holds, and the mark that every run sets in its
    /// environment can only say more: that it is in a run inside of that one. A process whose
    /// parents are gone is known by its mark alone, as the kernel shows it; a process that got rid
    /// of both is beyond what an unconfined run promises (it could ask the keyring itself).
    pub fn inside(&self, pid: u32) -> Inside {
        self.inside_by(pid, None)
    }

    /// As [`Self::inside`], where the mark of the process `but` says nothing.
    pub(super) fn inside_by(&self, pid: u32, but: Option<u32>) -> Inside {
        let runs = self.runs.all();
        let mut marks = Vec::new();
        let mut by_parents = None;
        for ancestor in pidfd::lineage(pid) {
            by_parents = innermost(&runs, ancestor);
            if by_parents.is_some() {
                break;
            }
            if but != Some(ancestor) {
                marks.extend(pidfd::variable(ancestor, MARK));
            }
        }
        let mut over = false;
        for mark in marks {
            let marked = mark.parse().ok().and_then(|id| self.runs.find(&id));
            match (&by_parents, marked) {
                // a mark is the child's to write: it must not lead out of the run around it
                (Some(around), Some(run)) if self.is_within(&run, &around.view.id) => {
                    return Inside::Living(run);
                }
                (Some(_), Some(_)) => {}
                (None, Some(run)) => return Inside::Living(run),
                (_, None) => over = true,
            }
        }
        match by_parents {
            _ if over => Inside::Over,
            Some(run) => Inside::Living(run),
            None => Inside::No,
        }
    }

    /// How many runs there are from `run` outwards, itself included.
    pub(super) fn depth(&self, run: &Arc<Run>) -> usize {
        let outer = |run: &Arc<Run>| {
            let id = run.record().outer.clone()?;
            self.runs.find(&id)
        };
        // an outer run is always older, so this ends
        std::iter::successors(Some(Arc::clone(run)), outer).count()
    }

    /// Whether `run` is the run `outer` or lies inside of it.
    fn is_within(&self, run: &Arc<Run>, outer: &RunId) -> bool {
        let mut at = Some(Arc::clone(run));
        // an outer run is always older, so this ends
        while let Some(run) = at {
            if run.view.id == *outer {
                return true;
            }
            let next = run.record().outer.clone();
            at = next.and_then(|id| self.runs.find(&id));
        }
        false
    }

    /// The living run that `pid` belongs to.
    pub fn run_of(&self, pid: u32) -> Option<Arc<Run>> {
        match self.inside(pid) {
            Inside::Living(run) => Some(run),
            Inside::No | Inside::Over => None,
        }
    }
}
