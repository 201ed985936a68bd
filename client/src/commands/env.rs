//! `env`: the variables of a run that lasts as long as the shell that asks.
//!
//! 1. The shell is found ([`crate::lineage`]); the daemon checks that we descend from it.
//! 2. The daemon is asked as for `run`, and gives the same run when it is asked again.
//! 3. The variables are written in the words of the shell that reads them. Each line ends with `;`,
//!    so that an unquoted `eval` does no harm, and none is a comment, which an interactive zsh does
//!    not know.
//!
//! Nothing is started for a terminal: what is printed there sets no variable.

use std::ffi::OsStr;
use std::io::{IsTerminal as _, stdout};
use std::path::Path;

use authsome_proto::VariableName;
use authsome_proto::response::RunStarted;
use serde_json::{Map, Value, json};

use super::{run, view};
use crate::cli::{Env, ShellChoice};
use crate::error::{Done, Failure};
use crate::lineage::{self, Process};
use crate::quote;
use crate::ui::Ui;

/// How a shell is told of variables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dialect {
    Fish,
    Posix,
}

pub(super) fn env(arguments: Env, ui: Ui) -> Done {
    let Env { wishes, shell, pid } = arguments;
    let target = target(pid)?;
    let dialect = match shell {
        Some(shell) => Dialect::of(shell),
        None if ui.json => Dialect::Posix,
        None => guess(&target.program, std::env::var("SHELL").ok().as_deref())?,
    };
    if !ui.json && stdout().is_terminal() {
        let how = match dialect {
            Dialect::Fish => "authsome env | source",
            Dialect::Posix => "eval \"$(authsome env)\"",
        };
        return Err(
            Failure::usage("what is printed on a terminal sets no variable of your shell")
                .hint(format!("run `{how}`; nothing was started")),
        );
    }
    let mut start = run::request(wishes, None, OsStr::new(&target.name), ui)?;
    start.process = Some(target.pid);
    let started = run::begin(start, ui)?;
    ui.detail(&format!(
        "run {} ends with `{}` (process {})",
        started.run, target.name, target.pid
    ));
    let names = started.set.iter().map(|(name, _)| name);
    for name in names.chain(&started.remove) {
        // it stands there unquoted
        name.parse::<VariableName>()
            .map_err(|_| Failure::bug("the daemon named a variable that no shell can have"))?;
    }
    if ui.json {
        return ui.object(object(&started, target.pid));
    }
    ui.exactly(&dialect.lines(&started, target.pid))
}

/// The process that the run is to be about.
fn target(pid: Option<u32>) -> Result<Process, Failure> {
    let found = if let Some(pid) = pid {
        lineage::look(pid)
    } else {
        let parent = std::os::unix::process::parent_id();
        let in_envrc = std::env::var_os("DIRENV_IN_ENVRC").is_some();
        lineage::caller(parent, in_envrc, lineage::look)
    };
    found.ok_or_else(|| match pid {
        Some(pid) => Failure::failed(format!("there is no process {pid}")),
        None => Failure::failed("cannot tell which shell asks")
            .hint("name it with `--pid`: `authsome env --pid $$`"),
    })
}

/// The dialect of the program that asks; of the person's shell if that is no shell.
fn guess(program: &str, shell: Option<&str>) -> Result<Dialect, Failure> {
    let shell = shell.and_then(|path| Path::new(path).file_name()?.to_str());
    match family(program) {
        Family::Known(dialect) => Ok(dialect),
        Family::Foreign => Err(foreign(program)),
        Family::None => match shell.map(family) {
            Some(Family::Known(dialect)) => Ok(dialect),
            _ => Ok(Dialect::Posix),
        },
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Family {
    /// A shell that speaks none of our dialects.
    Foreign,
    Known(Dialect),
    /// No shell.
    None,
}

fn family(program: &str) -> Family {
    // `-bash` of a login, `ksh93`, `zsh-5.9`
    let name = program.trim_start_matches('-');
    let name = name.trim_end_matches(|c: char| c.is_ascii_digit() || "-.".contains(c));
    match name {
        "ash" | "bash" | "busybox" | "dash" | "ksh" | "mksh" | "oksh" | "rbash" | "sh" | "yash"
        | "zsh" => Family::Known(Dialect::Posix),
        "fish" => Family::Known(Dialect::Fish),
        "csh" | "elvish" | "nu" | "pwsh" | "tcsh" | "xonsh" => Family::Foreign,
        _ => Family::None,
    }
}

fn foreign(program: &str) -> Failure {
    let program = crate::ui::printable(program);
    Failure::usage(format!(
        "`{program}` reads none of the forms that can be written"
    ))
    .hint("`--json` prints what to set and to remove; `authsome run -- COMMAND` needs no variables")
}

impl Dialect {
    fn of(shell: ShellChoice) -> Self {
        match shell {
            ShellChoice::Fish => Self::Fish,
            ShellChoice::Bash
            | ShellChoice::Dash
            | ShellChoice::Ksh
            | ShellChoice::Sh
            | ShellChoice::Zsh => Self::Posix,
        }
    }

    /// What the shell is to read.
    fn lines(self, started: &RunStarted, pid: u32) -> String {
        let run = &started.run;
        let note = format!(
            "run {run} of authsome ends with process {pid}; to leave it before: exit, or \
             `authsome runs stop {run}` in another terminal"
        );
        let remove = started.remove.join(" ");
        let mut lines = Vec::new();
        if !remove.is_empty() {
            lines.push(match self {
                Self::Fish => format!("set -e {remove}"),
                Self::Posix => format!("unset {remove}"),
            });
        }
        lines.extend(started.set.iter().map(|(name, value)| {
            let value = self.quoted(value);
            match self {
                Self::Fish => format!("set -gx {name} {value}"),
                Self::Posix => format!("export {name}={value}"),
            }
        }));
        // last: it also makes up for fish, whose `set -e` fails where there was nothing
        lines.push(format!(": {}", self.quoted(&note)));
        lines.join(";\n") + ";\n"
    }

    fn quoted(self, value: &str) -> String {
        match self {
            Self::Fish => quote::fish(value),
            Self::Posix => quote::posix(value),
        }
    }
}

fn object(started: &RunStarted, pid: u32) -> Value {
    let set: Map<String, Value> = started
        .set
        .iter()
        .map(|(name, value)| (name.clone(), json!(value)))
        .collect();
    let granted: Vec<String> = started.granted.iter().map(view::granted).collect();
    json!({
        "run": started.run,
        "process": pid,
        "granted": granted,
        "set": set,
        "remove": started.remove,
        "warnings": started.warnings,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dialect_is_that_of_the_program_that_asks() {
        for (program, shell, expected) in [
            ("bash", Some("/usr/bin/fish"), Dialect::Posix),
            ("-zsh", None, Dialect::Posix),
            ("ksh93", None, Dialect::Posix),
            ("zsh-5.9", None, Dialect::Posix),
            ("fish", Some("/bin/bash"), Dialect::Fish),
            ("make", Some("/usr/bin/fish"), Dialect::Fish),
            ("make", Some("/usr/bin/nu"), Dialect::Posix),
            ("python3.11", None, Dialect::Posix),
        ] {
            assert_eq!(
                guess(program, shell).unwrap(),
                expected,
                "{program} {shell:?}"
            );
        }
        for program in ["tcsh", "nu", "pwsh"] {
            let failure = guess(program, Some("/bin/bash")).unwrap_err();
            assert_eq!(failure.exit_code(), 2);
            assert!(failure.hint.unwrap().contains("--json"));
        }
    }

    fn started() -> RunStarted {
        RunStarted {
            run: "run1".parse().unwrap(),
            set: vec![("A".into(), "it's".into()), ("B".into(), "\\".into())],
            remove: vec!["ALL_PROXY".into(), "all_proxy".into()],
            warnings: Vec::new(),
            granted: Vec::new(),
        }
    }

    #[test]
    fn each_shell_is_told_in_its_own_words() {
        let posix = Dialect::Posix.lines(&started(), 7);
        let variables =
            "unset ALL_PROXY all_proxy;\nexport A='it'\\''s';\nexport B='\\';\n: 'run run1";
        assert!(posix.starts_with(variables), "{posix}");
        let fish = Dialect::Fish.lines(&started(), 7);
        let variables =
            "set -e ALL_PROXY all_proxy;\nset -gx A 'it\\'s';\nset -gx B '\\\\';\n: 'run run1";
        assert!(fish.starts_with(variables), "{fish}");
        for lines in [posix, fish] {
            assert!(lines.lines().all(|line| line.ends_with(';')), "{lines}");
        }
    }

    #[test]
    fn programs_get_an_object() {
        let object = object(&started(), 7);
        assert_eq!(object["run"], "run1");
        assert_eq!(object["process"], 7);
        assert_eq!(object["set"]["A"], "it's");
        assert_eq!(object["remove"][0], "ALL_PROXY");
    }
}
