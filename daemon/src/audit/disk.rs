//! The few things the log asks of a disk, and the real one.
//!
//! Files are `audit-00000001.jsonl` and on, 0600, appended to with `O_APPEND`; the number only
//! grows, so order never depends on times. A trait, so that tests can make the disk fail at any
//! step (threat S2).

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// What the log asks of a disk.
pub(super) trait Disk {
    /// Numbers of the files that are there, ascending.
    fn list(&self) -> io::Result<Vec<u64>>;
    /// The whole of a file.
    fn read(&self, number: u64) -> io::Result<Vec<u8>>;
    /// Makes a file that must not be there yet.
    fn create(&self, number: u64) -> io::Result<File>;
    /// Opens a file to append to.
    fn open(&self, number: u64) -> io::Result<File>;
    /// Appends all of `bytes`; on an error some of them may be there.
    fn append(&self, file: &mut File, bytes: &[u8]) -> io::Result<()>;
    /// Makes what was appended safe from a power cut.
    fn sync(&self, file: &File) -> io::Result<()>;
    /// Cuts a file.
    fn truncate(&self, file: &File, len: u64) -> io::Result<()>;
    /// Length of an open file, `None` when its name is gone.
    fn len(&self, file: &File) -> io::Result<Option<u64>>;
    /// Deletes a file.
    fn remove(&self, number: u64) -> io::Result<()>;
}

/// A folder of the file system.
#[derive(Debug, Clone)]
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new(path: &Path) -> Self {
        Self(path.into())
    }

    pub(super) fn path(&self, number: u64) -> PathBuf {
        self.0.join(format!("audit-{number:08}.jsonl"))
    }
}

impl Disk for Folder {
    fn list(&self) -> io::Result<Vec<u64>> {
        let mut numbers = Vec::new();
        for entry in std::fs::read_dir(&self.0)? {
            let name = entry?.file_name();
            numbers.extend(name.to_str().and_then(number_of));
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    fn read(&self, number: u64) -> io::Result<Vec<u8>> {
        std::fs::read(self.path(number))
    }

    fn create(&self, number: u64) -> io::Result<File> {
        let file = OpenOptions::new()
            .append(true)
            .create_new(true)
            .mode(0o600)
            .open(self.path(number))?;
        // the name must survive a power cut as well, or the records in the file are lost with it
        File::open(&self.0)?.sync_all()?;
        Ok(file)
    }

    fn open(&self, number: u64) -> io::Result<File> {
        let no_follow = nix::fcntl::OFlag::O_NOFOLLOW.bits();
        OpenOptions::new()
            .append(true)
            .custom_flags(no_follow)
            .open(self.path(number))
    }

    fn append(&self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        file.write_all(bytes)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }

    fn truncate(&self, file: &File, len: u64) -> io::Result<()> {
        file.set_len(len)
    }

    fn len(&self, file: &File) -> io::Result<Option<u64>> {
        let found = file.metadata()?;
        Ok((found.nlink() > 0).then_some(found.len()))
    }

    fn remove(&self, number: u64) -> io::Result<()> {
        std::fs::remove_file(self.path(number))
    }
}

/// The number in the name of a log file.
fn number_of(name: &str) -> Option<u64> {
    let digits = name.strip_prefix("audit-")?.strip_suffix(".jsonl")?;
    let number = digits.parse().ok()?;
    (digits == format!("{number:08}")).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_we_give_are_log_files() {
        assert_eq!(number_of("audit-00000012.jsonl"), Some(12));
        assert_eq!(number_of("audit-123456789.jsonl"), Some(123_456_789));
        for other in [
            "audit-12.jsonl",
            "audit-+0000012.jsonl",
            "audit-.jsonl",
            "x",
            "audit-1",
        ] {
            assert_eq!(number_of(other), None, "{other}");
        }
    }
}
