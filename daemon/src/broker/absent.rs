//! Runs of an earlier daemon that are not served now, for `runs` to say why.
//!
//! Some wait for the vault and are taken up when it opens; the others are over, and their programs
//! get no answer at their port. They are told of until their process ends or somebody stops them.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use authsome_proto::{RunEnding, RunId};

use super::Broker;
use super::resume::remove;
use crate::runs::RunRecord;

/// A run that is not served.
#[derive(Debug, Clone)]
pub struct AbsentRun {
    /// What was stored of it.
    pub record: RunRecord,
    /// Why it is not served, in a few words.
    pub problem: String,
}

impl AbsentRun {
    /// Whether there may be a process that misses it.
    fn is_missed(&self) -> bool {
        let RunRecord { process, life, .. } = &self.record;
        let first_lives = || process.open().is_ok_and(|found| found.is_some());
        !life.is_over(SystemTime::now()) && (life.keeps || first_lives())
    }
}

/// The runs that are not served.
#[derive(Debug, Default)]
pub(super) struct AbsentRuns(Mutex<Vec<AbsentRun>>);

impl AbsentRuns {
    pub(super) fn put(&self, record: &RunRecord, problem: impl Into<String>) {
        self.take(&record.id);
        self.lock().push(AbsentRun {
            record: record.clone(),
            problem: problem.into(),
        });
    }

    pub(super) fn take(&self, id: &RunId) -> Option<AbsentRun> {
        let mut runs = self.lock();
        let at = runs.iter().position(|run| run.record.id == *id)?;
        Some(runs.remove(at))
    }

    pub(super) fn contains(&self, id: &RunId) -> bool {
        self.lock().iter().any(|run| run.record.id == *id)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<AbsentRun>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Broker {
    /// Runs that are not served although a process of theirs may live, oldest first. One that is
    /// just being taken up is among them and among the living ones.
    pub fn absent_runs(&self) -> Vec<AbsentRun> {
        let runs = self.absent.lock().clone();
        runs.into_iter().filter(AbsentRun::is_missed).collect()
    }

    /// Gives up a run that is not served, and those inside it; false if there is none.
    pub(super) fn stop_absent(&self, id: &RunId) -> bool {
        let Some(run) = self.absent.take(id) else {
            return false;
        };
        self.end_absent(&run, RunEnding::Stopped);
        let mut ended = vec![id.clone()];
        while let Some(outer) = ended.pop() {
            let runs = self.absent.lock().clone();
            for inner in runs {
                if inner.record.outer.as_ref() == Some(&outer)
                    && self.absent.take(&inner.record.id).is_some()
                {
                    self.end_absent(&inner, RunEnding::OuterEnded);
                    ended.push(inner.record.id);
                }
            }
        }
        true
    }

    fn end_absent(&self, run: &AbsentRun, why: RunEnding) {
        let dir = run.record.dir(&self.runs_dir());
        if dir.exists() {
            remove(&dir);
        }
        self.say_ended(&run.record, why);
    }
}
