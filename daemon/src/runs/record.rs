//! What of a run survives a restart of the daemon: `runs/<id>/run.json`.
//!
//! It holds no secret: the run's token and its CA key are derived from the install secret and the
//! run's id. The record and the CA certificate beside it are enough to serve the run's process
//! again, on the same port, with the same token and CA.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use authsome_proto::request::RunLife;
use authsome_proto::{ProviderName, RunId};
use serde::{Deserialize, Serialize};

use super::life::Life;
use super::spec::RunSpec;
use crate::files;
use crate::sys::pidfd::Identity;

/// The record's layout; one of a later daemon is left alone.
const VERSION: u32 = 1;

/// A run as stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRecord {
    /// The layout.
    pub v: u32,
    /// The run.
    pub id: RunId,
    /// The run that it is inside of.
    pub outer: Option<RunId>,
    /// Its first process.
    pub process: Identity,
    /// The life it was asked for with, if that process ran before it did: then the run ends with the
    /// process, which does not belong to it. Absent in records of daemons that knew no such runs.
    #[serde(default)]
    pub bound: Option<RunLife>,
    /// The command's file name.
    pub program: String,
    /// When it began, RFC 3339.
    pub started_at: String,
    /// When it ends by itself; with its process where an older daemon wrote none.
    #[serde(default)]
    pub life: Life,
    /// What it may use.
    pub spec: RunSpec,
    /// Host patterns that its CA may sign for: later definitions need a new run.
    pub names: Vec<String>,
    /// Providers that had a connection in this run: refused, not passed, once they lose it.
    pub had: BTreeSet<ProviderName>,
    /// The same for connections of a provider's own server, with its base URL.
    #[serde(default)]
    pub had_servers: BTreeSet<(ProviderName, String)>,
    /// The proxy's port that its process was told.
    pub proxy_port: u16,
    /// The run's own port, for clients that cannot send a token.
    pub direct_port: Option<u16>,
}

impl RunRecord {
    /// The layout that this build writes.
    pub const VERSION: u32 = VERSION;

    /// Writes the record into the run's folder.
    pub fn save(&self, runs: &Path) -> io::Result<()> {
        let text = serde_json::to_vec(self)?;
        files::write_whole(&self.dir(runs).join("run.json"), &text)
    }

    /// The run's folder.
    pub fn dir(&self, runs: &Path) -> PathBuf {
        dir(runs, &self.id)
    }
}

/// The folder of run `id`.
pub fn dir(runs: &Path, id: &RunId) -> PathBuf {
    runs.join(id.as_str())
}

/// All records under `runs`, each behind the one that it is inside of, else oldest first; and the folders that hold none that can be used.
pub fn load_all(runs: &Path) -> io::Result<(Vec<RunRecord>, Vec<PathBuf>)> {
    let mut records = Vec::new();
    let mut useless = Vec::new();
    let entries = match fs::read_dir(runs) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((records, useless)),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let path = entry?.path();
        let record = fs::read(path.join("run.json"))
            .ok()
            .and_then(|bytes| serde_json::from_slice::<RunRecord>(&bytes).ok())
            .filter(|record| record.v == VERSION && record.dir(runs) == path);
        match record {
            Some(record) => records.push(record),
            None => useless.push(path),
        }
    }
    records.sort_by(|a, b| a.started_at.cmp(&b.started_at));
    // a run and one inside of it may have begun in the same second
    let around: HashMap<RunId, Option<RunId>> = records
        .iter()
        .map(|record| (record.id.clone(), record.outer.clone()))
        .collect();
    records.sort_by_cached_key(|record| {
        let mut outer = &record.outer;
        let mut depth = 0;
        while let Some(found) = outer.as_ref().and_then(|id| around.get(id))
            // files that lead in a circle were written by somebody else
            && depth < around.len()
        {
            depth += 1;
            outer = found;
        }
        depth
    });
    Ok((records, useless))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a daemon wrote it that knew nothing of lives.
    const OLD: &str = r#"{"v":1,"id":"run1","outer":null,
        "process":{"pid":7,"start":4711,"boot":"b"},"program":"curl",
        "started_at":"2026-11-21T18:33:17Z",
        "spec":{"replaced":{},"only":null,"unmatched":"tunnel"},
        "names":["api.intercom.io"],"had":[],"proxy_port":12000,"direct_port":12001}"#;

    #[test]
    fn a_record_without_a_life_lives_as_long_as_its_process() {
        let record: RunRecord = serde_json::from_str(OLD).unwrap();
        assert_eq!(record.life, Life::default());
        assert!(!record.life.keeps && record.life.deadline().is_none());
    }

    #[test]
    fn a_run_comes_behind_the_one_that_it_is_inside_of() {
        let runs = tempfile::tempdir().unwrap();
        let put = |id: &str, outer: Option<&str>, second: u32| {
            let record = RunRecord {
                id: id.parse().unwrap(),
                outer: outer.map(|outer| outer.parse().unwrap()),
                started_at: format!("2026-11-21T18:33:{second:02}Z"),
                ..serde_json::from_str(OLD).unwrap()
            };
            fs::create_dir(record.dir(runs.path())).unwrap();
            record.save(runs.path()).unwrap();
        };
        // all in one second, and a clock that was set back
        put("a3", Some("b2"), 17);
        put("b2", Some("c1"), 17);
        put("c1", None, 17);
        put("d4", None, 16);
        put("e5", Some("f6"), 15);
        put("f6", Some("e5"), 15);
        let (records, _) = load_all(runs.path()).unwrap();
        let ids: Vec<_> = records.iter().map(|record| record.id.as_str()).collect();
        assert_eq!(ids[..4], ["d4", "c1", "b2", "a3"]);
        assert_eq!(ids.len(), 6);
    }

    #[test]
    fn what_a_run_is_bound_to_survives_a_restart() {
        let record: RunRecord = serde_json::from_str(OLD).unwrap();
        assert_eq!(record.bound, None);
        for bound in [RunLife::Process, RunLife::ProcessAtMost(7)] {
            let record = RunRecord {
                bound: Some(bound),
                ..record.clone()
            };
            let text = serde_json::to_string(&record).unwrap();
            assert_eq!(serde_json::from_str::<RunRecord>(&text).unwrap(), record);
        }
    }

    #[test]
    fn a_life_survives_a_restart() {
        let runs = tempfile::tempdir().unwrap();
        let life = Life {
            expires_at: Some(1_763_750_000),
            keeps: true,
        };
        let record = RunRecord {
            life,
            ..serde_json::from_str(OLD).unwrap()
        };
        fs::create_dir(record.dir(runs.path())).unwrap();
        record.save(runs.path()).unwrap();
        let (records, useless) = load_all(runs.path()).unwrap();
        assert_eq!(records, [record]);
        assert!(useless.is_empty());
    }
}
