//! Files that `service install` writes: whole or not at all, and never over what a person wrote.
//!
//! Each bears a line that says so, with a hash of the rest. A file whose hash is another was changed
//! by a person; one without the line was never ours. Both stay as they are unless `--force` is said.
//! The hash is a reminder, not a protection: whoever writes these files is the user already.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::error::Failure;

/// What a line of ours holds.
const MARK: &str = "Written by `authsome service install`";

/// Largest file that is looked at. Ours are a few kilobytes.
const FILE_MAX: u64 = 256 * 1024;

/// A file to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Planned {
    /// Where.
    pub(crate) path: PathBuf,
    /// What, with its mark.
    pub(crate) text: String,
}

/// Whose a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Written by us, changed since.
    Changed,
    /// Written by somebody else.
    Foreign,
    /// As we wrote it.
    Ours,
}

impl Origin {
    /// In a word.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Foreign => "foreign",
            Self::Ours => "installed",
        }
    }
}

/// How the mark is put in a comment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comment {
    /// `# …`, first.
    Hash,
    /// `<!-- … -->`, behind the first line, which must be the declaration.
    Xml,
}

/// `text` with its mark.
pub(crate) fn marked(text: &str, comment: Comment) -> String {
    let mark = format!("{MARK}, which overwrites this file [{:016x}]", hash(text));
    match comment {
        Comment::Hash => format!("# {mark}\n{text}"),
        Comment::Xml => match text.split_once('\n') {
            Some((first, rest)) => format!("{first}\n<!-- {mark} -->\n{rest}"),
            None => format!("{text}\n<!-- {mark} -->\n"),
        },
    }
}

/// Whose the file with this text is.
pub(crate) fn origin(text: &str) -> Origin {
    let mut rest = String::with_capacity(text.len());
    let mut found = None;
    for line in text.split_inclusive('\n') {
        if found.is_none() && line.contains(MARK) {
            found = Some(line);
        } else {
            rest.push_str(line);
        }
    }
    let Some(line) = found else {
        return Origin::Foreign;
    };
    if line.contains(&format!("[{:016x}]", hash(&rest))) {
        Origin::Ours
    } else {
        Origin::Changed
    }
}

/// The text of a file, and whose it is; `None` if there is none.
pub(crate) fn look(path: &Path) -> Result<Option<(String, Origin)>, Failure> {
    let cannot = |error: &io::Error| {
        Failure::failed(format!("cannot read `{}`", path.display())).because(error)
    };
    let meta = match fs::symlink_metadata(path) {
        Ok(meta) => meta,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(cannot(&error)),
    };
    // a link, such as that of a masked unit, or something else: not what we write
    if !meta.is_file() || meta.len() > FILE_MAX {
        return Ok(Some((String::new(), Origin::Foreign)));
    }
    let text = fs::read_to_string(path).map_err(|error| cannot(&error))?;
    let origin = origin(&text);
    Ok(Some((text, origin)))
}

/// What is to be done to the files.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    /// To be written, as they differ or are missing.
    pub(crate) write: Vec<Planned>,
    /// Ours of an earlier installation, not wanted any more.
    pub(crate) remove: Vec<PathBuf>,
    /// As they should be.
    pub(crate) same: Vec<PathBuf>,
    /// What the first two held before.
    before: Vec<(PathBuf, Option<String>)>,
}

impl Changes {
    /// Compares what is planned with what is there; `all` are the files that an installation may
    /// have. Fails on what a person wrote or changed, unless `force`.
    pub(crate) fn between(
        plan: Vec<Planned>,
        all: &[PathBuf],
        force: bool,
    ) -> Result<Self, Failure> {
        let mut changes = Self::default();
        for path in all {
            let planned = plan.iter().any(|planned| &planned.path == path);
            if !planned && let Some((text, Origin::Ours)) = look(path)? {
                changes.remove.push(path.clone());
                changes.before.push((path.clone(), Some(text)));
            }
        }
        for planned in plan {
            match look(&planned.path)? {
                Some((text, _)) if text == planned.text => changes.same.push(planned.path),
                Some((_, origin @ (Origin::Changed | Origin::Foreign))) if !force => {
                    return Err(refused(&planned.path, origin, "overwritten"));
                }
                found => {
                    let text = found.map(|(text, _)| text);
                    changes.before.push((planned.path.clone(), text));
                    changes.write.push(planned);
                }
            }
        }
        Ok(changes)
    }

    /// Whether nothing is to be done.
    pub(crate) fn is_empty(&self) -> bool {
        self.write.is_empty() && self.remove.is_empty()
    }

    /// Writes and removes.
    pub(crate) fn apply(&self) -> Result<(), Failure> {
        for planned in &self.write {
            write(planned)?;
        }
        self.remove.iter().try_for_each(|path| remove(path))
    }

    /// Puts back what was there.
    pub(crate) fn take_back(&self) -> Result<(), Failure> {
        self.before.iter().try_for_each(|(path, text)| match text {
            Some(text) => write(&Planned {
                path: path.clone(),
                text: text.clone(),
            }),
            None => remove(path),
        })
    }
}

/// Says that a file stays as it is.
pub(crate) fn refused(path: &Path, origin: Origin, what: &str) -> Failure {
    let why = match origin {
        Origin::Changed => "was changed since `authsome service install` wrote it",
        Origin::Foreign | Origin::Ours => "was not written by `authsome service install`",
    };
    Failure::failed(format!("`{}` is not {what}: it {why}", path.display())).hint(
        "keep changes of your own in a drop-in (`systemctl --user edit`), or say `--force` to lose them",
    )
}

/// Writes a file so that its name always refers to a complete text.
fn write(planned: &Planned) -> Result<(), Failure> {
    let cannot = |error: &io::Error| {
        Failure::failed(format!("cannot write `{}`", planned.path.display())).because(error)
    };
    let folder = planned.path.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(folder).map_err(|error| cannot(&error))?;
    let name = planned.path.file_name().unwrap_or_default();
    // a leading dot: the manager takes no notice of it
    let passing = folder.join(format!(
        ".{}.{}",
        name.to_string_lossy(),
        std::process::id()
    ));
    let put = || {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o644)
            .open(&passing)?;
        file.write_all(planned.text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&passing, &planned.path)?;
        fs::File::open(folder)?.sync_all()
    };
    put().map_err(|error| {
        // what was wanted is in the failure already
        drop(fs::remove_file(&passing));
        cannot(&error)
    })
}

/// Removes a file, and its folder if that is a drop-in folder and empty now.
pub(crate) fn remove(path: &Path) -> Result<(), Failure> {
    match fs::remove_file(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => {
            return Err(
                Failure::failed(format!("cannot remove `{}`", path.display())).because(&error),
            );
        }
    }
    if let Some(folder) = path.parent()
        && folder.extension().is_some_and(|extension| extension == "d")
    {
        // not empty: a person has drop-ins there
        drop(fs::remove_dir(folder));
    }
    Ok(())
}

/// FNV-1a.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(folder: &Path, name: &str, text: &str) -> Planned {
        Planned {
            path: folder.join(name),
            text: marked(text, Comment::Hash),
        }
    }

    #[test]
    fn a_file_of_ours_is_known_by_its_mark_and_one_changed_letter_is_seen() {
        let xml = "<?xml version=\"1.0\"?>\n<plist/>\n";
        for (text, comment) in [("[Unit]\nA=1\n", Comment::Hash), (xml, Comment::Xml)] {
            let ours = marked(text, comment);
            assert_eq!(origin(&ours), Origin::Ours);
            assert_eq!(origin(&ours.replace('1', "2")), Origin::Changed, "{ours}");
            assert_eq!(origin(text), Origin::Foreign);
        }
        assert!(marked(xml, Comment::Xml).starts_with("<?xml"));
        assert_eq!(origin(""), Origin::Foreign);
    }

    #[test]
    fn what_a_person_wrote_or_changed_stays_unless_forced() {
        let folder = tempfile::tempdir().unwrap();
        let plan = vec![planned(folder.path(), "a.socket", "A=1\n")];
        let path = plan[0].path.clone();
        let all = [path.clone()];
        for text in ["mine\n", &plan[0].text.replace("A=1", "A=2")] {
            #[expect(clippy::disallowed_methods, reason = "a file of the test's own folder")]
            fs::write(&path, text).unwrap();
            let failure = Changes::between(plan.clone(), &all, false).unwrap_err();
            assert!(
                failure.message.contains("is not overwritten"),
                "{failure:?}"
            );
            assert!(failure.hint.unwrap().contains("--force"));
            let changes = Changes::between(plan.clone(), &all, true).unwrap();
            assert_eq!(changes.write, plan);
        }
    }

    #[test]
    fn writing_is_idempotent_and_leaves_nothing_else_behind() {
        let folder = tempfile::tempdir().unwrap();
        let name = "deep/x.socket.d/port.conf";
        let plan = vec![planned(folder.path(), name, "A=1\n")];
        let all = [plan[0].path.clone()];
        let changes = Changes::between(plan.clone(), &all, false).unwrap();
        changes.apply().unwrap();
        assert_eq!(fs::read_to_string(&plan[0].path).unwrap(), plan[0].text);
        let again = Changes::between(plan.clone(), &all, false).unwrap();
        assert!(again.is_empty(), "{again:?}");
        let other = vec![planned(folder.path(), name, "A=2\n")];
        let update = Changes::between(other.clone(), &all, false).unwrap();
        update.apply().unwrap();
        assert_eq!(fs::read_to_string(&plan[0].path).unwrap(), other[0].text);
        update.take_back().unwrap();
        assert_eq!(fs::read_to_string(&plan[0].path).unwrap(), plan[0].text);
        let names = fs::read_dir(plan[0].path.parent().unwrap()).unwrap();
        assert_eq!(names.count(), 1);
        // another plan: the older file goes, and its drop-in folder with it
        let none = Changes::between(Vec::new(), &all, false).unwrap();
        assert_eq!(none.remove, all);
        none.apply().unwrap();
        assert!(!plan[0].path.parent().unwrap().exists());
        assert!(folder.path().join("deep").exists());
    }

    #[test]
    fn a_masked_unit_is_somebody_elses() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.socket");
        std::os::unix::fs::symlink("/dev/null", &path).unwrap();
        assert_eq!(look(&path).unwrap().unwrap().1, Origin::Foreign);
    }
}
