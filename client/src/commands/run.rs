//! `run -- COMMAND`: asks for a run, then becomes the command.
//!
//! 1. The command is looked up first, so that a misspelt one starts neither a run nor a daemon.
//! 2. The project's file, if there is one, is read ([`project`]).
//! 3. The daemon gets the few variables it merges with ([`PARENT_VARIABLES`]) and the command's
//!    file name, never its arguments, and answers with variables to set and to remove.
//! 4. We exec in place: same process id, terminal, signals, descriptors, exit code. The socket is
//!    close-on-exec; its end tells the daemon that the command has started. The standard library
//!    gives the command an empty signal mask and the default action for SIGPIPE.
//!
//! Exit codes as in a shell: 127 not found, 126 found but not executable; 125 for our own
//! failures. After the exec, the command's.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use authsome_proto::environment::PARENT_VARIABLES;
use authsome_proto::request::{RunLife, RunStart};
use authsome_proto::response::RunStarted;
use authsome_proto::{ConnectionName, ProviderName, Request, Response, VariableName};
use nix::unistd::{AccessFlags, access};

use super::view;
use crate::cli::{Run, Wishes};
use crate::connect::{Start, connect, unexpected};
use crate::error::{Done, Failure, Kind};
use crate::project;
use crate::ui::Ui;

/// A variable, and the connection that its placeholder chooses.
type Variable = (VariableName, ProviderName, Option<ConnectionName>);

/// Exit code for a command that was found but cannot be executed.
const NOT_EXECUTABLE: u8 = 126;

/// Exit code for a command that was not found.
const NOT_FOUND: u8 = 127;

/// Longest name of a command that is told to the daemon, in bytes.
const PROGRAM_MAX: usize = 255;

pub(super) fn run(arguments: Run, ui: Ui) -> Done {
    let Run {
        wishes,
        keep,
        command,
    } = arguments;
    let Some((program, rest)) = command.split_first() else {
        return Err(Failure::usage("no command to run"));
    };
    if let Err(problem) = look_up(program, std::env::var_os("PATH").as_deref()) {
        return Err(problem.told(program, ui));
    }
    let start = request(wishes, keep, program, ui)?;
    let RunStarted { set, remove, .. } = begin(start, ui)?;
    let mut command = Command::new(program);
    command.args(rest);
    for name in remove {
        command.env_remove(name);
    }
    command.envs(set);
    let error = command.exec();
    let problem = match error.kind() {
        // it was there a moment ago: its interpreter is missing
        io::ErrorKind::NotFound => Problem::NotExecutable("its interpreter was not found".into()),
        io::ErrorKind::ArgumentListTooLong => {
            return Err(
                Failure::failed(format!("cannot run `{}`", program.display()))
                    .because(&error)
                    .hint("arguments and environment together are larger than the system allows"),
            );
        }
        _ => Problem::NotExecutable(error.to_string()),
    };
    Err(problem.told(program, ui))
}

/// What the daemon is asked for.
pub(super) fn request(
    wishes: Wishes,
    keep: Option<Duration>,
    program: &OsStr,
    ui: Ui,
) -> Result<RunStart, Failure> {
    let Wishes {
        connections,
        only,
        variables,
        unmatched,
        at_most,
    } = wishes;
    Ok(RunStart {
        connections,
        only,
        unmatched: unmatched.map(Into::into),
        variables,
        life: life(at_most, keep),
        project: project::find(ui)?,
        environment: parent_variables(|name| std::env::var_os(name)),
        program: file_name(program),
        process: None,
    })
}

/// Starts the run, and says what a person should know of it.
pub(super) fn begin(start: RunStart, ui: Ui) -> Result<RunStarted, Failure> {
    let shown: Vec<String> = start.variables.iter().map(variable).collect();
    let mut daemon = connect(Start::IfNeeded, ui)?;
    let Response::RunStarted(started) = daemon.call(Request::RunStart(start), ui)? else {
        return Err(unexpected());
    };
    for warning in &started.warnings {
        ui.warning(warning);
    }
    let names: Vec<String> = started.granted.iter().map(view::granted).collect();
    ui.detail(&format!("run {} with {}", started.run, names.join(", ")));
    if !shown.is_empty() {
        ui.detail(&format!(
            "variables with a placeholder of their own: {}",
            shown.join(", ")
        ));
    }
    Ok(started)
}

/// How long the run is to live; at most one of the two is given.
fn life(at_most: Option<Duration>, keep: Option<Duration>) -> RunLife {
    match (at_most, keep) {
        (_, Some(time)) => RunLife::TreeAtMost(time.as_secs()),
        (Some(time), None) => RunLife::ProcessAtMost(time.as_secs()),
        (None, None) => RunLife::Process,
    }
}

/// A variable as it was asked for.
fn variable((name, provider, connection): &Variable) -> String {
    match connection {
        Some(connection) => format!("{name}={provider}/{connection}"),
        None => format!("{name}={provider}"),
    }
}

/// Why a command cannot be run.
#[derive(Debug, PartialEq, Eq)]
enum Problem {
    NotExecutable(String),
    NotFound,
}

impl Problem {
    /// Says it, and leaves only the exit code.
    fn told(self, program: &OsStr, ui: Ui) -> Failure {
        let program = crate::ui::printable(&program.to_string_lossy());
        let (code, failure) = match self {
            Self::NotExecutable(why) => (
                NOT_EXECUTABLE,
                Failure::failed(format!("cannot run `{program}`")).cause(why),
            ),
            Self::NotFound => (
                NOT_FOUND,
                Failure::new(Kind::Failed, format!("`{program}`: command not found")),
            ),
        };
        ui.failure(&failure);
        Failure::said(code)
    }
}

/// Finds the command as `execvp` will: a name with a slash is a path, else `path` is searched.
fn look_up(program: &OsStr, path: Option<&OsStr>) -> Result<PathBuf, Problem> {
    if program.is_empty() {
        return Err(Problem::NotFound);
    }
    if program.as_encoded_bytes().contains(&b'/') {
        let path = Path::new(program);
        return executable(path).map(|()| path.to_owned());
    }
    // what the C library searches without the variable
    let path = path.unwrap_or(OsStr::new("/bin:/usr/bin"));
    let mut problem = Problem::NotFound;
    for folder in std::env::split_paths(path) {
        let candidate = folder.join(program);
        match executable(&candidate) {
            Ok(()) => return Ok(candidate),
            Err(Problem::NotFound) => {}
            Err(worse) => problem = worse,
        }
    }
    Err(problem)
}

fn executable(path: &Path) -> Result<(), Problem> {
    let Ok(meta) = std::fs::metadata(path) else {
        return Err(Problem::NotFound);
    };
    if meta.is_dir() {
        return Err(Problem::NotExecutable("it is a folder".into()));
    }
    access(path, AccessFlags::X_OK).map_err(|_| Problem::NotExecutable("permission denied".into()))
}

/// The variables that the daemon merges with, where they are set and UTF-8.
fn parent_variables(variable: impl Fn(&str) -> Option<OsString>) -> Vec<(String, String)> {
    let values = PARENT_VARIABLES.iter().filter_map(|name| {
        let value = variable(name)?.into_string().ok()?;
        Some(((*name).to_owned(), value))
    });
    values.collect()
}

/// The command's file name, cut to what a log line can hold.
fn file_name(program: &OsStr) -> String {
    let name = Path::new(program)
        .file_name()
        .unwrap_or(program)
        .to_string_lossy()
        .into_owned();
    let mut end = name.len().min(PROGRAM_MAX);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    crate::ui::printable(name.get(..end).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::fs::{File, Permissions};
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn commands_are_found_as_a_shell_finds_them() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (folder.path().join("first"), folder.path().join("second"));
        for folder in [&first, &second] {
            std::fs::create_dir(folder).unwrap();
        }
        for (file, mode) in [
            (first.join("tool"), 0o600),
            (second.join("tool"), 0o700),
            (first.join("data"), 0o600),
        ] {
            File::create(&file).unwrap();
            std::fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
        }
        let path = std::env::join_paths([&first, &second]).unwrap();
        let look_up = |name: &str| look_up(OsStr::new(name), Some(&path));
        assert_eq!(look_up("tool"), Ok(second.join("tool")));
        assert_eq!(
            look_up("data"),
            Err(Problem::NotExecutable("permission denied".into()))
        );
        assert_eq!(look_up("nothing"), Err(Problem::NotFound));
        assert_eq!(look_up(""), Err(Problem::NotFound));
        assert_eq!(
            look_up(first.to_str().unwrap()),
            Err(Problem::NotExecutable("it is a folder".into()))
        );
        assert_eq!(look_up("/nonexistent/tool"), Err(Problem::NotFound));
    }

    #[test]
    fn only_listed_variables_cross_the_socket() {
        let sent = parent_variables(|name| Some(OsString::from(name)));
        assert_eq!(sent.len(), PARENT_VARIABLES.len());
        assert!(
            sent.iter()
                .all(|(name, _)| PARENT_VARIABLES.contains(&name.as_str()))
        );
        assert!(!PARENT_VARIABLES.contains(&"PATH"));
    }

    #[test]
    fn the_daemon_learns_the_file_name_only() {
        assert_eq!(file_name(OsStr::new("/usr/bin/python3")), "python3");
        assert_eq!(file_name(OsStr::new("x\ny")), "x\u{fffd}y");
        assert_eq!(file_name(OsStr::new(&"é".repeat(200))).len(), 254);
    }
}
