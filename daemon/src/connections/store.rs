//! The file `connections.json`: its format, its generations, and what is done with a damaged one.
//!
//! The checksum covers version, generation and records as this program writes them, not the bytes
//! of the file: a changed space harms nobody, a changed value is found.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{ConnectionRecord, Defaults};
use crate::files::{ReadError, WriteError, hex, read_private, write_atomic};

/// The version of the format that this program writes.
const VERSION: u64 = 1;

/// Tens of thousands of connections. A larger file is not ours, and is not read into memory.
const FILE_MAX: u64 = 16 * 1024 * 1024;

/// Damaged files kept aside before loading refuses to go on: more of them mean a broken disk.
const KEPT_MAX: u32 = 100;

/// What the file says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Contents {
    pub(super) connections: Vec<ConnectionRecord>,
    pub(super) defaults: Defaults,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    v: u64,
    generation: u64,
    checksum: String,
    contents: Contents,
}

#[derive(Deserialize)]
struct Version {
    v: u64,
}

/// An older generation had to be used. The last change is lost, and this must be said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fallback {
    /// Where the damaged file was kept; `None` if it was gone altogether.
    pub kept: Option<PathBuf>,
    /// What was wrong with it.
    pub reason: String,
    /// The generation now in use.
    pub generation: u64,
}

impl fmt::Display for Fallback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`connections.json` {}; generation {} of it is used, without the last change",
            self.reason, self.generation
        )?;
        match &self.kept {
            Some(kept) => write!(f, "; the damaged file is kept as `{}`", kept.display()),
            None => Ok(()),
        }
    }
}

/// Why the connections could not be loaded. Nothing was changed on the disk.
#[derive(Debug, thiserror::Error)]
pub enum LoadConnectionsError {
    /// Neither the file nor the generation before it is whole.
    #[error("`{}` {reason}, and there is no whole older one", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The damaged file could not be kept aside.
    #[error("cannot keep the damaged `{}` aside", path.display())]
    Keep {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A newer version of the program wrote it.
    #[error("`{}` was written by a newer version (format {found})", path.display())]
    NewerVersion {
        /// The file.
        path: PathBuf,
        /// The version it names.
        found: u64,
    },
    /// The file could not be read.
    #[error("cannot load the connections")]
    Read(#[source] ReadError),
    /// The older generation could not be put in place of the damaged one.
    #[error("cannot restore the connections")]
    Write(#[source] WriteError),
}

impl LoadConnectionsError {
    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Damaged { path, .. } => Some(format!(
                "restore it from a backup, or move `{}` and its `.bak` away and log in again",
                path.display()
            )),
            Self::NewerVersion { .. } => {
                Some("install the newer version of `authsome` again".to_owned())
            }
            Self::Keep { .. } | Self::Read(_) | Self::Write(_) => None,
        }
    }
}

/// The file and its generation.
#[derive(Debug)]
pub(super) struct Store {
    path: PathBuf,
    generation: u64,
    /// The bytes of the file as it is now; the next write keeps them as the generation before.
    current: Option<Vec<u8>>,
}

enum Loaded {
    Damaged(String),
    Missing,
    Newer(u64),
    Whole(Vec<u8>, Document),
}

impl Store {
    pub(super) fn open(
        home: &Path,
    ) -> Result<(Self, Contents, Option<Fallback>), LoadConnectionsError> {
        let path = home.join("connections.json");
        let (reason, damaged) = match load(&path)? {
            Loaded::Whole(bytes, document) => {
                let store = Self {
                    path,
                    generation: document.generation,
                    current: Some(bytes),
                };
                return Ok((store, document.contents, None));
            }
            Loaded::Newer(found) => return Err(LoadConnectionsError::NewerVersion { path, found }),
            Loaded::Damaged(reason) => (reason, true),
            Loaded::Missing => ("is missing".to_owned(), false),
        };
        match load(&backup_of(&path))? {
            Loaded::Whole(bytes, document) => {
                // the damaged file first: whoever dies in between finds the older one next time
                let kept = if damaged {
                    Some(keep_aside(&path)?)
                } else {
                    None
                };
                write_atomic(&path, &bytes).map_err(LoadConnectionsError::Write)?;
                let generation = document.generation;
                let store = Self {
                    path,
                    generation,
                    current: Some(bytes),
                };
                Ok((
                    store,
                    document.contents,
                    Some(Fallback {
                        kept,
                        reason,
                        generation,
                    }),
                ))
            }
            Loaded::Missing if !damaged => Ok((
                Self {
                    path,
                    generation: 0,
                    current: None,
                },
                Contents::default(),
                None,
            )),
            Loaded::Damaged(_) | Loaded::Missing | Loaded::Newer(_) => {
                Err(LoadConnectionsError::Damaged { path, reason })
            }
        }
    }

    /// Makes `contents` the next generation.
    pub(super) fn save(&mut self, contents: &Contents) -> Result<(), WriteError> {
        let generation = self.generation + 1;
        let bytes = encode(generation, contents);
        if let Some(current) = &self.current {
            write_atomic(&backup_of(&self.path), current)?;
        }
        let written = write_atomic(&self.path, &bytes);
        if written.as_ref().err().is_none_or(WriteError::is_in_place) {
            self.generation = generation;
            self.current = Some(bytes);
        }
        written
    }
}

fn load(path: &Path) -> Result<Loaded, LoadConnectionsError> {
    let bytes = match read_private(path, FILE_MAX) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Ok(Loaded::Missing),
        Err(error) => return Err(LoadConnectionsError::Read(error)),
    };
    Ok(match decode(&bytes) {
        Ok(document) => Loaded::Whole(bytes, document),
        Err(loaded) => loaded,
    })
}

fn decode(bytes: &[u8]) -> Result<Document, Loaded> {
    let damaged = |error: serde_json::Error| Loaded::Damaged(format!("is damaged: {error}"));
    let Version { v } = serde_json::from_slice(bytes).map_err(damaged)?;
    if v > VERSION {
        return Err(Loaded::Newer(v));
    }
    let document: Document = serde_json::from_slice(bytes).map_err(damaged)?;
    if document.checksum != checksum(document.v, document.generation, &document.contents) {
        return Err(Loaded::Damaged(
            "is damaged or was edited: its checksum does not fit".to_owned(),
        ));
    }
    Ok(document)
}

fn encode(generation: u64, contents: &Contents) -> Vec<u8> {
    let document = Document {
        v: VERSION,
        generation,
        checksum: checksum(VERSION, generation, contents),
        contents: contents.clone(),
    };
    let mut bytes = to_json(&document, Layout::Pretty);
    bytes.push(b'\n');
    bytes
}

fn checksum(v: u64, generation: u64, contents: &Contents) -> String {
    let covered = to_json(&(v, generation, contents), Layout::Compact);
    hex(&Sha256::digest(covered))
}

#[derive(Clone, Copy)]
enum Layout {
    Compact,
    Pretty,
}

#[expect(
    clippy::expect_used,
    reason = "plain structs with text keys always have a JSON form"
)]
fn to_json(value: &impl Serialize, layout: Layout) -> Vec<u8> {
    match layout {
        Layout::Compact => serde_json::to_vec(value),
        Layout::Pretty => serde_json::to_vec_pretty(value),
    }
    .expect("contents have a JSON form")
}

fn backup_of(path: &Path) -> PathBuf {
    path.with_extension("json.bak")
}

/// Moves the damaged file to the first free `.corrupt-N`.
fn keep_aside(path: &Path) -> Result<PathBuf, LoadConnectionsError> {
    let failed = |source| LoadConnectionsError::Keep {
        path: path.to_owned(),
        source,
    };
    for number in 1..=KEPT_MAX {
        let kept = path.with_extension(format!("json.corrupt-{number}"));
        // a link and not a rename: it never replaces what has that name
        match std::fs::hard_link(path, &kept) {
            Ok(()) => {
                std::fs::remove_file(path).map_err(failed)?;
                return Ok(kept);
            }
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed(error)),
        }
    }
    Err(failed(std::io::ErrorKind::AlreadyExists.into()))
}
