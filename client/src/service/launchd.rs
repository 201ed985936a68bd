//! A property list for launchd (macOS), and `launchctl`. Untested: nobody could run it so far; what
//! is pure is tested everywhere.
//!
//! launchd knows neither `~` nor variables and makes no folders: the property list has absolute
//! paths, and installing makes the socket's folder.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use authsome_proto::Places;

use super::program::{self, Said};
use super::written::{Comment, Planned, marked};
use super::{State, Told};
use crate::error::Failure;

/// The property list, with words in `@…@` to be replaced.
const TEMPLATE: &str = include_str!("authsome.plist");

/// What every label begins with.
const LABEL: &str = "io.github.authsome";

/// How long `launchctl` may take: it waits for the daemon to end.
const LIMIT: Duration = Duration::from_secs(30);

/// The agent of one home.
#[derive(Debug, Clone)]
pub(crate) struct Launchd {
    name: String,
    folder: PathBuf,
    places: Places,
}

impl Launchd {
    pub(super) fn of(places: &Places) -> Option<Self> {
        let home = std::env::var_os("HOME").map(PathBuf::from)?;
        Some(Self {
            name: places.service_name(),
            folder: home.join("Library/LaunchAgents"),
            places: places.clone(),
        })
    }

    pub(super) fn label(&self) -> String {
        format!("{LABEL}.{}", self.name)
    }

    pub(super) fn file(&self) -> PathBuf {
        self.folder.join(format!("{}.plist", self.label()))
    }

    fn domain() -> String {
        format!("gui/{}", nix::unistd::getuid())
    }

    pub(super) fn target(&self) -> String {
        format!("{}/{}", Self::domain(), self.label())
    }

    pub(super) fn state(&self) -> State {
        if self.file().exists() {
            State::On
        } else {
            State::Absent
        }
    }

    pub(super) fn executable(&self) -> Option<PathBuf> {
        let text = fs::read_to_string(self.file()).ok()?;
        let (_, rest) = text.split_once("<key>ProgramArguments</key>")?;
        string_in(rest).map(PathBuf::from)
    }

    pub(super) fn port(&self) -> Option<u16> {
        let text = fs::read_to_string(self.file()).ok()?;
        let (_, rest) = text.split_once("<key>SockServiceName</key>")?;
        string_in(rest)?.parse().ok()
    }

    pub(super) fn reachable(&self) -> Result<(), Failure> {
        let said = self.launchctl(&["print", &Self::domain()])?;
        if said.ok {
            return Ok(());
        }
        Err(Failure::failed("cannot reach your launchd session")
            .cause(said.complaint())
            .hint("log in at the screen once; until then commands start the daemon by themselves"))
    }

    pub(super) fn plan(&self, daemon: &Path, port: u16) -> Result<Vec<Planned>, Failure> {
        let text = text(&self.label(), daemon, &self.places, port)?;
        Ok(vec![Planned {
            path: self.file(),
            text: marked(&text, Comment::Xml),
        }])
    }

    pub(super) fn told(&self) -> Result<Told, Failure> {
        let said = self.launchctl(&["print", &self.target()])?;
        let of = |name: &str| {
            said.out
                .lines()
                .find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(" = "))
        };
        Ok(Told {
            listens: said.ok,
            sockets: if said.ok { "loaded" } else { "not loaded" }.into(),
            daemon: of("state").unwrap_or("unknown").into(),
            pid: of("pid").and_then(|pid| pid.parse().ok()),
            stale: false,
            file: of("path").map(PathBuf::from),
        })
    }

    pub(super) fn start(&self) -> Result<(), Failure> {
        if self.told()?.listens {
            return Ok(());
        }
        for folder in [&self.places.runtime, &self.places.home.join("log")] {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(folder)
                .map_err(|error| {
                    Failure::failed(format!("cannot make `{}`", folder.display())).because(&error)
                })?;
        }
        let file = self.file();
        self.job(&["bootstrap", &Self::domain(), &file.to_string_lossy()])
    }

    pub(super) fn stop(&self) -> Result<(), Failure> {
        self.job(&["kill", "SIGTERM", &self.target()])
    }

    pub(super) fn restart(&self) -> Result<(), Failure> {
        self.start()?;
        self.job(&["kickstart", "-k", &self.target()])
    }

    /// launchd reads a property list when it is loaded, and only then.
    pub(super) fn reload(&self) -> Result<(), Failure> {
        if self.told()?.listens {
            self.job(&["bootout", &self.target()])?;
        }
        Ok(())
    }

    fn job(&self, words: &[&str]) -> Result<(), Failure> {
        let said = self.launchctl(words)?;
        if said.ok {
            return Ok(());
        }
        Err(
            Failure::failed(format!("`launchctl {}` failed", words.join(" ")))
                .cause(said.complaint())
                .hint(format!("`launchctl print {}` says more", self.target())),
        )
    }

    #[expect(clippy::unused_self, reason = "only an agent asks")]
    fn launchctl(&self, words: &[&str]) -> Result<Said, Failure> {
        program::run(Command::new("launchctl").args(words), LIMIT).map_err(|error| {
            Failure::failed(format!("cannot run `launchctl {}`", words.join(" "))).because(&error)
        })
    }
}

/// The property list.
fn text(label: &str, daemon: &Path, places: &Places, port: u16) -> Result<String, Failure> {
    let log = places.home.join("log/daemon.log");
    let socket = places.socket();
    let mut text = TEMPLATE
        .replace("@LABEL@", label)
        .replace("@PROXY_PORT@", &port.to_string());
    for (word, path) in [
        ("@DAEMON@", daemon),
        ("@HOME@", &places.home),
        ("@SOCKET@", &socket),
        ("@LOG@", &log),
    ] {
        text = text.replace(word, &escaped(path)?);
    }
    Ok(text)
}

fn escaped(path: &Path) -> Result<String, Failure> {
    let text = path
        .to_str()
        .filter(|text| !text.contains(char::is_control))
        .ok_or_else(|| {
            Failure::failed(format!(
                "a property list cannot name `{}`",
                crate::ui::printable(&path.to_string_lossy())
            ))
            .hint("use a path without control characters, in UTF-8")
        })?;
    Ok(text
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;"))
}

/// The first `<string>` of `text`.
fn string_in(text: &str) -> Option<String> {
    let (_, rest) = text.split_once("<string>")?;
    let (value, _) = rest.split_once("</string>")?;
    Some(
        value
            .replace("&lt;", "<")
            .replace("&gt;", ">")
            .replace("&amp;", "&"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent(folder: &Path) -> Launchd {
        Launchd {
            name: "authsome".into(),
            folder: folder.to_owned(),
            places: Places {
                home: "/Users/u/.authsome".into(),
                runtime: "/Users/u/.authsome/run".into(),
                ordinary: true,
            },
        }
    }

    #[test]
    fn the_property_list_names_what_it_was_made_for_and_is_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let agent = agent(dir.path());
        let daemon = Path::new("/opt/a & b/<authsomed>");
        assert_eq!(agent.state(), State::Absent);
        let plan = agent.plan(daemon, 23456).unwrap();
        assert!(!plan[0].text.contains('@'), "{}", plan[0].text);
        for line in [
            "<string>io.github.authsome.authsome</string>",
            "<string>/opt/a &amp; b/&lt;authsomed&gt;</string>",
            "<string>/Users/u/.authsome/run/control.sock</string>",
            "<string>/Users/u/.authsome/log/daemon.log</string>",
        ] {
            assert!(plan[0].text.contains(line), "{line}\n{}", plan[0].text);
        }
        #[expect(clippy::disallowed_methods, reason = "a file of the test's own folder")]
        fs::write(&plan[0].path, &plan[0].text).unwrap();
        assert_eq!(agent.state(), State::On);
        assert_eq!(agent.executable(), Some(daemon.into()));
        assert_eq!(agent.port(), Some(23456));
    }

    #[test]
    fn a_path_that_would_add_lines_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let failure = agent(dir.path()).plan(Path::new("/a\nb"), 1).unwrap_err();
        assert!(failure.message.contains("cannot name"), "{failure:?}");
    }
}
