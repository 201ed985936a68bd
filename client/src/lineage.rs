//! The shell that a command is called from.
//!
//! The parent is not always it. A shell forks for a pipeline in `$(…)` and for `( … )`, and that
//! fork ends at once; `timeout` stands between; direnv starts a shell of its own to read an
//! `.envrc`. [`caller`] looks upwards for the process that lasts:
//!
//! 1. A process that was forked and has executed nothing since is a part of its parent.
//! 2. `timeout` waits for its command and ends with it.
//! 3. Above the shell that reads an `.envrc` is direnv, above that the shell of the person; but
//!    `direnv exec` becomes the command that it was given.
//!
//! Where the system does not tell (no `/proc`), the parent it is.

use std::fs;

/// How far up is looked.
const STEPS_MAX: usize = 64;

/// From `linux/sched.h`: forked, and has not executed a program since.
const PF_FORKNOEXEC: u64 = 0x40;

/// A process above this one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    pub(crate) parent: u32,
    /// The name it goes by: of a script, the script's.
    pub(crate) name: String,
    /// File name of the program that it runs; of a script, the interpreter's.
    pub(crate) program: String,
    /// It was forked and has executed nothing since.
    is_fork: bool,
    /// The second word of its command line.
    verb: String,
}

/// The process that the one with the pid `parent` was called for. `in_envrc`: direnv says that it is
/// reading an `.envrc`. `look` tells what is known of a pid.
pub(crate) fn caller(
    parent: u32,
    in_envrc: bool,
    look: impl Fn(u32) -> Option<Process>,
) -> Option<Process> {
    let direct = lasting(look(parent)?, &look);
    // the nearest one: further up may be one that all of this was started under
    let mut above = Some(direct.clone());
    for step in 0..STEPS_MAX {
        let Some(process) = above else { break };
        if process.name == "direnv" {
            return if process.verb == "exec" {
                Some(process)
            } else {
                look(process.parent).map(|it| lasting(it, &look))
            };
        }
        if step >= 1 && !in_envrc {
            break;
        }
        above = look(process.parent).map(|it| lasting(it, &look));
    }
    Some(direct)
}

/// The first one from `process` upwards that does not end with what it was started for.
fn lasting(mut process: Process, look: &impl Fn(u32) -> Option<Process>) -> Process {
    for _ in 0..STEPS_MAX {
        if !process.is_fork && process.program != "timeout" {
            break;
        }
        // a service manager is nobody's shell
        let Some(parent) = look(process.parent).filter(|parent| parent.pid > 1) else {
            break;
        };
        process = parent;
    }
    process
}

/// What the system tells of the process `pid`.
pub(crate) fn look(pid: u32) -> Option<Process> {
    let read = |file: &str| fs::read(format!("/proc/{pid}/{file}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let program = fs::read_link(format!("/proc/{pid}/exe")).ok();
    let program = program.and_then(|path| Some(text(path.file_name()?.as_encoded_bytes())));
    let arguments = read("cmdline").unwrap_or_default();
    let verb = arguments
        .split(|byte| *byte == 0)
        .nth(1)
        .unwrap_or_default();
    let mut process = parse_stat(&text(&read("stat").ok()?))?;
    process.pid = pid;
    process.program = program.unwrap_or_else(|| process.name.clone());
    process.verb = text(verb);
    Some(process)
}

/// proc(5): the second field is the name in parentheses and may itself hold spaces and parentheses;
/// field 4 is the parent, field 9 the flags.
fn parse_stat(text: &str) -> Option<Process> {
    let (before, rest) = text.rsplit_once(')')?;
    let (_, name) = before.split_once('(')?;
    let mut fields = rest.split_ascii_whitespace();
    let parent = fields.nth(1)?.parse().ok()?;
    let flags: u64 = fields.nth(4)?.parse().ok()?;
    Some(Process {
        parent,
        name: name.to_owned(),
        is_fork: flags & PF_FORKNOEXEC != 0,
        ..Process::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A line of processes from the parent upwards: name, and how it is special.
    fn of(line: &[(&str, &str)], in_envrc: bool) -> (String, u32) {
        let line: Vec<Process> = (1u32..)
            .zip(line)
            .map(|(number, (name, special))| Process {
                pid: 100 - number,
                parent: 99 - number,
                name: (*name).to_owned(),
                program: (*name).to_owned(),
                is_fork: *special == "fork",
                verb: (*special).to_owned(),
            })
            .collect();
        let look = |pid| line.iter().find(|it| it.pid == pid).cloned();
        let found = caller(99, in_envrc, look).unwrap();
        (found.name, 100 - found.pid)
    }

    fn is(name: &str, steps: u32) -> (String, u32) {
        (name.to_owned(), steps)
    }

    #[test]
    fn the_parent_is_the_caller() {
        assert_eq!(
            of(&[("bash", ""), ("tmux: server", "")], false),
            is("bash", 1)
        );
        assert_eq!(of(&[("python3", ""), ("zsh", "")], false), is("python3", 1));
        assert_eq!(caller(7, false, |_| None), None);
    }

    #[test]
    fn forks_of_a_shell_are_a_part_of_it() {
        let line = [
            ("bash", "fork"),
            ("bash", "fork"),
            ("bash", ""),
            ("sshd", ""),
        ];
        assert_eq!(of(&line, false), is("bash", 3));
        // a shell in a shell was executed
        assert_eq!(of(&[("bash", ""), ("bash", "")], false), is("bash", 1));
        // whatever is above it: a fork that nobody is left of
        assert_eq!(of(&[("bash", "fork")], false), is("bash", 1));
        assert_eq!(of(&[("timeout", "5"), ("zsh", "")], false), is("zsh", 2));
    }

    #[test]
    fn under_direnv_it_is_the_shell_above() {
        let line = [
            ("bash", ""),
            ("direnv", "export"),
            ("fish", ""),
            ("sshd", ""),
        ];
        assert_eq!(of(&line, true), is("fish", 3));
        assert_eq!(of(&line, false), is("fish", 3));
        let forked = [
            ("bash", "fork"),
            ("bash", ""),
            ("direnv", "export"),
            ("zsh", "fork"),
            ("zsh", ""),
        ];
        assert_eq!(of(&forked, false), is("zsh", 5));
        // a script that the `.envrc` calls
        let script = [("sh", ""), ("bash", ""), ("direnv", "export"), ("zsh", "")];
        assert_eq!(of(&script, true), is("zsh", 4));
        // an editor that `direnv edit` opened, with a terminal in it
        assert_eq!(of(&script, false), is("sh", 1));
        let exec = [("bash", ""), ("direnv", "exec"), ("zsh", "")];
        assert_eq!(of(&exec, true), is("direnv", 2));
        assert_eq!(of(&[("bash", ""), ("zsh", "")], true), is("bash", 1));
    }

    #[test]
    fn a_process_is_read_past_a_name_that_looks_like_fields() {
        let read = parse_stat("7 (a) (b c) S 1 7 7 0 -1 4194624 1 2 3").unwrap();
        assert_eq!((read.name.as_str(), read.parent), ("a) (b c", 1));
        assert!(read.is_fork);
        assert!(
            !parse_stat("7 (a) S 1 7 7 0 -1 4194560 1 2 3")
                .unwrap()
                .is_fork
        );
        assert_eq!(parse_stat("nonsense"), None);
    }

    #[test]
    fn we_know_ourselves() {
        let us = look(std::process::id()).unwrap();
        assert_eq!(us.parent, std::os::unix::process::parent_id());
        assert!(!us.is_fork);
        assert_eq!(us.pid, std::process::id());
        assert!(!us.program.is_empty());
    }
}
