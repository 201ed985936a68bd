//! `authsome.toml`: found upwards from the working directory and handed to the daemon as text.
//!
//! 1. Folder by folder upwards, up to the user's home folder if it is on the way, else to the
//!    root. A folder that belongs to neither the user nor root ends the search: what lies above
//!    is not the user's project.
//! 2. The first file counts. One that others could have put there or may write to is left aside
//!    with a warning, and the search goes on.
//! 3. Only the daemon reads what it says. Nothing turns it off: a file that cannot be read fails
//!    the run.
//!
//! A file can only narrow, so the worst that a stranger's could do is to keep a run from working.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use authsome_proto::places::{PROJECT_FILE, PROJECT_LEN_MAX};
use authsome_proto::request::ProjectFile;
use nix::fcntl::OFlag;
use nix::unistd::{getegid, geteuid};

use crate::error::Failure;
use crate::ui::{Ui, printable};

/// Bits of a mode by which the group, and everybody else, may write.
const GROUP_WRITES: u32 = 0o020;
const OTHERS_WRITE: u32 = 0o002;

/// The project file that applies in the working directory.
pub(crate) fn find(ui: Ui) -> Result<Option<ProjectFile>, Failure> {
    // a folder that is gone has no project
    let Ok(folder) = std::env::current_dir() else {
        return Ok(None);
    };
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let me = User {
        uid: geteuid().as_raw(),
        gid: getegid().as_raw(),
    };
    let Search { found, left_aside } = search(&folder, home.as_deref(), me)?;
    for warning in left_aside {
        ui.warning(&warning);
    }
    if let Some(file) = &found {
        ui.detail(&format!("rules of `{}`", file.path));
    }
    Ok(found)
}

/// Whose files are trusted, besides root's.
#[derive(Debug, Clone, Copy)]
struct User {
    uid: u32,
    gid: u32,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Search {
    found: Option<ProjectFile>,
    left_aside: Vec<String>,
}

fn search(from: &Path, home: Option<&Path>, me: User) -> Result<Search, Failure> {
    // both without symbolic links, or the home folder might be walked past
    let home = home.and_then(|home| fs::canonicalize(home).ok());
    let mut search = Search::default();
    for folder in from.ancestors() {
        let path = folder.join(PROJECT_FILE);
        let shown = || printable(&path.to_string_lossy());
        match fs::metadata(folder) {
            Ok(meta) if me.is_trusted(meta.uid()) => {}
            Ok(meta) => {
                if fs::symlink_metadata(&path).is_ok() {
                    let owner = meta.uid();
                    search.left_aside.push(format!(
                        "`{}` is left aside: its folder belongs to the user {owner}",
                        shown()
                    ));
                }
                break;
            }
            Err(_) => break,
        }
        match read(&path, me) {
            Ok(Some(text)) => {
                search.found = Some(ProjectFile {
                    path: shown(),
                    text,
                });
                break;
            }
            Ok(None) => {}
            Err(Problem::Untrusted(why)) => search
                .left_aside
                .push(format!("`{}` is left aside: {why}", shown())),
            Err(Problem::Unreadable(error)) => {
                return Err(Failure::failed(format!("cannot read `{}`", shown()))
                    .because(&error)
                    .hint("mend or move the file, or start the run in another folder"));
            }
        }
        if home.as_deref() == Some(folder) {
            break;
        }
    }
    Ok(search)
}

/// Why a file is not used.
#[derive(Debug)]
enum Problem {
    Unreadable(io::Error),
    Untrusted(String),
}

impl From<io::Error> for Problem {
    fn from(error: io::Error) -> Self {
        Self::Unreadable(error)
    }
}

/// The text of the file at `path`, if there is one.
fn read(path: &Path, me: User) -> Result<Option<String>, Problem> {
    let link = match fs::symlink_metadata(path) {
        Ok(link) => link,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    if !me.is_trusted(link.uid()) {
        return Err(Problem::Untrusted(owner(&link)));
    }
    let file = open(path)?;
    // what was opened, whatever stands there by now
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Err(io::Error::other("it is not a regular file").into());
    }
    if !me.is_trusted(meta.uid()) {
        return Err(Problem::Untrusted(owner(&meta)));
    }
    let mode = meta.mode();
    // the user's own group may: that is the default of many systems, and nobody else is in it there
    if mode & OTHERS_WRITE != 0 || mode & GROUP_WRITES != 0 && meta.gid() != me.gid {
        let why = format!("others may write to it (mode {:04o})", mode & 0o7777);
        return Err(Problem::Untrusted(why));
    }
    let mut bytes = Vec::new();
    let len_max = u64::try_from(PROJECT_LEN_MAX).unwrap_or(u64::MAX);
    file.take(len_max.saturating_add(1))
        .read_to_end(&mut bytes)?;
    if bytes.len() > PROJECT_LEN_MAX {
        return Err(io::Error::other("it is larger than 64 KiB").into());
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Some(text)),
        Err(_) => Err(io::Error::other("it is not UTF-8").into()),
    }
}

/// Opens for reading; a pipe that nobody writes to does not hold us up.
fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .custom_flags(OFlag::O_NONBLOCK.bits() | OFlag::O_NOCTTY.bits())
        .open(path)
}

fn owner(meta: &Metadata) -> String {
    format!("it belongs to the user {}", meta.uid())
}

impl User {
    fn is_trusted(self, owner: u32) -> bool {
        owner == self.uid || owner == 0
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::io::Write as _;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    struct Folders {
        folder: tempfile::TempDir,
        me: User,
    }

    impl Folders {
        /// `home/project/src`, below a folder of ours.
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            fs::create_dir_all(folder.path().join("home/project/src")).unwrap();
            let meta = fs::metadata(folder.path()).unwrap();
            let me = User {
                uid: meta.uid(),
                gid: meta.gid(),
            };
            Self { folder, me }
        }

        fn at(&self, path: &str) -> PathBuf {
            self.folder.path().canonicalize().unwrap().join(path)
        }

        fn put(&self, path: &str, text: impl AsRef<[u8]>, mode: u32) {
            let path = self.at(path);
            File::create(&path)
                .unwrap()
                .write_all(text.as_ref())
                .unwrap();
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        }

        fn search(&self) -> Result<Search, Failure> {
            search(
                &self.at("home/project/src"),
                Some(&self.at("home")),
                self.me,
            )
        }

        fn found(&self) -> Option<String> {
            self.search().unwrap().found.map(|file| file.text)
        }
    }

    #[test]
    fn the_nearest_file_counts_and_the_home_folder_is_the_last_looked_at() {
        let folders = Folders::new();
        folders.put("authsome.toml", "above the home", 0o644);
        assert_eq!(folders.found(), None);
        folders.put("home/authsome.toml", "home", 0o644);
        assert_eq!(folders.found().as_deref(), Some("home"));
        folders.put("home/project/authsome.toml", "project", 0o400);
        assert_eq!(folders.found().as_deref(), Some("project"));
        folders.put("home/project/src/authsome.toml", "src", 0o664);
        let file = folders.search().unwrap().found.unwrap();
        assert_eq!(file.text, "src");
        assert_eq!(
            file.path,
            folders
                .at("home/project/src/authsome.toml")
                .to_str()
                .unwrap()
        );
        // without a home on the way it goes on upwards
        let above = search(
            &folders.at("home"),
            Some(Path::new("/nonexistent")),
            folders.me,
        );
        assert_eq!(above.unwrap().found.unwrap().text, "home");
    }

    #[test]
    fn a_file_that_others_may_write_is_left_aside_with_a_warning() {
        let folders = Folders::new();
        folders.put("home/authsome.toml", "home", 0o644);
        folders.put("home/project/authsome.toml", "project", 0o646);
        let search = folders.search().unwrap();
        assert_eq!(search.found.unwrap().text, "home");
        let [warning] = search.left_aside.as_slice() else {
            panic!("{:?}", search.left_aside)
        };
        assert!(
            warning.ends_with(
                "/home/project/authsome.toml` is left aside: others may write to it (mode 0646)"
            ),
            "{warning}"
        );
        // a group that is not the user's own counts as others
        folders.put("home/project/authsome.toml", "project", 0o664);
        assert_eq!(folders.found().as_deref(), Some("project"));
        let me = User {
            gid: folders.me.gid + 1,
            ..folders.me
        };
        let other = super::search(&folders.at("home/project"), Some(&folders.at("home")), me);
        assert_eq!(other.unwrap().left_aside.len(), 1);
    }

    #[test]
    fn files_and_folders_of_strangers_are_not_used() {
        let folders = Folders::new();
        folders.put("home/project/authsome.toml", "project", 0o644);
        let stranger = User {
            uid: folders.me.uid + 1,
            gid: folders.me.gid,
        };
        if folders.me.uid != 0 {
            let search = search(&folders.at("home/project"), None, stranger).unwrap();
            assert_eq!(search.found, None, "the folder already ends it");
            assert_eq!(search.left_aside.len(), 1);
        }
        let path = folders.at("home/project/authsome.toml");
        if folders.me.uid == 0 {
            std::os::unix::fs::chown(&path, Some(12_345), None).unwrap();
            let search = folders.search().unwrap();
            assert_eq!(search.found, None);
            assert!(
                search.left_aside[0].ends_with("it belongs to the user 12345"),
                "{:?}",
                search.left_aside
            );
            std::os::unix::fs::chown(folders.at("home/project"), Some(12_345), None).unwrap();
            let search = folders.search().unwrap();
            assert_eq!(search.found, None);
            assert!(
                search.left_aside[0].ends_with("its folder belongs to the user 12345"),
                "{:?}",
                search.left_aside
            );
        } else {
            assert!(matches!(read(&path, stranger), Err(Problem::Untrusted(_))));
        }
    }

    #[test]
    fn a_link_counts_by_what_it_leads_to() {
        let folders = Folders::new();
        folders.put("home/rules", "rules", 0o646);
        symlink(
            folders.at("home/rules"),
            folders.at("home/project/authsome.toml"),
        )
        .unwrap();
        assert_eq!(folders.search().unwrap().left_aside.len(), 1);
        folders.put("home/rules", "rules", 0o644);
        assert_eq!(folders.found().as_deref(), Some("rules"));
    }

    #[test]
    fn what_cannot_be_read_is_an_error_and_not_overlooked() {
        let folders = Folders::new();
        let why = || folders.search().unwrap_err().causes[0].clone();
        folders.put("home/project/authsome.toml", b"\xff", 0o644);
        assert_eq!(why(), "it is not UTF-8");
        folders.put(
            "home/project/authsome.toml",
            vec![b'#'; 64 * 1024 + 1],
            0o644,
        );
        assert_eq!(why(), "it is larger than 64 KiB");
        folders.put("home/project/authsome.toml", vec![b'#'; 64 * 1024], 0o644);
        assert!(folders.found().is_some());
        let path = folders.at("home/project/authsome.toml");
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert_eq!(why(), "it is not a regular file");
        fs::remove_dir(&path).unwrap();
        // nobody writes to it: it must not hang
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
        assert_eq!(why(), "it is not a regular file");
        fs::remove_file(&path).unwrap();
        symlink("/nonexistent/rules", &path).unwrap();
        assert!(folders.search().is_err(), "a link that leads nowhere");
    }
}
