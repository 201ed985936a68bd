//! Which endpoints there are: `webhooks.json` in the home. No secrets.
//!
//! Each change is written atomically before it counts. A file that cannot be read is never
//! overwritten: no endpoint is served then, no change is taken, and `status` says why.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use authsome_proto::WebhookName;
use serde::{Deserialize, Serialize};

use crate::files::{WriteError, read_private, write_atomic};

/// The version of the format that this program writes.
const VERSION: u64 = 1;

/// Hundreds of endpoints with schemes of their own.
const FILE_MAX: u64 = 16 * 1024 * 1024;

/// What is remembered about one endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookRecord {
    /// Its name.
    pub name: WebhookName,
    /// Its scheme's name.
    pub scheme: WebhookName,
    /// The description of a scheme that is not bundled, as it was when the endpoint was added: a
    /// file that changes later changes nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub definition: Option<String>,
    /// The address of the local program.
    pub forward: String,
    /// The loopback port.
    pub port: u16,
    /// Longest body, in bytes.
    pub max_body: u64,
    /// How long a sender is kept waiting for the program, in seconds.
    pub wait: u32,
    /// When it was added, RFC 3339.
    pub created_at: String,
    /// When its secret was last replaced, RFC 3339.
    pub rotated_at: Option<String>,
}

/// Why a change was not made.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// The file could not be read when the daemon started.
    #[error("{0}")]
    Unreadable(String),
    /// The disk refused it.
    #[error("cannot remember the change")]
    Write(#[source] WriteError),
}

/// All endpoints of one home.
#[derive(Debug)]
pub struct Records {
    path: PathBuf,
    /// Guards contents and file together.
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    Loaded(Vec<WebhookRecord>),
    /// What is wrong with the file.
    Unreadable(String),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    v: u64,
    webhooks: Vec<WebhookRecord>,
}

#[derive(Deserialize)]
struct Version {
    v: u64,
}

impl Records {
    /// The endpoints of `home`.
    pub fn open(home: &Path) -> Self {
        let path = home.join("webhooks.json");
        let state = load(&path).map_or_else(
            |problem| State::Unreadable(format!("`{}` {problem}", path.display())),
            State::Loaded,
        );
        Self {
            path,
            state: Mutex::new(state),
        }
    }

    /// What is wrong with the file, if it cannot be used.
    pub fn problem(&self) -> Option<String> {
        match &*self.lock() {
            State::Unreadable(problem) => Some(problem.clone()),
            State::Loaded(_) => None,
        }
    }

    /// All of them, by name.
    pub fn list(&self) -> Vec<WebhookRecord> {
        match &*self.lock() {
            State::Loaded(records) => records.clone(),
            State::Unreadable(_) => Vec::new(),
        }
    }

    /// The endpoint of that name.
    pub fn find(&self, name: &WebhookName) -> Option<WebhookRecord> {
        self.list().into_iter().find(|record| record.name == *name)
    }

    /// Adds an endpoint, or replaces the one of that name.
    pub fn insert(&self, record: WebhookRecord) -> Result<(), ChangeError> {
        self.change(|records| {
            records.retain(|old| old.name != record.name);
            records.push(record);
            records.sort_by(|a, b| a.name.cmp(&b.name));
        })
    }

    /// Removes an endpoint.
    pub fn remove(&self, name: &WebhookName) -> Result<(), ChangeError> {
        self.change(|records| records.retain(|record| record.name != *name))
    }

    fn change(&self, apply: impl FnOnce(&mut Vec<WebhookRecord>)) -> Result<(), ChangeError> {
        let mut state = self.lock();
        let records = match &*state {
            State::Loaded(records) => records,
            State::Unreadable(problem) => return Err(ChangeError::Unreadable(problem.clone())),
        };
        let mut webhooks = records.clone();
        apply(&mut webhooks);
        let document = Document {
            v: VERSION,
            webhooks,
        };
        #[expect(
            clippy::expect_used,
            reason = "plain structs with text keys always have a JSON form"
        )]
        let mut bytes = serde_json::to_vec_pretty(&document).expect("records have a JSON form");
        bytes.push(b'\n');
        let written = write_atomic(&self.path, &bytes);
        if written.as_ref().err().is_none_or(WriteError::is_in_place) {
            *state = State::Loaded(document.webhooks);
        }
        written.map_err(ChangeError::Write)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn load(path: &Path) -> Result<Vec<WebhookRecord>, String> {
    let bytes = match read_private(path, FILE_MAX) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Ok(Vec::new()),
        Err(error) => return Err(format!("cannot be read: {error}")),
    };
    let damaged = |error: serde_json::Error| format!("is damaged: {error}");
    let Version { v } = serde_json::from_slice(&bytes).map_err(damaged)?;
    if v > VERSION {
        return Err(format!("was written by a newer version (format {v})"));
    }
    let Document { v: _, webhooks } = serde_json::from_slice(&bytes).map_err(damaged)?;
    Ok(webhooks)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(name: &str) -> WebhookRecord {
        WebhookRecord {
            name: name.parse().unwrap(),
            scheme: "github".parse().unwrap(),
            definition: None,
            forward: "http://127.0.0.1:3000/hooks".into(),
            port: 23_981,
            max_body: 1024,
            wait: 5,
            created_at: "2026-01-01T00:00:00Z".into(),
            rotated_at: None,
        }
    }

    #[test]
    fn golden_v1_file() {
        let home = tempfile::tempdir().unwrap();
        let records = Records::open(home.path());
        records.insert(record("b")).unwrap();
        records.insert(record("a")).unwrap();
        records.insert(record("a")).unwrap();
        records.remove(&"b".parse().unwrap()).unwrap();
        let text = std::fs::read_to_string(home.path().join("webhooks.json")).unwrap();
        insta::assert_snapshot!(text, @r#"
        {
          "v": 1,
          "webhooks": [
            {
              "name": "a",
              "scheme": "github",
              "forward": "http://127.0.0.1:3000/hooks",
              "port": 23981,
              "max_body": 1024,
              "wait": 5,
              "created_at": "2026-01-01T00:00:00Z",
              "rotated_at": null
            }
          ]
        }
        "#);
        assert_eq!(Records::open(home.path()).list(), [record("a")]);
    }

    #[test]
    fn a_file_that_cannot_be_read_is_said_and_never_overwritten() {
        for (text, said) in [
            ("{", "is damaged"),
            ("{\"v\":1,\"webhooks\":[{}]}", "is damaged"),
            ("{\"v\":2,\"hooks\":0}", "newer version (format 2)"),
        ] {
            let home = tempfile::tempdir().unwrap();
            let path = home.path().join("webhooks.json");
            write_atomic(&path, text.as_bytes()).unwrap();
            let records = Records::open(home.path());
            assert!(records.problem().unwrap().contains(said), "{text}");
            assert!(records.list().is_empty());
            assert!(records.insert(record("a")).is_err());
            assert_eq!(std::fs::read_to_string(path).unwrap(), text);
        }
    }
}
