//! Which processes belong to a run that keeps, once its first one is gone.
//!
//! A run sets `AUTHSOME_RUN` in the environment of its command, and each process inherits it from
//! the one before. The kernel shows the environment that a process was started with; no parent,
//! session or terminal is needed to find it there. What starts without it (`env -i`), as another
//! user, or writes over that memory is not found.
//!
//! 1. A process is held by pidfd when its environment is read, and lives afterwards: what was read
//!    is of the process that is held, whatever becomes of the pid (`sys/processes.rs`).
//! 2. A process in the middle of `execve` shows no environment for a moment, and one that is being
//!    forked is not in the list yet. So nobody is there only if several looks found nobody
//!    ([`LOOKS`]).
//!
//! Not here: what follows from it, which is `broker/life.rs`.

use std::collections::BTreeSet;
use std::io;
use std::time::Duration;

use authsome_proto::RunId;

use super::watch::Watched;
use crate::sys::processes;

/// The variable that every process of a run begins with.
pub const MARK: &str = "AUTHSOME_RUN";

/// Whether the processes of a run can be found on this system.
pub const SUPPORTED: bool = cfg!(target_os = "linux");

/// The pauses before the looks for somebody. `execve` takes milliseconds, more on a busy machine;
/// longer pauses would leave a token alive that nobody has.
pub const LOOKS: [Duration; 3] = [
    Duration::ZERO,
    Duration::from_millis(100),
    Duration::from_millis(900),
];

/// A process that was marked as one of a run when it was found.
#[derive(Debug)]
pub struct Marked {
    process: Watched,
    pid: u32,
    mark: String,
}

impl Marked {
    /// Returns when the process has ended.
    pub async fn ended(&self) -> io::Result<()> {
        self.process.ended().await
    }

    /// Whether it still is marked. It may execute another program without the variable.
    pub async fn is_marked(&self) -> io::Result<bool> {
        let (pid, mark) = (self.pid, self.mark.clone());
        let asked = tokio::task::spawn_blocking(move || processes::is_marked(pid, MARK, &mark));
        asked.await.map_err(io::Error::other)?
    }
}

/// A living process that is marked as one of `run`; of several the one with the lowest pid, which
/// is likely the one that lives longest.
pub async fn somebody(run: &RunId) -> io::Result<Option<Marked>> {
    let mark = run.as_str().to_owned();
    // the list may be long, and a process can make who reads its memory wait
    let found = tokio::task::spawn_blocking(move || {
        processes::marked(MARK, &mark).map(|found| (found, mark))
    });
    let (found, mark) = found.await.map_err(io::Error::other)??;
    found
        .map(|(pid, process)| {
            Ok(Marked {
                process: Watched::new(process)?,
                pid,
                mark,
            })
        })
        .transpose()
}

/// The runs that living processes are marked as, also those that are over.
pub async fn marks() -> io::Result<BTreeSet<RunId>> {
    let values = tokio::task::spawn_blocking(|| processes::values_of(MARK));
    let values = values.await.map_err(io::Error::other)??;
    Ok(values.iter().filter_map(|it| it.parse().ok()).collect())
}

/// A run as it was stored, and what there is of it when the daemon starts.
#[derive(Debug, Clone, Copy)]
pub struct Stored<'a> {
    /// The run.
    pub id: &'a RunId,
    /// The run that it is inside of.
    pub outer: Option<&'a RunId>,
    /// It outlives its first process.
    pub keeps: bool,
    /// Its first process lives.
    pub first_lives: bool,
    /// A living process is marked as one of it.
    pub is_marked: bool,
}

/// Which of `runs` live. Pure.
///
/// A run lives by its first process; one that keeps also by any other, or by a run inside of it.
/// None lives inside of one that is over.
pub fn living(runs: &[Stored<'_>]) -> BTreeSet<RunId> {
    let by_itself = |run: &&Stored<'_>| run.first_lives || (run.keeps && run.is_marked);
    let mut living: BTreeSet<RunId> = runs
        .iter()
        .filter(by_itself)
        .map(|run| run.id.clone())
        .collect();
    loop {
        let kept_by_inner = runs.iter().find(|run| {
            run.keeps
                && !living.contains(run.id)
                && runs
                    .iter()
                    .any(|it| it.outer == Some(run.id) && living.contains(it.id))
        });
        let Some(run) = kept_by_inner else { break };
        living.insert(run.id.clone());
    }
    loop {
        let orphan = runs.iter().find(|run| {
            living.contains(run.id) && run.outer.is_some_and(|outer| !living.contains(outer))
        });
        let Some(run) = orphan else { return living };
        living.remove(run.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each run as its name, the one around it, and of `k` (keeps), `f` (its first process lives),
    /// `m` (a process is marked) what holds.
    fn names(runs: &[(&str, Option<&str>, &str)]) -> String {
        let ids: Vec<(RunId, Option<RunId>)> = runs
            .iter()
            .map(|(id, outer, _)| {
                (
                    id.parse().unwrap(),
                    outer.map(|outer| outer.parse().unwrap()),
                )
            })
            .collect();
        let stored: Vec<_> = ids
            .iter()
            .zip(runs)
            .map(|((id, outer), (_, _, what))| Stored {
                id,
                outer: outer.as_ref(),
                keeps: what.contains('k'),
                first_lives: what.contains('f'),
                is_marked: what.contains('m'),
            })
            .collect();
        let living: Vec<String> = living(&stored).iter().map(ToString::to_string).collect();
        living.join(" ")
    }

    #[test]
    fn a_run_lives_by_its_first_process_and_one_that_keeps_by_any() {
        assert_eq!(names(&[("a", None, "f"), ("b", None, "m")]), "a");
        assert_eq!(
            names(&[("a", None, "km"), ("b", None, "kf"), ("c", None, "k")]),
            "a b"
        );
    }

    #[test]
    fn nothing_lives_inside_of_a_run_that_is_over() {
        assert_eq!(names(&[("b", Some("a"), "fm")]), "");
        let over = [
            ("a", None, ""),
            ("b", Some("a"), "f"),
            ("c", Some("b"), "km"),
        ];
        assert_eq!(names(&over), "");
        // nor does it keep what is around the one that is over
        let around = [
            ("a", None, "k"),
            ("b", Some("a"), "m"),
            ("c", Some("b"), "f"),
        ];
        assert_eq!(names(&around), "");
    }

    #[test]
    fn a_run_inside_keeps_the_one_around_it() {
        assert_eq!(names(&[("a", None, "k"), ("b", Some("a"), "f")]), "a b");
        let deep = [
            ("c", Some("b"), "f"),
            ("b", Some("a"), "k"),
            ("a", None, "k"),
        ];
        assert_eq!(names(&deep), "a b c");
        assert_eq!(names(&[("a", None, ""), ("b", Some("a"), "f")]), "");
    }
}
