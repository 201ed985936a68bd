//! A cheap fingerprint of the folder of overrides, so that callers reload only on change.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// What `stat` says of every file in a folder. Equal signatures mean that nothing was written,
/// added, removed or replaced in between.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Signature(Vec<Stamp>);

/// The change time is there because the modification time can be set back by whoever writes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Stamp {
    name: OsString,
    inode: u64,
    len: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// The signature of `dir`; of a folder that cannot be read, the empty one.
pub fn signature(dir: &Path) -> Signature {
    let Ok(entries) = fs::read_dir(dir) else {
        return Signature::default();
    };
    let stamps = entries.filter_map(|entry| {
        let entry = entry.ok()?;
        let meta = entry.metadata().ok()?; // of the link itself, not of where it points
        Some(Stamp {
            name: entry.file_name(),
            inode: meta.ino(),
            len: meta.len(),
            modified: (meta.mtime(), meta.mtime_nsec()),
            changed: (meta.ctime(), meta.ctime_nsec()),
        })
    });
    let mut stamps: Vec<Stamp> = stamps.collect();
    stamps.sort_unstable();
    Signature(stamps)
}
