//! What to do when client and daemon are of different builds. Pure.
//!
//! Without a service a restart starts the daemon beside this client. A service starts the daemon in
//! its files: where that is another installation, a restart would change nothing.

use std::path::Path;

/// Which daemon a restart would start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next<'a> {
    /// Ours, or the one in the same place.
    Ours,
    /// That of a service, at this path; and where ours is, if it is known.
    Theirs(&'a Path, Option<&'a Path>),
}

/// Which way the protocols differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Daemon<'a> {
    /// It speaks only newer ones; its build.
    Newer(&'a str),
    /// It speaks only older ones.
    Older,
    /// It speaks ours, and has another build.
    OtherBuild,
}

/// The way out.
pub(crate) fn way_out(daemon: Daemon<'_>, next: Next<'_>) -> String {
    let theirs = match next {
        Next::Ours => {
            return match daemon {
                Daemon::Newer(build) => format!(
                    "a newer daemon is running (build {build}); update `authsome`, or `authsome \
                     daemon restart` to use this version"
                ),
                Daemon::Older => {
                    "an older daemon is still running; `authsome daemon restart` replaces it".into()
                }
                Daemon::OtherBuild => {
                    "`authsome daemon restart` starts the daemon that is installed now".into()
                }
            };
        }
        Next::Theirs(theirs, ours) => {
            let ours = ours.map_or_else(
                || "the daemon beside this `authsome`".into(),
                |ours| format!("`{}`", ours.display()),
            );
            format!(
                "the service starts `{}`; `authsome service install` makes it start {ours}",
                theirs.display()
            )
        }
    };
    match daemon {
        Daemon::Newer(build) => format!(
            "a newer daemon is running (build {build}); use the `authsome` that belongs to it. {}",
            sentence(&theirs)
        ),
        Daemon::Older => format!("an older daemon is running: {theirs}"),
        Daemon::OtherBuild => theirs,
    }
}

fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().collect::<String>() + letters.as_str()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// L10
    #[test]
    fn each_way_out_names_a_command_that_helps() {
        let theirs = Next::Theirs(
            Path::new("/usr/bin/authsomed"),
            Some(Path::new("/home/u/.cargo/bin/authsomed")),
        );
        for daemon in [Daemon::Newer("9.9"), Daemon::Older, Daemon::OtherBuild] {
            let ours = way_out(daemon, Next::Ours);
            assert!(ours.contains("`authsome daemon restart`"), "{ours}");
            let said = way_out(daemon, theirs);
            assert!(
                !said.contains("daemon restart"),
                "it would start the same again: {said}"
            );
            assert!(said.contains("starts `/usr/bin/authsomed`"), "{said}");
            assert!(
                said.contains("`authsome service install` makes it start `/home/u/.cargo/bin"),
                "{said}"
            );
        }
        assert!(way_out(Daemon::Newer("9.9"), theirs).contains("build 9.9"));
    }
}
