//! The files of the log: one value, synchronous, that takes records in and keeps them on a disk.
//!
//! [`Journal::append`] seals a record into memory, [`Journal::write`] hands all sealed lines to the
//! file in one write, [`Journal::sync`] makes them safe from a power cut. What is not yet synced
//! stays in memory too, so that it can be written again.
//!
//! Invariants:
//! - J1 A file ends with a whole line whenever nothing is being written: a failed write is cut off
//!   again, and what a crash left unfinished is cut off at the next start and recorded.
//! - J2 A failed sync is final for its file, because the kernel then forgets which pages it could
//!   not write and the next sync says "done". Everything since the last good sync is sealed anew
//!   into a new file, whose first record says from where on the old one does not count.
//! - J3 Only whole files are deleted, and the chain says so before it happens.
//! - J4 A file that somebody else changed is kept as it is, and a new one says so.

use std::fs::File;
use std::io;

use serde::Deserialize;

use super::chain::{self, AuditKey, Chain, LineFault, Mac, Point};
use super::disk::Disk;
use super::record::{self, Bookkeeping, Event, Record};

/// When files are begun and deleted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// A file of this size is the last one's predecessor. A larger one takes longer to check at
    /// every start (about 20 ms at 8 MiB), a smaller one keeps less history in `files`.
    pub(super) file_len: u64,
    /// Files to keep. With 8 MiB each, about 200 000 requests.
    pub(super) files: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            file_len: 8 * 1024 * 1024,
            files: 8,
        }
    }
}

/// Memory kept for sealed lines between syncs; a burst's buffer is given back.
const SPARE_LEN: usize = 64 * 1024;

pub(super) struct Journal<D> {
    disk: D,
    chain: Chain,
    limits: Limits,
    state: State,
    /// The highest file number in use.
    number: u64,
    /// The last line that is safe; `unsynced` begins after it.
    synced: Point,
    /// The last line sealed.
    head: Point,
    /// Sealed lines since `synced`.
    unsynced: Vec<u8>,
    /// How much of `unsynced` is in the current file.
    written: usize,
    /// Files to delete once their deletion is on record and safe.
    doomed: Vec<u64>,
    /// Where a prefix is formatted; kept to reuse its memory.
    scratch: Vec<u8>,
}

enum State {
    /// Writing to this file, of which we wrote this many bytes.
    Open {
        file: File,
        len: u64,
        begun_by: Begin,
    },
    /// The next write begins a file.
    Beginning(Begin),
}

/// Why a file is begun, which its first record tells.
#[derive(Debug, Clone)]
enum Begin {
    /// It is the first ever.
    First,
    /// The one before is full.
    Rotated,
    /// The one before failed to sync, or could not be cut after a failed write (J2).
    Abandoned,
    /// The one before was changed by somebody else (J4).
    Broken {
        file: u64,
        line: Option<u64>,
        detail: String,
    },
}

/// What the first record of a file says.
#[derive(Debug, Deserialize)]
pub(super) struct FirstLine {
    pub(super) event: String,
    pub(super) file: u64,
    pub(super) previous: String,
    pub(super) after: Option<u64>,
    pub(super) line: Option<u64>,
    pub(super) detail: Option<String>,
}

impl FirstLine {
    /// The first record of a file, if `line` is one.
    pub(super) fn parse(line: &[u8]) -> Option<(Self, Mac)> {
        let first: Self = serde_json::from_slice(line).ok()?;
        let known = [Event::Begin.as_str(), Event::ChainBroken.as_str()];
        let mac = chain::unhex(first.previous.as_bytes())?;
        known
            .contains(&first.event.as_str())
            .then_some((first, mac))
    }
}

impl<D: Disk> Journal<D> {
    /// Opens the log where it was left, or begins it. What it finds wrong it records.
    pub(super) fn open(disk: D, key: &AuditKey, limits: Limits) -> io::Result<Self> {
        let mut journal = Self {
            disk,
            chain: Chain::new(key),
            limits,
            state: State::Beginning(Begin::First),
            number: 0,
            synced: Point::default(),
            head: Point::default(),
            unsynced: Vec::new(),
            written: 0,
            doomed: Vec::new(),
            scratch: Vec::new(),
        };
        journal.resume()?;
        journal.write(|_| ())?;
        journal.sync()?;
        Ok(journal)
    }

    /// Seals `record`. Nothing reaches the disk yet.
    pub(super) fn append(&mut self, record: &Record) {
        self.append_with(record, &Bookkeeping::default());
    }

    /// Writes what was sealed since the last write, and shows each line to `shown`. After an error
    /// nothing is lost: call it again.
    pub(super) fn write(&mut self, mut shown: impl FnMut(&[u8])) -> io::Result<()> {
        self.look_for_changes()?;
        if let State::Beginning(why) = &self.state {
            let why = why.clone();
            self.begin_file(why)?;
        }
        let State::Open { file, len, .. } = &mut self.state else {
            return Ok(());
        };
        let pending = self.unsynced.get(self.written..).unwrap_or_default();
        if pending.is_empty() {
            return Ok(());
        }
        if let Err(error) = self.disk.append(file, pending) {
            if self.disk.truncate(file, *len).is_err() {
                self.abandon();
            }
            return Err(error);
        }
        *len += u64::try_from(pending.len()).unwrap_or(u64::MAX);
        lines(pending).for_each(&mut shown);
        self.written = self.unsynced.len();
        Ok(())
    }

    /// Makes what was written safe. After an error, write and sync again: it goes to a new file.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        let State::Open { file, len, .. } = &self.state else {
            return Ok(());
        };
        if self.unsynced.is_empty() {
            return Ok(());
        }
        let full = *len >= self.limits.file_len;
        if let Err(error) = self.disk.sync(file) {
            self.abandon();
            return Err(error);
        }
        debug_assert_eq!(
            self.written,
            self.unsynced.len(),
            "synced before all was written"
        );
        self.synced = self.head;
        self.unsynced.clear();
        self.unsynced.shrink_to(SPARE_LEN);
        self.written = 0;
        for number in std::mem::take(&mut self.doomed) {
            if let Err(error) = self.disk.remove(number) {
                tracing::warn!(file = number, %error, "cannot delete an old audit file");
            }
        }
        if full {
            self.state = State::Beginning(Begin::Rotated);
        }
        Ok(())
    }

    /// Bytes that a power cut would lose now.
    pub(super) fn unsynced_len(&self) -> usize {
        self.unsynced.len()
    }

    fn append_with(&mut self, record: &Record, own: &Bookkeeping) {
        self.scratch.clear();
        record::prefix(&mut self.scratch, record, own);
        self.chain
            .seal(&mut self.head, &self.scratch, &mut self.unsynced);
    }

    /// Finds the last line and continues after it.
    fn resume(&mut self) -> io::Result<()> {
        let mut numbers = self.disk.list()?;
        let mut cut = None;
        while let Some(number) = numbers.pop() {
            self.number = number;
            let bytes = self.disk.read(number)?;
            let found = scan(&self.chain, number, &bytes);
            self.synced = Point {
                seq: found.point.seq,
                mac: [0; chain::MAC_LEN],
            };
            if let Some((line, fault)) = found.fault {
                tracing::warn!(file = number, line, %fault, "the audit log does not verify");
                let detail = fault.to_string();
                let why = Begin::Broken {
                    file: number,
                    line: Some(line),
                    detail,
                };
                self.state = State::Beginning(why);
                break;
            }
            if found.torn_len > 0 {
                cut = Some((number, found.torn_len));
            }
            if found.lines == 0 {
                // a crash between making the file and its first line: the file before goes on
                self.disk.remove(number)?;
                self.number = number - 1;
                if numbers.last() != Some(&self.number) && number > 1 {
                    let detail = "the file is missing".to_owned();
                    let why = Begin::Broken {
                        file: self.number,
                        line: None,
                        detail,
                    };
                    self.state = State::Beginning(why);
                    break;
                }
                continue;
            }
            let file = self.disk.open(number)?;
            if found.torn_len > 0 {
                self.disk.truncate(&file, found.len)?;
            }
            self.state = State::Open {
                file,
                len: found.len,
                begun_by: Begin::Rotated,
            };
            self.synced = found.point;
            break;
        }
        self.head = self.synced;
        if let Some((file, len)) = cut {
            let own = Bookkeeping {
                file: Some(file),
                cut: Some(len),
                ..Bookkeeping::default()
            };
            self.append_with(&Record::new(Event::TornLine), &own);
        }
        Ok(())
    }

    /// Notices that somebody else deleted, cut or extended the current file (J4).
    fn look_for_changes(&mut self) -> io::Result<()> {
        let State::Open { file, len, .. } = &self.state else {
            return Ok(());
        };
        let detail = match self.disk.len(file)? {
            Some(found) if found == *len => return Ok(()),
            Some(found) if found < *len => "the file was cut by another program",
            Some(_) => "another program wrote to the file",
            None => "the file was deleted by another program",
        };
        tracing::warn!(file = self.number, detail, "the audit log was changed");
        let why = Begin::Broken {
            file: self.number,
            line: None,
            detail: detail.to_owned(),
        };
        self.state = State::Beginning(why);
        self.synced.mac = [0; chain::MAC_LEN];
        Ok(())
    }

    /// Gives the current file up (J2).
    fn abandon(&mut self) {
        if let State::Open { begun_by, .. } = &self.state {
            // a break that is not on record yet must still be told by the next file
            let why = match begun_by {
                Begin::Broken { .. } if self.synced.mac == [0; chain::MAC_LEN] => begun_by.clone(),
                _ => Begin::Abandoned,
            };
            self.state = State::Beginning(why);
        }
    }

    /// Makes the next file and seals into it its first record and everything not yet synced.
    fn begin_file(&mut self, why: Begin) -> io::Result<()> {
        let files = self.disk.list()?;
        let number = files.last().copied().unwrap_or(0).max(self.number) + 1;
        let file = self.disk.create(number)?;
        let excess = (files.len() + 1).saturating_sub(self.limits.files);
        self.doomed = files.into_iter().take(excess).collect();

        let pending = std::mem::take(&mut self.unsynced);
        self.head = self.synced;
        self.written = 0;
        self.number = number;
        let own = Bookkeeping {
            file: Some(number),
            previous: Some(chain::hex_of(&self.synced.mac)),
            ..Bookkeeping::default()
        };
        match &why {
            Begin::First | Begin::Rotated => {
                self.append_with(&Record::new(Event::Begin), &own);
            }
            Begin::Abandoned => {
                let own = Bookkeeping {
                    after: Some(self.synced.seq),
                    ..own
                };
                let detail = Some("the file before could not be written to the end".into());
                self.append_with(
                    &Record {
                        detail,
                        ..Record::new(Event::Begin)
                    },
                    &own,
                );
            }
            Begin::Broken { file, line, detail } => {
                let own = Bookkeeping { line: *line, ..own };
                let detail = Some(format!("file {file}: {detail}").into());
                self.append_with(
                    &Record {
                        detail,
                        ..Record::new(Event::ChainBroken)
                    },
                    &own,
                );
            }
        }
        for number in self.doomed.clone() {
            let own = Bookkeeping {
                file: Some(number),
                ..Bookkeeping::default()
            };
            self.append_with(&Record::new(Event::Pruned), &own);
        }
        for prefix in lines(&pending).filter_map(chain::prefix_of) {
            // not the bookkeeping of a file that is given up: this file has its own
            if !is_first_line(prefix) {
                self.chain.seal(&mut self.head, prefix, &mut self.unsynced);
            }
        }
        self.state = State::Open {
            file,
            len: 0,
            begun_by: why,
        };
        Ok(())
    }
}

/// Whether a prefix is that of a first record or of a deletion, which belong to their file.
fn is_first_line(prefix: &[u8]) -> bool {
    [Event::Begin, Event::ChainBroken, Event::Pruned]
        .into_iter()
        .any(|event| {
            let name = format!("\"event\":\"{}\"", event.as_str());
            // quotes inside of values are escaped, so this can only be the member itself
            prefix
                .windows(name.len())
                .any(|window| window == name.as_bytes())
        })
}

/// What is in a file.
struct Scan {
    /// The last good line.
    point: Point,
    /// Whole lines.
    lines: u64,
    /// Bytes of whole lines.
    len: u64,
    /// Bytes after the last end of line.
    torn_len: u64,
    /// The first line that does not continue the chain.
    fault: Option<(u64, LineFault)>,
}

fn scan(chain: &Chain, number: u64, bytes: &[u8]) -> Scan {
    let whole = bytes
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |at| at + 1);
    let (whole, torn) = bytes.split_at_checked(whole).unwrap_or_default();
    let size = |bytes: &[u8]| u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    let mut found = Scan {
        point: Point::default(),
        lines: 0,
        len: size(whole),
        torn_len: size(torn),
        fault: None,
    };
    for line in lines(whole) {
        found.lines += 1;
        if found.lines == 1 {
            match FirstLine::parse(line).zip(chain::seq_of(line)) {
                Some(((first, mac), seq)) if first.file == number => {
                    found.point = Point {
                        seq: seq.saturating_sub(1),
                        mac,
                    };
                }
                _ => {
                    found.fault = Some((1, LineFault::Malformed));
                    return found;
                }
            }
        }
        match chain.check(&found.point, line) {
            Ok(point) => found.point = point,
            Err(fault) => {
                found.fault = Some((found.lines, fault));
                return found;
            }
        }
    }
    found
}

/// The lines of `bytes` without their ends; an unfinished last one counts.
pub(super) fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes
        .split_inclusive(|byte| *byte == b'\n')
        .map(|line| line.strip_suffix(b"\n").unwrap_or(line))
}
