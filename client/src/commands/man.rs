//! `man FOLDER`: the manual pages, for packages and for `man -l`.
//!
//! One page for each command is made of the table of arguments, `authsomed(8)` and
//! `authsome-config(5)` are written by hand (`client/man`). What is written depends on the build
//! alone: the only date is that of `SOURCE_DATE_EPOCH`, which reproducible builds set.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;

use clap::{Command, CommandFactory as _};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use crate::cli::{self, Cli};
use crate::error::{Done, Failure};
use crate::ui::Ui;

/// What `man` shows at the head of every page.
const MANUAL: &str = "authsome manual";

/// Pages written by hand: file name, and text with `@DATE@` and `@VERSION@` in it.
const BY_HAND: [(&str, &str); 2] = [
    (
        "authsome-config.5",
        include_str!("../../man/authsome-config.5"),
    ),
    ("authsomed.8", include_str!("../../man/authsomed.8")),
];

const EXIT_CODES: [(&str, &str); 7] = [
    ("0", "Done."),
    ("1", "Failed or refused."),
    ("2", "Wrong usage."),
    ("3", "The daemon cannot be reached."),
    ("4", "Log in first."),
    ("70", "A bug of authsome."),
    ("130", "Given up with Ctrl-C."),
];

const EXIT_CODES_OF_RUN: [(&str, &str); 4] = [
    ("125", "authsome failed before the command was started."),
    ("126", "The command was found but cannot be executed."),
    ("127", "The command was not found."),
    ("any other", "That of the command."),
];

const ENVIRONMENT: [(&str, &str); 6] = [
    (
        "AUTHSOME_HOME",
        "Another home than ~/.authsome, as an absolute path.",
    ),
    (
        "XDG_RUNTIME_DIR",
        "Where the socket and the files of runs are.",
    ),
    ("AUTHSOME_RUN", "Set inside a run: its id."),
    ("AUTHSOME_LOG", "What a daemon that is started logs."),
    (
        "BROWSER, DISPLAY, WAYLAND_DISPLAY, SSH_CONNECTION, SSH_TTY",
        "Decide whether a login opens a browser.",
    ),
    ("NO_COLOR", "No color, as with --no-color."),
];

const FILES: [(&str, &str); 4] = [
    (
        "~/.authsome/config.toml",
        "The configuration: authsome-config(5).",
    ),
    (
        "~/.authsome/providers/NAME.json",
        "Definitions of your own.",
    ),
    (
        "authsome.toml",
        "Rules of a project, found upwards from the working directory; they can only narrow.",
    ),
    (
        "$XDG_RUNTIME_DIR/authsome/control.sock",
        "The daemon's socket.",
    ),
];

pub(super) fn man(arguments: &cli::Man, ui: Ui) -> Done {
    let folder = &arguments.folder;
    let cannot = |error: io::Error| {
        Failure::failed(format!(
            "cannot write manual pages into `{}`",
            folder.display()
        ))
        .because(&error)
    };
    DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(folder)
        .map_err(cannot)?;
    let date = date(std::env::var("SOURCE_DATE_EPOCH").ok().as_deref())?;
    let pages = pages(&date).map_err(cannot)?;
    for (name, text) in &pages {
        // a folder that a packager made, for everybody to read
        #[expect(
            clippy::disallowed_methods,
            reason = "nobody reads while it is written"
        )]
        fs::write(folder.join(name), text).map_err(cannot)?;
    }
    ui.done(&format!("{} pages in `{}`", pages.len(), folder.display()))
}

/// The day that `SOURCE_DATE_EPOCH` names, as `2026-11-22`; none without it.
fn date(epoch: Option<&str>) -> Result<String, Failure> {
    let Some(epoch) = epoch.filter(|epoch| !epoch.is_empty()) else {
        return Ok(String::new());
    };
    let time = epoch.parse().ok().and_then(|seconds| {
        jiff::Timestamp::from_second(seconds)
            .ok()
            .map(|time| time.to_zoned(jiff::tz::TimeZone::UTC).date())
    });
    time.map(|date| date.to_string()).ok_or_else(|| {
        Failure::usage("`SOURCE_DATE_EPOCH` is no time")
            .hint("it is a number of seconds since 1970")
    })
}

/// File name and text of every page, by name.
fn pages(date: &str) -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut root = Cli::command().disable_help_subcommand(true);
    root.build();
    let mut pages = Vec::new();
    add(&mut pages, &root, date)?;
    for (name, text) in BY_HAND {
        let text = text
            .replace("@DATE@", date)
            .replace("@VERSION@", env!("CARGO_PKG_VERSION"));
        pages.push((name.to_owned(), text.into_bytes()));
    }
    pages.sort();
    Ok(pages)
}

/// Adds the page of `command` and those of the commands in it.
fn add(pages: &mut Vec<(String, Vec<u8>)>, command: &Command, date: &str) -> io::Result<()> {
    let name = name_of(command);
    pages.push((format!("{name}.1"), page(command, date)?));
    for inner in visible(command) {
        add(pages, inner, date)?;
    }
    Ok(())
}

fn visible(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|it| !it.is_hide_set())
}

/// `authsome-webhook-add`.
fn name_of(command: &Command) -> &str {
    command
        .get_display_name()
        .unwrap_or_else(|| command.get_name())
}

fn page(command: &Command, date: &str) -> io::Result<Vec<u8>> {
    let name = name_of(command);
    let man = Man::new(command.clone())
        .title(name.to_uppercase())
        .date(date)
        .source(format!("authsome {}", env!("CARGO_PKG_VERSION")))
        .manual(MANUAL);
    let mut text = Vec::new();
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    synopsis(command).to_writer(&mut text)?;
    man.render_description_section(&mut text)?;
    if visible(command).next().is_some() {
        commands(command).to_writer(&mut text)?;
    }
    let mut options = Vec::new();
    man.render_options_section(&mut options)?;
    let options = String::from_utf8_lossy(&options);
    // before possible values there are two breaks and a blank line, which formatters warn about
    text.extend_from_slice(options.replace(".br\n\n.br\n", ".sp\n").as_bytes());
    if let Some(after) = command.get_after_help() {
        notes(&after.to_string()).to_writer(&mut text)?;
    }
    let mut more = Roff::new();
    more.control("SH", ["EXIT STATUS"]);
    if name == "authsome-run" {
        terms(&mut more, &EXIT_CODES_OF_RUN);
    } else {
        terms(&mut more, &EXIT_CODES);
    }
    if name == "authsome" {
        more.control("SH", ["ENVIRONMENT"]);
        terms(&mut more, &ENVIRONMENT);
        more.control("SH", ["FILES"]);
        terms(&mut more, &FILES);
    }
    more.control("SH", ["SEE ALSO"]);
    let others = see_also(name);
    for (number, (other, section)) in others.iter().enumerate() {
        let end = if number + 1 == others.len() { "" } else { "," };
        more.text([bold(*other), roman(format!("({section}){end}"))]);
    }
    more.to_writer(&mut text)?;
    Ok(text)
}

/// The short form that the help has, which leaves options that every command has together.
fn synopsis(command: &Command) -> Roff {
    let usage = command.clone().render_usage().to_string();
    let usage = usage.strip_prefix("Usage: ").unwrap_or(&usage);
    let called = command.get_bin_name().unwrap_or_else(|| command.get_name());
    let mut roff = Roff::new();
    roff.control("SH", ["SYNOPSIS"]);
    for (number, line) in usage.lines().map(str::trim).enumerate() {
        if number > 0 {
            roff.control("br", []);
        }
        match line.strip_prefix(called) {
            Some(rest) => roff.text([bold(called), roman(rest)]),
            None => roff.text([roman(line)]),
        };
    }
    roff
}

/// The commands of a group, with the names of their pages.
fn commands(command: &Command) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["COMMANDS"]);
    for inner in visible(command) {
        roff.control("TP", []);
        roff.text([bold(name_of(inner)), roman("(1)")]);
        let about = inner.get_about().map(ToString::to_string);
        roff.text([roman(about.unwrap_or_default())]);
    }
    roff
}

/// What stands behind the options in the help: examples as they are, sentences as text.
fn notes(after: &str) -> Roff {
    let mut roff = Roff::new();
    let mut section = "NOTES";
    let mut open = false;
    let mut as_is = false;
    for line in after.lines() {
        if line == "Examples:" || line == "Example:" {
            (section, open) = ("EXAMPLES", false);
            continue;
        }
        let indented = line.starts_with("  ");
        if as_is && !indented {
            roff.control("fi", []);
            roff.control("RE", []);
            as_is = false;
        }
        if line.trim().is_empty() {
            continue;
        }
        if !indented && section == "EXAMPLES" {
            (section, open) = ("NOTES", false);
        }
        if !open {
            roff.control("SH", [section]);
            open = true;
        }
        if indented && !as_is {
            roff.control("RS", ["4"]);
            roff.control("nf", []);
            as_is = true;
        }
        roff.text([roman(line.strip_prefix("  ").unwrap_or(line))]);
    }
    if as_is {
        roff.control("fi", []);
        roff.control("RE", []);
    }
    roff
}

fn terms(roff: &mut Roff, terms: &[(&str, &str)]) {
    for (term, meaning) in terms {
        roff.control("TP", []);
        roff.text([bold(*term)]);
        roff.text([roman(*meaning)]);
    }
}

/// The pages to read besides `name`.
fn see_also(name: &str) -> Vec<(&str, &'static str)> {
    let mut others = Vec::new();
    if let Some((group, _)) = name.rsplit_once('-') {
        others.push((group, "1"));
        if group != "authsome" {
            others.push(("authsome", "1"));
        }
    }
    others.push(("authsome-config", "5"));
    others.push(("authsomed", "8"));
    others
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page_of(name: &str) -> String {
        let pages = pages("").unwrap();
        let (_, text) = pages.into_iter().find(|(it, _)| it == name).unwrap();
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn every_command_has_a_page_and_hidden_ones_have_none() {
        let names: Vec<String> = pages("")
            .unwrap()
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        for name in [
            "authsome.1",
            "authsome-run.1",
            "authsome-runs-stop.1",
            "authsome-webhook-add.1",
            "authsome-config.5",
            "authsomed.8",
        ] {
            assert!(names.iter().any(|it| it == name), "{name}: {names:?}");
        }
        for name in ["authsome-complete.1", "authsome-man.1", "authsome-help.1"] {
            assert!(!names.iter().any(|it| it == name), "{name}");
        }
    }

    #[test]
    fn pages_have_the_sections_that_people_look_for() {
        let run = page_of("authsome-run.1");
        for part in [
            ".SH EXAMPLES",
            ".SH \"EXIT STATUS\"",
            "\\fB127\\fR",
            ".SH \"SEE ALSO\"",
        ] {
            assert!(run.contains(part), "{part}: {run}");
        }
        let all = page_of("authsome.1");
        for part in [
            ".SH ENVIRONMENT",
            ".SH FILES",
            "\\fBauthsome\\-login\\fR(1)",
        ] {
            assert!(all.contains(part), "{part}: {all}");
        }
    }

    #[test]
    fn the_only_date_is_the_one_that_was_given() {
        assert_eq!(date(None).unwrap(), "");
        assert_eq!(date(Some("1795305600")).unwrap(), "2026-11-22");
        assert!(date(Some("today")).is_err());
        assert!(date(Some("99999999999999999")).is_err());
        assert_eq!(pages("2026-11-22").unwrap(), pages("2026-11-22").unwrap());
        let dated = pages("2026-11-22").unwrap();
        for (name, text) in dated {
            let text = String::from_utf8(text).unwrap();
            let head = text.lines().find(|line| line.starts_with(".TH")).unwrap();
            assert!(
                head.contains("2026\\-11\\-22") || head.contains("2026-11-22"),
                "{name}: {head}"
            );
            assert!(!text.contains('@') || !text.contains("DATE@"), "{name}");
        }
    }
}
