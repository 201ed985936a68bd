//! All definitions: the bundled ones with the user's files laid over them.
//!
//! 1. Every bundled definition becomes an entry.
//! 2. Each `NAME.json` of the folder is read, in the order of names. A good one replaces the
//!    bundled definition of that name; a broken or empty one becomes a problem, and the bundled
//!    definition stays (P3). The empty file is common: `inspect x > providers/x.json` truncates it
//!    before we are asked.
//! 3. Definitions that would claim the same requests are warned about.
//!
//! Invariants: loading never fails and never waits (regular files only, of bounded size).
//! Not here: watching the folder; callers compare [`super::signature`].

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use authsome_proto::ProviderName;
use nix::fcntl::OFlag;

use super::bundled;
use super::check;
use super::definition::Definition;
use super::parse::{parse_definition, parse_override};
use super::problem::{Problem, Severity};
use super::suggest;
use crate::routing::Endpoint;

/// Largest file that is read as a definition, in bytes. The largest real one has 3 KiB; the text
/// is held in memory and walked once for each problem.
pub const FILE_LEN_MAX: u64 = 256 * 1024;

/// Most files of the folder that are read; more would make every reload slow.
const FILES_MAX: usize = 1000;

/// The bundled definitions, parsed once for the life of the process.
static BUNDLED: LazyLock<(Vec<Entry>, Vec<Problem>)> = LazyLock::new(|| {
    let mut entries = Vec::new();
    let mut problems = Vec::new();
    for (name, text) in bundled::DEFINITIONS {
        let file = PathBuf::from(format!("bundled/{name}.json"));
        let (definition, found) = parse_definition(text, &file, None);
        entries.extend(definition.map(|it| Entry::new(it, Source::Bundled)));
        problems.extend(found);
    }
    (entries, problems)
});

/// All definitions, by name.
#[derive(Debug, Clone)]
pub struct Catalogue {
    entries: BTreeMap<ProviderName, Entry>,
    problems: Vec<Problem>,
}

/// A definition and where it comes from.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The definition that is used.
    pub definition: Arc<Definition>,
    /// Where it comes from.
    pub source: Source,
    /// The problem of an override that should have replaced it, but cannot be used.
    pub shadowed_broken: Option<Problem>,
    /// Worked out once: every run asks for those of all definitions.
    endpoints: Arc<[Endpoint]>,
}

/// Where a definition comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// From this program.
    Bundled,
    /// From a file of the user.
    Custom {
        /// The file.
        path: PathBuf,
    },
}

impl Entry {
    fn new(definition: Definition, source: Source) -> Self {
        Self {
            endpoints: definition.endpoints().into(),
            definition: Arc::new(definition),
            source,
            shadowed_broken: None,
        }
    }

    /// [`Definition::endpoints`] of the definition.
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }
}

impl Catalogue {
    /// The bundled definitions with the files of `dir` laid over them. A folder that is not there
    /// is an empty one; everything else that goes wrong is a problem.
    pub fn load(dir: Option<&Path>) -> Self {
        let (entries, problems) = &*BUNDLED;
        let entries = entries
            .iter()
            .map(|entry| (entry.definition.name.clone(), entry.clone()));
        let mut catalogue = Self {
            entries: entries.collect(),
            problems: problems.clone(),
        };
        if let Some(dir) = dir {
            catalogue.lay_over(dir);
            catalogue.warn_of_overlaps();
        }
        catalogue
    }

    /// The entry of this name.
    pub fn find(&self, name: &str) -> Option<&Entry> {
        self.entries.get(&name.parse::<ProviderName>().ok()?)
    }

    /// All entries, by name.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    /// What is wrong in the files, in their order.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// The provider that `name` was probably meant to be.
    pub fn suggest(&self, name: &str) -> Option<&ProviderName> {
        let near = suggest::nearest(name, self.entries.keys().map(ProviderName::as_str))?;
        self.entries.keys().find(|known| known.as_str() == near)
    }

    fn lay_over(&mut self, dir: &Path) {
        let mut paths = match fs::read_dir(dir) {
            Ok(entries) => {
                let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
                paths.collect::<Vec<_>>()
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return,
            Err(error) => {
                self.problems.push(problem(
                    dir,
                    None,
                    format!("cannot read this folder: {error}"),
                ));
                return;
            }
        };
        paths.sort_unstable();
        if paths.len() > FILES_MAX {
            let message = format!("more than {FILES_MAX} files are here; the rest is not read");
            self.problems.push(problem(dir, None, message));
            paths.truncate(FILES_MAX);
        }
        for path in paths {
            self.lay_file_over(path);
        }
    }

    fn lay_file_over(&mut self, path: PathBuf) {
        let Some(stem) = path.file_name().and_then(|name| name.to_str()) else {
            self.problems.push(problem(
                &path,
                None,
                "the name of this file is not UTF-8".into(),
            ));
            return;
        };
        if stem.starts_with('.') || stem.ends_with('~') {
            return; // editors leave such files for a moment, or for good
        }
        let Some(stem) = stem.strip_suffix(".json").map(str::to_owned) else {
            let message = "only files that end in `.json` are read".into();
            let warning = Problem {
                severity: Severity::Warning,
                ..problem(&path, None, message)
            };
            self.problems.push(warning);
            return;
        };
        let (definition, problems) = match read_file(&path) {
            Ok(text) => parse_override(&text, &path, &stem),
            Err(message) => (None, vec![problem(&path, Some(&stem), message)]),
        };
        if let Some(definition) = definition {
            let entry = Entry::new(definition, Source::Custom { path });
            self.entries.insert(entry.definition.name.clone(), entry);
        } else {
            let worst = problems
                .iter()
                .find(|problem| problem.severity == Severity::Error);
            if let Ok(name) = stem.parse::<ProviderName>()
                && let Some(entry) = self.entries.get_mut(&name)
            {
                entry.shadowed_broken = worst.cloned();
            }
        }
        self.problems.extend(problems);
    }

    /// Only pairs with a custom definition: what the bundled ones share is in their notes, also where
    /// one of them was taken over with these. Only definitions that can be connected: the others never
    /// claim a request.
    fn warn_of_overlaps(&mut self) {
        let mut found = Vec::new();
        for (name, entry) in &self.entries {
            let Source::Custom { path } = &entry.source else {
                continue;
            };
            for (other_name, other) in &self.entries {
                let named = format!("`{other_name}`");
                let told = matches!(other.source, Source::Custom { .. }) && other_name < name
                    || entry.definition.notes.iter().any(|it| it.contains(&named));
                if other_name == name
                    || told
                    || !entry.definition.is_ready()
                    || !other.definition.is_ready()
                {
                    continue;
                }
                if let Some(overlap) = check::overlap(&entry.definition, &other.definition) {
                    let message = format!(
                        "`{name}` and `{other_name}` both claim `{}{}`; while both are connected, such requests are refused",
                        overlap.host,
                        overlap.path.as_deref().unwrap_or_default()
                    );
                    found.push(Problem {
                        field: Some("routes".into()),
                        severity: Severity::Warning,
                        ..problem(path, Some(name.as_str()), message)
                    });
                }
            }
        }
        self.problems.extend(found);
    }
}

fn problem(file: &Path, provider: Option<&str>, message: String) -> Problem {
    Problem {
        file: file.to_owned(),
        provider: provider.map(str::to_owned),
        field: None,
        line: None,
        severity: Severity::Error,
        message,
    }
}

/// The text of a regular file of bounded size. Links are not followed: what a definition says must
/// not depend on files outside the folder. A pipe must not make us wait.
fn read_file(path: &Path) -> Result<String, String> {
    let is_link = fs::symlink_metadata(path).is_ok_and(|meta| meta.file_type().is_symlink());
    if is_link {
        return Err("this is a symbolic link, and links are not followed here".into());
    }
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let file: File = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits())
        .open(path)
        .map_err(|error| format!("cannot read this file: {error}"))?;
    let meta = file
        .metadata()
        .map_err(|error| format!("cannot read this file: {error}"))?;
    if !meta.is_file() {
        return Err("this is not a regular file".into());
    }
    let too_long = || format!("this file is larger than {} KiB", FILE_LEN_MAX / 1024);
    if meta.len() > FILE_LEN_MAX {
        return Err(too_long());
    }
    let mut bytes = Vec::new();
    // one more than allowed, so that a file that grows meanwhile is seen
    file.take(FILE_LEN_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| format!("cannot read this file: {error}"))?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > FILE_LEN_MAX {
        return Err(too_long());
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let before = String::from_utf8_lossy(error.as_bytes().get(..at).unwrap_or_default());
        let line = 1 + before.matches('\n').count();
        format!("line {line} of this file is not UTF-8")
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::providers::signature;

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn put(&self, name: &str, bytes: impl AsRef<[u8]>) {
            File::create(self.0.path().join(name))
                .unwrap()
                .write_all(bytes.as_ref())
                .unwrap();
        }

        fn load(&self) -> Catalogue {
            Catalogue::load(Some(self.0.path()))
        }
    }

    fn mine(name: &str, hosts: &str) -> String {
        format!(
            r#"{{"v": 1, "name": "{name}", "display_name": "Mine", "auth": "api_key",
                "routes": [{{"hosts": [{hosts}], "header": {{"name": "x-api-key"}}}}]}}"#
        )
    }

    #[test]
    fn all_bundled_definitions_are_there_without_a_folder() {
        for catalogue in [
            Catalogue::load(None),
            Catalogue::load(Some("/nonexistent".as_ref())),
        ] {
            assert_eq!(catalogue.entries().count(), 89);
            assert_eq!(catalogue.problems(), []);
            assert_eq!(catalogue.find("intercom").unwrap().source, Source::Bundled);
            assert!(catalogue.find("nothing").is_none());
            assert!(catalogue.find("../intercom").is_none());
        }
    }

    #[test]
    fn an_override_replaces_the_bundled_definition() {
        let folder = Folder::new();
        folder.put("intercom.json", mine("intercom", "\"api.corp.example\""));
        let catalogue = folder.load();
        assert_eq!(catalogue.problems(), []);
        let entry = catalogue.find("intercom").unwrap();
        assert_eq!(entry.definition.hosts(), ["api.corp.example"]);
        assert_eq!(
            entry.source,
            Source::Custom {
                path: folder.0.path().join("intercom.json")
            }
        );
        assert_eq!(catalogue.entries().count(), 89);
    }

    #[test]
    fn what_inspect_prints_is_an_override_without_problems() {
        let folder = Folder::new();
        let bundled = Catalogue::load(None);
        for entry in bundled.entries() {
            let name = format!("{}.json", entry.definition.name);
            folder.put(&name, entry.definition.to_json());
        }
        let catalogue = folder.load();
        let texts: Vec<_> = catalogue
            .problems()
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(texts, Vec::<String>::new());
        for entry in catalogue.entries() {
            assert!(matches!(entry.source, Source::Custom { .. }));
            let name = entry.definition.name.as_str();
            assert_eq!(entry.definition, bundled.find(name).unwrap().definition);
        }
    }

    /// The shell empties the file before `inspect` is asked for the definition.
    #[test]
    fn an_empty_or_broken_override_never_hides_the_bundled_definition() {
        for (text, message) in [
            (&b""[..], "the file is empty"),
            (b"{", "unterminated object"),
            (b"{\"v\": 1, \"name\": \"intercom\"}", "is missing"),
            (b"\xff", "line 1 of this file is not UTF-8"),
            (
                b"{\"name\": \"other\", \"auth_type\": \"api_key\", \"api_url\": \"a.b.com\"}",
                "rename",
            ),
        ] {
            let folder = Folder::new();
            folder.put("intercom.json", text);
            let catalogue = folder.load();
            let entry = catalogue.find("intercom").unwrap();
            assert_eq!(entry.source, Source::Bundled);
            assert_eq!(entry.definition.hosts().len(), 3);
            let shadowed = entry.shadowed_broken.as_ref().unwrap();
            assert!(shadowed.message.contains(message), "{shadowed}");
            assert!(catalogue.problems().contains(shadowed));
            assert!(shadowed.file.ends_with("intercom.json"));
            assert!(catalogue.find("other").is_none());
            assert_eq!(shadowed.provider.as_deref(), Some("intercom"));
        }
    }

    #[test]
    fn one_broken_file_does_not_keep_the_others_from_loading() {
        let folder = Folder::new();
        folder.put("aaa.json", "nonsense");
        folder.put("mine.json", mine("mine", "\"api.mine.example\""));
        folder.put("notes.txt", "x");
        folder.put(".mine.json.swp", "x");
        let catalogue = folder.load();
        assert!(catalogue.find("mine").is_some());
        assert!(catalogue.find("aaa").is_none());
        let severities: Vec<_> = catalogue.problems().iter().map(|p| p.severity).collect();
        assert_eq!(severities, [Severity::Error, Severity::Warning]);
        assert_eq!(catalogue.problems()[0].provider.as_deref(), Some("aaa"));
        assert_eq!(catalogue.problems()[0].line, Some(1));
    }

    #[test]
    fn links_pipes_folders_and_huge_files_are_problems_not_failures() {
        let folder = Folder::new();
        let path = |name: &str| folder.0.path().join(name);
        folder.put("real.json", mine("real", "\"api.real.example\""));
        std::os::unix::fs::symlink(path("real.json"), path("link.json")).unwrap();
        nix::unistd::mkfifo(&path("pipe.json"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        fs::create_dir(path("folder.json")).unwrap();
        folder.put(
            "huge.json",
            vec![b' '; usize::try_from(FILE_LEN_MAX).unwrap() + 1],
        );
        let catalogue = folder.load();
        let told: Vec<_> = catalogue
            .problems()
            .iter()
            .map(|p| (p.provider.as_deref().unwrap(), p.message.as_str()))
            .collect();
        assert_eq!(
            told,
            [
                ("folder", "this is not a regular file"),
                ("huge", "this file is larger than 256 KiB"),
                (
                    "link",
                    "this is a symbolic link, and links are not followed here"
                ),
                ("pipe", "this is not a regular file"),
            ]
        );
        assert!(catalogue.find("real").is_some());
    }

    #[test]
    fn a_custom_definition_that_claims_the_same_requests_is_named_with_the_other() {
        let folder = Folder::new();
        folder.put(
            "mine.json",
            mine("mine", "\"api.openai.com\", \"a.klaviyo.com\""),
        );
        folder.put("other.json", mine("other", "\"api.other.example\""));
        folder.put("twin.json", mine("twin", "\"api.other.example\""));
        let catalogue = folder.load();
        let told: Vec<_> = catalogue
            .problems()
            .iter()
            .map(|p| p.message.as_str())
            .collect();
        assert_eq!(told.len(), 4, "{told:#?}");
        assert!(
            told[0].starts_with("`mine` and `klaviyo` both claim `a.klaviyo.com`"),
            "{told:?}"
        );
        assert!(
            told[1].starts_with("`mine` and `klaviyo-oauth` both claim `a.klaviyo.com`"),
            "{told:?}"
        );
        assert!(
            told[2].starts_with("`mine` and `openai` both claim `api.openai.com`"),
            "{told:?}"
        );
        assert!(
            told[3].starts_with("`other` and `twin` both claim"),
            "{told:?}"
        );
        assert!(
            catalogue
                .problems()
                .iter()
                .all(|p| p.severity == Severity::Warning)
        );
    }

    #[test]
    fn names_that_were_meant_are_suggested() {
        let catalogue = Catalogue::load(None);
        for (typed, meant) in [
            ("git-hub", "github"),
            ("interc", "intercom"),
            ("open_ai", "openai"),
            ("gogle", "google"),
        ] {
            assert_eq!(catalogue.suggest(typed).unwrap().as_str(), meant);
        }
        assert!(catalogue.suggest("qqqqq").is_none());
    }

    #[test]
    fn the_signature_changes_with_every_write_and_only_then() {
        let folder = Folder::new();
        let now = || signature(folder.0.path());
        let empty = now();
        assert_eq!(empty, signature("/nonexistent".as_ref()));
        folder.put("a.json", "1");
        let first = now();
        assert_ne!(first, empty);
        assert_eq!(first, now());
        let moved = folder.0.path().join("b.json");
        fs::rename(folder.0.path().join("a.json"), &moved).unwrap();
        let renamed = now();
        assert_ne!(renamed, first);
        fs::remove_file(moved).unwrap();
        assert_eq!(now(), empty);
    }
}
