//! Files that must survive a crash, and folders that nobody else may touch.
//!
//! Writing ([`write_atomic`], threat S1): a temporary file in the same folder, 0600 from its first
//! instant; all bytes; `fsync`; `rename` over the target; `fsync` of the folder. Whoever reads sees
//! the old content or the new, never a part, at whatever instant the process or the machine dies.
//!
//! Folders ([`create_private_dir`], threat L7): every step is made by directory descriptor without
//! following symbolic links, and each folder on the way is checked, so that nobody swaps a folder
//! between the check and the use. Reading ([`read_private`]) refuses what is not a plain file of
//! ours.
//!
//! Invariants:
//! - F1: a target's name always refers to a complete content.
//! - F2: what a killed writer left behind is removed by the next write in that folder.
//!
//! On failure: the target is as before, and the temporary file is gone; the one exception is a
//! failed `fsync` of the folder, see [`WriteError::is_in_place`].

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open, openat, renameat};
use nix::sys::stat::{FileStat, Mode, SFlag, fchmod, fstat, mkdirat};
use nix::unistd::{Pid, UnlinkatFlags, fsync, geteuid, unlinkat};

/// Why a file was not written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write `{}`: could not {step}", path.display())]
pub struct WriteError {
    path: PathBuf,
    step: Step,
    #[source]
    source: io::Error,
}

impl WriteError {
    /// Whether the new content has its name already, and only the promise that it survives a power
    /// cut is missing. In every other case the old content is untouched.
    pub fn is_in_place(&self) -> bool {
        self.step == Step::SyncFolder
    }

    /// What the operating system said.
    pub fn kind(&self) -> io::ErrorKind {
        self.source.kind()
    }
}

/// The steps of an atomic write, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    OpenFolder,
    Create,
    Write,
    SyncFile,
    Rename,
    SyncFolder,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OpenFolder => "open its folder",
            Self::Create => "create a temporary file beside it",
            Self::Write => "write the bytes",
            Self::SyncFile => "bring the bytes to the disk",
            Self::Rename => "put the new file in its place",
            Self::SyncFolder => "bring the folder to the disk",
        })
    }
}

/// Replaces the file at `path` by one that holds `bytes`, mode 0600, so that a crash at any instant
/// leaves the old content or the new. Blocks for two disk flushes.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<(), WriteError> {
    write_with(path, bytes, |_| Ok(()))
}

/// Replaces the file at `path` as a whole, mode 0600, so that a crash of ours leaves the old content
/// or the new. For files that a reboot ends anyway: nothing waits for the disk.
pub fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let (folder, name) = split(path)?;
    let folder = open(folder, OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?;
    let temporary = Temporary::create(folder.as_fd(), name)?;
    (&temporary.file).write_all(bytes)?;
    temporary.rename(name)
}

/// As [`write_atomic`]; `before` is asked before each step and may fail it, as a disk would.
fn write_with(
    path: &Path,
    bytes: &[u8],
    mut before: impl FnMut(Step) -> io::Result<()>,
) -> Result<(), WriteError> {
    let failed = |step| {
        move |source| WriteError {
            path: path.to_owned(),
            step,
            source,
        }
    };
    let mut at = |step| before(step).map_err(failed(step));

    at(Step::OpenFolder)?;
    let (folder, name) = split(path).map_err(failed(Step::OpenFolder))?;
    let folder_path = folder;
    let folder = open(folder, OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())
        .map_err(io::Error::from)
        .map_err(failed(Step::OpenFolder))?;
    remove_leftovers(folder.as_fd(), folder_path);

    at(Step::Create)?;
    let temporary = Temporary::create(folder.as_fd(), name).map_err(failed(Step::Create))?;
    at(Step::Write)?;
    (&temporary.file)
        .write_all(bytes)
        .map_err(failed(Step::Write))?;
    at(Step::SyncFile)?;
    temporary.file.sync_all().map_err(failed(Step::SyncFile))?;
    at(Step::Rename)?;
    temporary.rename(name).map_err(failed(Step::Rename))?;
    at(Step::SyncFolder)?;
    fsync(&folder)
        .map_err(io::Error::from)
        .map_err(failed(Step::SyncFolder))
}

/// Removes the file at `path` and brings the removal to the disk. `Ok(false)` if it was not there.
pub fn remove_durably(path: &Path) -> io::Result<bool> {
    let (folder, name) = split(path)?;
    let folder = open(folder, OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?;
    match unlinkat(&folder, name, UnlinkatFlags::NoRemoveDir) {
        Ok(()) => {
            fsync(&folder)?;
            Ok(true)
        }
        Err(Errno::ENOENT) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Folder and file name of `path`.
fn split(path: &Path) -> io::Result<(&Path, &OsStr)> {
    let name = path
        .file_name()
        .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidFilename))?;
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    Ok((folder, name))
}

/// A file that does not have its final name yet; removed on drop unless it got it.
struct Temporary<'a> {
    folder: BorrowedFd<'a>,
    name: OsString,
    file: File,
    renamed: bool,
}

/// Tells the temporary files of this process apart.
static NEXT: AtomicU64 = AtomicU64::new(0);

const PREFIX: &str = ".authsome-";
const SUFFIX: &str = ".tmp";

impl<'a> Temporary<'a> {
    fn create(folder: BorrowedFd<'a>, target: &OsStr) -> io::Result<Self> {
        loop {
            // the target's own name is left out: it may be as long as a name can be
            let name = OsString::from(format!(
                "{PREFIX}{}-{}{SUFFIX}",
                std::process::id(),
                NEXT.fetch_add(1, Ordering::Relaxed)
            ));
            debug_assert_ne!(name, target);
            let flags = OFlag::O_CREAT
                | OFlag::O_EXCL
                | OFlag::O_WRONLY
                | OFlag::O_NOFOLLOW
                | OFlag::O_CLOEXEC;
            match openat(
                folder,
                name.as_os_str(),
                flags,
                Mode::S_IRUSR | Mode::S_IWUSR,
            ) {
                Ok(fd) => {
                    return Ok(Self {
                        folder,
                        name,
                        file: File::from(fd),
                        renamed: false,
                    });
                }
                // left by a dead process that had our id: the next number is free
                Err(Errno::EEXIST) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn rename(mut self, target: &OsStr) -> io::Result<()> {
        renameat(self.folder, self.name.as_os_str(), self.folder, target)?;
        self.renamed = true;
        Ok(())
    }
}

impl Drop for Temporary<'_> {
    fn drop(&mut self) {
        if !self.renamed {
            // if this fails too, the next write in the folder removes it (F2)
            let _removed = unlinkat(
                self.folder,
                self.name.as_os_str(),
                UnlinkatFlags::NoRemoveDir,
            );
        }
    }
}

/// Removes temporary files of processes that are gone (F2). Best effort: what cannot be removed
/// harms nobody.
fn remove_leftovers(folder: BorrowedFd<'_>, path: &Path) {
    let Ok(entries) = std::fs::read_dir(path) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        if writer_of(&name).is_some_and(|pid| !is_alive(pid)) {
            let _removed = unlinkat(folder, name.as_os_str(), UnlinkatFlags::NoRemoveDir);
        }
    }
}

/// The process id in the name of a temporary file of ours.
fn writer_of(name: &OsStr) -> Option<i32> {
    let inner = name.to_str()?.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?;
    let (pid, number) = inner.split_once('-')?;
    number.parse::<u64>().ok()?;
    pid.parse().ok().filter(|pid| *pid > 0)
}

fn is_alive(pid: i32) -> bool {
    // EPERM means that it lives and belongs to somebody else
    nix::sys::signal::kill(Pid::from_raw(pid), None) != Err(Errno::ESRCH)
}

/// Why a folder is not used.
#[derive(Debug, thiserror::Error)]
pub enum DirError {
    /// The path has no absolute form, or contains `..`.
    #[error("will not use `{}`: it is not an absolute path without `..`", .0.display())]
    NotAbsolute(PathBuf),
    /// Something else has the name: a file, a FIFO, a symbolic link.
    #[error("will not use `{}`: it is a {found}, not a folder", path.display())]
    NotFolder {
        /// The path.
        path: PathBuf,
        /// What is there.
        found: &'static str,
    },
    /// It belongs to another user.
    #[error("will not use `{}`: it belongs to user {owner}", path.display())]
    ForeignOwner {
        /// The path.
        path: PathBuf,
        /// Its owner.
        owner: u32,
    },
    /// Others can change what is in it.
    #[error("will not use `{}`: other users can write there (mode {mode:04o})", path.display())]
    WritableByOthers {
        /// The path.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The system refused.
    #[error("cannot use `{}`", path.display())]
    System {
        /// The path.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl DirError {
    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::WritableByOthers { path, .. } => Some(format!(
                "choose a private directory, or run `chmod 700 {}` if it is yours",
                path.display()
            )),
            Self::NotFolder { path, .. } => Some(format!(
                "move `{}` away, or choose another directory",
                path.display()
            )),
            Self::ForeignOwner { .. } | Self::NotAbsolute(_) => {
                Some("set `AUTHSOME_HOME` to a directory of your own".to_owned())
            }
            Self::System { .. } => None,
        }
    }
}

/// Makes sure that a folder is at `path`, that it is ours alone (0700), and that nobody else can
/// replace it or what leads to it. Missing parents are made the same way.
///
/// An existing folder that others may only *read* is closed to them; one that they may *write* is
/// refused, because what is in it may be theirs already. Symbolic links above it are followed if
/// they stand in folders where only root or we can put one.
pub fn create_private_dir(path: &Path) -> Result<(), DirError> {
    if !path.is_absolute() || path.components().any(|part| part == Component::ParentDir) {
        return Err(DirError::NotAbsolute(path.to_owned()));
    }
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(DirError::NotAbsolute(path.to_owned()));
    };
    let parent = match parent.canonicalize() {
        Ok(parent) => parent,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            create_private_dir(parent)?;
            parent.canonicalize().map_err(system(parent))?
        }
        Err(error) => return Err(system(parent)(error)),
    };
    let parent = open_trusted(&parent)?;
    let created = match mkdirat(&parent, name, Mode::S_IRWXU) {
        Ok(()) => true,
        Err(Errno::EEXIST) => false,
        Err(error) => return Err(system(path)(error.into())),
    };
    let folder = open_folder(parent.as_fd(), name, path, OFlag::O_RDONLY)?;
    let stat = fstat(&folder)
        .map_err(io::Error::from)
        .map_err(system(path))?;
    if stat.st_uid != geteuid().as_raw() {
        return Err(DirError::ForeignOwner {
            path: path.to_owned(),
            owner: stat.st_uid,
        });
    }
    let mode = permissions(&stat);
    if !created && mode & 0o022 != 0 {
        return Err(DirError::WritableByOthers {
            path: path.to_owned(),
            mode,
        });
    }
    if mode & 0o7777 != 0o700 {
        fchmod(&folder, Mode::S_IRWXU)
            .map_err(io::Error::from)
            .map_err(system(path))?;
    }
    Ok(())
}

/// Opens the folder at `path` (absolute, free of symbolic links) step by step; refuses a step that
/// anybody but root or us could have replaced.
fn open_trusted(path: &Path) -> Result<OwnedFd, DirError> {
    let mut walked = PathBuf::from("/");
    let mut folder = open(
        "/",
        PASS | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC,
        Mode::empty(),
    )
    .map_err(io::Error::from)
    .map_err(system(&walked))?;
    for part in path.components() {
        let Component::Normal(name) = part else {
            continue;
        };
        walked.push(name);
        folder = open_folder(folder.as_fd(), name, &walked, PASS)?;
        let stat = fstat(&folder)
            .map_err(io::Error::from)
            .map_err(system(&walked))?;
        if stat.st_uid != 0 && stat.st_uid != geteuid().as_raw() {
            return Err(DirError::ForeignOwner {
                path: walked,
                owner: stat.st_uid,
            });
        }
        let mode = permissions(&stat);
        // in a sticky folder such as `/tmp` others can add names but not replace ours
        if mode & 0o022 != 0 && mode & 0o1000 == 0 {
            return Err(DirError::WritableByOthers { path: walked, mode });
        }
    }
    Ok(folder)
}

/// Access to folders on the way: a parent such as a `/home` of mode 0711 may be passed through but
/// not listed, and needs no more than that.
#[cfg(target_os = "linux")]
const PASS: OFlag = OFlag::O_PATH;
#[cfg(not(target_os = "linux"))]
const PASS: OFlag = OFlag::O_RDONLY;

fn open_folder(
    parent: BorrowedFd<'_>,
    name: &OsStr,
    path: &Path,
    access: OFlag,
) -> Result<OwnedFd, DirError> {
    let flags = access | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    openat(parent, name, flags, Mode::empty()).map_err(|error| match error {
        Errno::ENOTDIR | Errno::ELOOP => DirError::NotFolder {
            path: path.to_owned(),
            found: what_is(path),
        },
        error => system(path)(error.into()),
    })
}

fn system(path: &Path) -> impl FnOnce(io::Error) -> DirError {
    let path = path.to_owned();
    move |source| DirError::System { path, source }
}

/// Permission bits, with the sticky and set-id bits; the field's width differs between systems.
#[cfg_attr(
    target_os = "linux",
    expect(clippy::useless_conversion, reason = "u16 on macOS")
)]
fn permissions(stat: &FileStat) -> u32 {
    u32::from(stat.st_mode) & 0o7777
}

/// The kind of thing at `path`, for messages only.
fn what_is(path: &Path) -> &'static str {
    use std::os::unix::fs::FileTypeExt as _;

    let Ok(metadata) = std::fs::symlink_metadata(path) else {
        return "something else";
    };
    let kind = metadata.file_type();
    if kind.is_symlink() {
        "symbolic link"
    } else if kind.is_fifo() {
        "FIFO"
    } else if kind.is_socket() {
        "socket"
    } else if kind.is_file() {
        "file"
    } else if kind.is_dir() {
        "folder"
    } else {
        "device"
    }
}

/// Why a file of ours was not read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Not a plain file, but a link, a FIFO or the like.
    #[error("will not read `{}`: it is a {found}, not a file", path.display())]
    NotFile {
        /// The path.
        path: PathBuf,
        /// What is there.
        found: &'static str,
    },
    /// It belongs to another user, or others can change it.
    #[error("will not read `{}`: it belongs to user {owner} and has mode {mode:04o}", path.display())]
    NotPrivate {
        /// The path.
        path: PathBuf,
        /// Its owner.
        owner: u32,
        /// Its permission bits.
        mode: u32,
    },
    /// Larger than anything we write.
    #[error("will not read `{}`: it has more than {max} bytes", path.display())]
    TooLarge {
        /// The path.
        path: PathBuf,
        /// The limit in bytes.
        max: u64,
    },
    /// The system refused.
    #[error("cannot read `{}`", path.display())]
    System {
        /// The path.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Reads the file at `path` whole, at most `max` bytes; `None` if there is none. It must be a plain
/// file that belongs to us and that nobody else may write: never a link, and a FIFO does not hang us.
pub fn read_private(path: &Path, max: u64) -> Result<Option<Vec<u8>>, ReadError> {
    let system = |source: io::Error| ReadError::System {
        path: path.to_owned(),
        source,
    };
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let fd = match open(path, flags, Mode::empty()) {
        Ok(fd) => fd,
        Err(Errno::ENOENT) => return Ok(None),
        // ENXIO: a socket
        Err(Errno::ELOOP | Errno::ENXIO) => {
            return Err(ReadError::NotFile {
                path: path.to_owned(),
                found: what_is(path),
            });
        }
        Err(error) => return Err(system(error.into())),
    };
    let stat = fstat(&fd).map_err(io::Error::from).map_err(system)?;
    if SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT != SFlag::S_IFREG {
        return Err(ReadError::NotFile {
            path: path.to_owned(),
            found: what_is(path),
        });
    }
    let mode = permissions(&stat);
    if stat.st_uid != geteuid().as_raw() || mode & 0o022 != 0 {
        return Err(ReadError::NotPrivate {
            path: path.to_owned(),
            owner: stat.st_uid,
            mode,
        });
    }
    // room for one byte too many, so that a full buffer is told from a file over the limit, and
    // for the whole file at once, so that a growing buffer leaves no copies of a secret behind
    let size = u64::try_from(stat.st_size).unwrap_or(0).min(max);
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0) + 1);
    File::from(fd)
        .take(max + 1)
        .read_to_end(&mut bytes)
        .map_err(system)?;
    if bytes.len() > usize::try_from(max).unwrap_or(usize::MAX) {
        return Err(ReadError::TooLarge {
            path: path.to_owned(),
            max,
        });
    }
    Ok(Some(bytes))
}

/// `bytes` as lower-case hexadecimal digits: for names and checksums.
pub(crate) fn hex<'a>(bytes: impl IntoIterator<Item = &'a u8>) -> String {
    let mut text = String::new();
    for byte in bytes {
        for digit in [byte >> 4, byte & 0xf] {
            text.extend(char::from_digit(u32::from(digit), 16));
        }
    }
    text
}

#[cfg(test)]
mod tests;
