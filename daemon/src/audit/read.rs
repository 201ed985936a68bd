//! Reading the log: [`verify`] checks the whole chain, [`tail`] gives the newest lines.
//!
//! Both read the files by themselves, so they work without a running writer and beside one. A last
//! line that is not finished yet is not a fault.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use authsome_proto::{ProviderName, RunId};
use serde::Deserialize;

use super::chain::{self, AuditKey, Chain, LineFault, MAC_LEN, Point};
use super::disk::{Disk, Folder};
use super::journal::{FirstLine, lines};
use super::record::Event;

/// A log whose chain holds from its first file to its last line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified {
    /// Files there are.
    pub files: u64,
    /// Records in them that count.
    pub records: u64,
    /// Files that were deleted to make room; the chain says so.
    pub pruned: u64,
    /// Whether the last line is unfinished: the daemon is writing it, or a crash left it.
    pub unfinished: bool,
}

/// A place where the log is not what was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Break {
    /// The file.
    pub file: PathBuf,
    /// Its line, from 1; `None` when it is about the whole file.
    pub line: Option<u64>,
    /// What is wrong there.
    pub reason: BreakReason,
}

/// What is wrong at a [`Break`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BreakReason {
    /// A line does not continue the chain.
    #[error(transparent)]
    Line(#[from] LineFault),
    /// The file is not there and nothing says that it was deleted to make room.
    #[error("the file is missing")]
    Missing,
    /// The daemon found it broken when it ran, and put this on record.
    #[error("the daemon recorded that the chain was broken here: {0}")]
    Recorded(String),
    /// The file does not begin after the last record of the file before.
    #[error("records are missing between the file before and this one")]
    Gap,
    /// The last line is not finished although another file follows.
    #[error("the last line is cut off")]
    Torn,
}

/// The log was changed by somebody else than the daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// The first place.
    pub first: Break,
    /// Further ones.
    pub others: Vec<Break>,
}

impl fmt::Display for Break {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ", line {line}")?;
        }
        write!(f, ": {}", self.reason)
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the audit log does not verify: {}", self.first)
    }
}

impl std::error::Error for Broken {}

/// Why the log could not be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the audit log in `{}`", path.display())]
pub struct ReadError {
    /// Its folder.
    pub path: PathBuf,
    /// What the system said.
    #[source]
    pub source: io::Error,
}

/// Checks every file in `dir`. The outer error is about reading, the inner about the chain.
pub fn verify(dir: &Path, key: &AuditKey) -> Result<Result<Verified, Broken>, ReadError> {
    let failed = |source| ReadError {
        path: dir.into(),
        source,
    };
    let folder = Folder::new(dir);
    let numbers = folder.list().map_err(failed)?;
    let limits = limits(&folder, &numbers).map_err(failed)?;
    let mut check = Check::new(&folder, key);
    for (at, (&number, limit)) in numbers.iter().zip(limits).enumerate() {
        let is_last = at + 1 == numbers.len();
        // deleted between listing and reading, by a writer beside us
        let bytes = match folder.read(number) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && at == 0 => continue,
            bytes => bytes.map_err(failed)?,
        };
        check.file(number, &bytes, limit, is_last);
    }
    Ok(check.finish(&numbers))
}

/// For each file the last sequence number that counts: one that was given up counts only up to
/// what the file after it says.
fn limits(folder: &Folder, numbers: &[u64]) -> io::Result<Vec<Option<u64>>> {
    let mut limits = Vec::with_capacity(numbers.len());
    let mut limit: Option<u64> = None;
    for &number in numbers.iter().rev() {
        limits.push(limit);
        let bytes = match folder.read(number) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            bytes => bytes?,
        };
        let after = lines(&bytes)
            .next()
            .and_then(FirstLine::parse)
            .and_then(|(f, _)| f.after);
        limit = match (limit, after) {
            (Some(limit), Some(after)) => Some(limit.min(after)),
            (limit, after) => limit.or(after),
        };
    }
    limits.reverse();
    Ok(limits)
}

struct Check<'a> {
    folder: &'a Folder,
    chain: Chain,
    breaks: Vec<Break>,
    records: u64,
    /// Files whose deletion is on record.
    pruned: Vec<u64>,
    /// The last line that counts and its file; `None` before the first file and after a break.
    end: Option<(u64, Point)>,
    unfinished: bool,
}

impl<'a> Check<'a> {
    fn new(folder: &'a Folder, key: &AuditKey) -> Self {
        Self {
            folder,
            chain: Chain::new(key),
            breaks: Vec::new(),
            records: 0,
            pruned: Vec::new(),
            end: None,
            unfinished: false,
        }
    }

    fn found(&mut self, number: u64, line: Option<u64>, reason: BreakReason) {
        self.breaks.push(Break {
            file: self.folder.path(number),
            line,
            reason,
        });
    }

    fn file(&mut self, number: u64, bytes: &[u8], limit: Option<u64>, is_last: bool) {
        let before = self.end.take();
        let whole = bytes
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |at| at + 1);
        let (whole, torn) = bytes.split_at_checked(whole).unwrap_or_default();
        if !torn.is_empty() && limit.is_none() {
            self.unfinished = is_last;
            if !is_last {
                let line = u64::try_from(lines(whole).count() + 1).ok();
                self.found(number, line, BreakReason::Torn);
            }
        }
        let mut point = Point::default();
        let mut all = lines(whole).zip(1_u64..);
        let Some((line, _)) = all.next() else {
            // given up before its first line, or just made by the daemon
            if limit.is_some() || is_last {
                self.end = before;
            } else {
                self.found(number, None, BreakReason::Gap);
            }
            return;
        };
        let seq = chain::seq_of(line);
        let Some(((first, previous), seq)) = FirstLine::parse(line).zip(seq) else {
            return self.found(number, Some(1), LineFault::Malformed.into());
        };
        if limit.is_some_and(|limit| seq > limit) {
            // given up as a whole
            self.end = before;
            return;
        }
        point.seq = seq.saturating_sub(1);
        point.mac = previous;
        match self.chain.check(&point, line) {
            Ok(next) if first.file == number => point = next,
            Ok(_) => return self.found(number, Some(1), LineFault::Sequence.into()),
            Err(fault) => return self.found(number, Some(1), fault.into()),
        }
        self.records += 1;
        if first.event == Event::ChainBroken.as_str() {
            self.recorded(number, &first);
        } else {
            self.joins(number, seq, &previous, before);
        }
        for (line, at) in all {
            if limit.is_some() && limit == Some(point.seq) {
                break;
            }
            match self.chain.check(&point, line) {
                Ok(next) => point = next,
                Err(fault) => return self.found(number, Some(at), fault.into()),
            }
            self.records += 1;
            self.pruned.extend(pruned(line));
        }
        self.end = Some((number, point));
    }

    /// Whether a file begins where the one before ended.
    fn joins(
        &mut self,
        number: u64,
        seq: u64,
        previous: &[u8; MAC_LEN],
        before: Option<(u64, Point)>,
    ) {
        let fits = match before {
            Some((_, end)) => end.mac == *previous && end.seq + 1 == seq,
            // the first of all files, or the one before is missing or broken, which is told
            None => number > 1 || *previous == [0; MAC_LEN],
        };
        if !fits {
            self.found(number, Some(1), BreakReason::Gap);
        }
    }

    /// The daemon found the file before changed.
    fn recorded(&mut self, number: u64, first: &FirstLine) {
        let about = number.saturating_sub(1);
        let file = self.folder.path(about);
        if self.breaks.iter().all(|found| found.file != file) {
            let detail = first.detail.clone().unwrap_or_default();
            self.found(about, first.line, BreakReason::Recorded(detail));
        }
    }

    fn finish(mut self, numbers: &[u64]) -> Result<Verified, Broken> {
        let mut missing = Vec::new();
        let mut expected = match numbers.first() {
            Some(&oldest) if oldest > 1 && self.pruned.contains(&(oldest - 1)) => oldest,
            Some(&oldest) if oldest > 1 => {
                missing.push(oldest - 1);
                oldest
            }
            _ => 1,
        };
        let pruned = expected - 1;
        for &number in numbers {
            missing.extend(expected..number);
            expected = number + 1;
        }
        for number in missing {
            self.found(number, None, BreakReason::Missing);
        }
        self.breaks
            .sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
        let mut breaks = self.breaks.into_iter();
        match breaks.next() {
            Some(first) => Err(Broken {
                first,
                others: breaks.collect(),
            }),
            None => Ok(Verified {
                files: u64::try_from(numbers.len()).unwrap_or(u64::MAX),
                records: self.records,
                pruned,
                unfinished: self.unfinished,
            }),
        }
    }
}

/// The file whose deletion a verified line tells of.
fn pruned(line: &[u8]) -> Option<u64> {
    #[derive(Deserialize)]
    struct Pruned {
        file: u64,
    }
    let name = b"\"event\":\"pruned\"";
    if !line.windows(name.len()).any(|window| window == name) {
        return None;
    }
    serde_json::from_slice::<Pruned>(line)
        .ok()
        .map(|line| line.file)
}

/// Which lines to show; empty fields match everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only of this provider.
    pub provider: Option<ProviderName>,
    /// Only of this run.
    pub run: Option<RunId>,
    /// Only this event.
    pub event: Option<Event>,
}

impl Filter {
    /// Whether `line` is one to show. A line that is not a record matches only the empty filter.
    pub fn matches(&self, line: &str) -> bool {
        #[derive(Deserialize)]
        struct Fields<'a> {
            #[serde(borrow)]
            event: Option<Cow<'a, str>>,
            #[serde(borrow)]
            provider: Option<Cow<'a, str>>,
            #[serde(borrow)]
            run: Option<Cow<'a, str>>,
        }
        if *self == Self::default() {
            return true;
        }
        let Ok(fields) = serde_json::from_str::<Fields<'_>>(line) else {
            return false;
        };
        let fits = |wanted: Option<&str>, found: Option<Cow<'_, str>>| {
            wanted.is_none_or(|wanted| found.as_deref() == Some(wanted))
        };
        fits(self.event.map(Event::as_str), fields.event)
            && fits(
                self.provider.as_ref().map(ProviderName::as_str),
                fields.provider,
            )
            && fits(self.run.as_ref().map(RunId::as_str), fields.run)
    }
}

/// The newest `n` lines that match, oldest first. Lines are as they stand in the file; one that
/// somebody made unprintable or not UTF-8 is left out ([`verify`] tells of it).
pub fn tail(dir: &Path, n: usize, filter: &Filter) -> Result<Vec<String>, ReadError> {
    let failed = |source| ReadError {
        path: dir.into(),
        source,
    };
    let folder = Folder::new(dir);
    let mut newest = VecDeque::new();
    for number in folder.list().map_err(failed)?.into_iter().rev() {
        if newest.len() >= n {
            break;
        }
        let bytes = match folder.read(number) {
            // deleted to make room since we listed it
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            bytes => bytes.map_err(failed)?,
        };
        let whole = bytes
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |at| at + 1);
        let mut rest = bytes.get(..whole).unwrap_or_default();
        while newest.len() < n && !rest.is_empty() {
            let body = rest.strip_suffix(b"\n").unwrap_or(rest);
            let from = body
                .iter()
                .rposition(|byte| *byte == b'\n')
                .map_or(0, |at| at + 1);
            let line = std::str::from_utf8(body.get(from..).unwrap_or_default());
            rest = rest.get(..from).unwrap_or_default();
            if let Ok(line) = line {
                let printable = !line.contains(super::record::acts_on_a_terminal);
                if printable && filter.matches(line) {
                    newest.push_front(line.to_owned());
                }
            }
        }
    }
    Ok(newest.into())
}
