//! The only code that prints.
//!
//! Data goes to standard output, everything else to standard error. Colour only on a terminal,
//! and never needed to understand. `--json` prints objects that carry `"v":1`.
//!
//! On failure: a reader that went away (`| head`) ends the command quietly with exit code 1; what
//! cannot be written to standard error is lost, there is nobody to tell.

use std::io::{self, Write};

use anstream::ColorChoice;
use anstyle::{AnsiColor, Style};
use comfy_table::{Cell, Color, ColumnConstraint, ContentArrangement, Table, presets};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::cli::Output;
use crate::error::{Done, Failure, Kind};

/// Width of tables that are not shown on a terminal: wide enough that nothing is wrapped.
const WIDE: u16 = 400;

/// Least that is left of a table's widest column to make it fit a terminal; where that is not
/// enough the terminal wraps whole lines, which reads better than names cut in pieces.
const FLEXIBLE_MIN: u16 = 20;

const ERROR: Style = AnsiColor::Red.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();
const HINT: Style = AnsiColor::Cyan.on_default().bold();

/// How this command shows its results.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ui {
    /// Objects for programs instead of text for people.
    pub(crate) json: bool,
    quiet: bool,
    verbose: bool,
}

#[expect(clippy::unused_self, reason = "whoever has no `Ui` does not print")]
impl Ui {
    pub(crate) fn new(output: Output) -> Self {
        if output.no_color {
            ColorChoice::Never.write_global();
        }
        Self {
            json: output.json,
            quiet: output.quiet,
            verbose: output.verbose,
        }
    }

    /// For tests: prints no notes.
    #[cfg(test)]
    pub(crate) fn silent() -> Self {
        Self {
            json: false,
            quiet: true,
            verbose: false,
        }
    }

    /// Prints a line of data.
    pub(crate) fn line(self, text: &str) -> Done {
        written(writeln!(anstream::stdout().lock(), "{text}"))
    }

    /// Prints text exactly as it is.
    pub(crate) fn exactly(self, text: &str) -> Done {
        let mut out = io::stdout().lock();
        written(out.write_all(text.as_bytes()).and_then(|()| out.flush()))
    }

    /// Prints a result that a person reads and a program tells by the exit code: nothing with
    /// `--quiet`.
    pub(crate) fn done(self, text: &str) -> Done {
        if self.quiet { Ok(()) } else { self.line(text) }
    }

    /// Prints an object; `"v":1` comes first.
    pub(crate) fn object(self, fields: Value) -> Done {
        self.line(&versioned(fields).to_string())
    }

    /// Standard output for a command that speaks a protocol there.
    pub(crate) fn wire(self) -> Wire {
        Wire(())
    }

    /// Writes a secret to standard output, past every buffer that is not wiped.
    pub(crate) fn secret(self, text: &Zeroizing<String>) -> Done {
        let mut left = text.as_bytes();
        while !left.is_empty() {
            match nix::unistd::write(io::stdout(), left) {
                Ok(n) => left = left.get(n..).unwrap_or_default(),
                Err(nix::errno::Errno::EINTR) => {}
                Err(error) => return written(Err(error.into())),
            }
        }
        Ok(())
    }

    /// Prints a table that fits the terminal.
    pub(crate) fn table(self, header: &[&str], rows: Vec<Vec<Field>>) -> Done {
        let color = anstream::AutoStream::choice(&io::stdout()) != ColorChoice::Never;
        let width = Table::new()
            .width()
            .filter(|width| *width > 0)
            .unwrap_or(WIDE);
        self.line(&render_table(header, rows, width, color))
    }

    /// Tells a person something on standard error.
    pub(crate) fn note(self, text: &str) {
        if !self.quiet {
            self.err(text);
        }
    }

    /// Tells a person what must be known to go on, also with `--quiet`.
    pub(crate) fn instruct(self, text: &str) {
        self.err(text);
    }

    /// Tells what is being done, with `--verbose`.
    pub(crate) fn detail(self, text: &str) {
        if self.verbose {
            self.err(text);
        }
    }

    /// Warns on standard error.
    pub(crate) fn warning(self, text: &str) {
        if !self.quiet {
            self.err(&format!("{WARNING}warning{WARNING:#}: {text}"));
        }
    }

    /// Prints a failure: its message, each cause, then what to do.
    pub(crate) fn failure(self, failure: &Failure) {
        match failure.kind {
            Kind::Said(_) => {}
            _ if self.json => {
                let object = json!({ "error": {
                    "code": failure.code,
                    "message": failure.message,
                    "causes": failure.causes,
                    "hint": failure.hint,
                }});
                self.err(&versioned(object).to_string());
            }
            _ => self.err(&failure_text(failure)),
        }
    }

    /// Whether a spinner may be shown.
    pub(crate) fn may_animate(self) -> bool {
        use std::io::IsTerminal as _;
        !self.quiet && !self.json && io::stderr().is_terminal()
    }

    fn err(self, text: &str) {
        drop(writeln!(anstream::stderr().lock(), "{text}"));
    }
}

/// Standard output as the way of a protocol: whole lines, one after the other, from any thread.
#[derive(Debug)]
pub(crate) struct Wire(());

#[expect(clippy::unused_self, reason = "whoever has no `Wire` does not write")]
impl Wire {
    /// Writes a line, which has no line end of its own.
    pub(crate) fn send(&self, line: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(line.as_bytes())?;
        out.write_all(b"\n")?;
        out.flush()
    }
}

/// A cell of a table: its text and what it means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Field {
    text: String,
    mood: Mood,
}

/// What a cell means to a person; shown as a colour where there is colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    Bad,
    Careful,
    Good,
    Plain,
}

impl Field {
    pub(crate) fn new(text: impl Into<String>, mood: Mood) -> Self {
        Self {
            text: text.into(),
            mood,
        }
    }
}

impl<T: Into<String>> From<T> for Field {
    fn from(text: T) -> Self {
        Self::new(text, Mood::Plain)
    }
}

/// A table without lines; columns that are empty in every row are left out.
fn render_table(header: &[&str], rows: Vec<Vec<Field>>, width: u16, color: bool) -> String {
    let kept: Vec<bool> = (0..header.len())
        .map(|at| {
            rows.iter()
                .any(|row| row.get(at).is_some_and(|field| !field.text.is_empty()))
        })
        .collect();
    let keep = |at: usize| kept.get(at).copied().unwrap_or(false);
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .force_no_tty()
        .set_width(width);
    if color {
        table.enforce_styling();
    }
    let names = header
        .iter()
        .enumerate()
        .filter(|(at, _)| keep(*at))
        .map(|(_, name)| *name);
    table.set_header(names.map(Cell::new));
    for row in rows {
        let cells = row
            .into_iter()
            .enumerate()
            .filter(|(at, _)| keep(*at))
            .map(|(_, field)| {
                let cell = Cell::new(printable(&field.text));
                match field.mood {
                    Mood::Bad => cell.fg(Color::DarkRed),
                    Mood::Careful => cell.fg(Color::DarkYellow),
                    Mood::Good => cell.fg(Color::DarkGreen),
                    Mood::Plain => cell,
                }
            });
        table.add_row(cells);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    fit(&mut table, width);
    let lines: Vec<String> = table
        .lines()
        .map(|line| line.trim_end().to_owned())
        .collect();
    lines.join("\n")
}

/// Lets only the widest column give way.
fn fit(table: &mut Table, width: u16) {
    let widths = table.column_max_content_widths();
    let Some((widest, _)) = widths.iter().enumerate().max_by_key(|(_, width)| **width) else {
        return;
    };
    let others: u16 = widths
        .iter()
        .enumerate()
        .map(|(at, width)| {
            if at == widest {
                2
            } else {
                width.saturating_add(2)
            }
        })
        .fold(0, u16::saturating_add);
    let fits = others.saturating_add(FLEXIBLE_MIN) <= width;
    for (at, column) in table.column_iter_mut().enumerate() {
        if at != widest || !fits {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
    }
}

/// Text without control characters: names and paths of other programs must not move the cursor.
pub(crate) fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

fn failure_text(failure: &Failure) -> String {
    use std::fmt::Write as _;
    let mut text = format!("{ERROR}error{ERROR:#}: {}", failure.message);
    let mut put = |line: std::fmt::Arguments<'_>| {
        let _infallible = text.write_fmt(line);
    };
    for cause in &failure.causes {
        put(format_args!("\n  caused by: {cause}"));
    }
    if let Some(hint) = &failure.hint {
        put(format_args!("\n{HINT}hint{HINT:#}: {hint}"));
    }
    text
}

fn versioned(fields: Value) -> Value {
    let mut object = serde_json::Map::new();
    object.insert("v".into(), json!(1));
    if let Value::Object(fields) = fields {
        object.extend(fields);
    }
    Value::Object(object)
}

/// Asks on standard error; the answer is read by [`crate::prompt`].
pub(crate) fn question(text: &str) {
    let mut err = anstream::stderr().lock();
    drop(write!(err, "{text}").and_then(|()| err.flush()));
}

/// Prints what clap has to say, where it belongs.
pub(crate) fn clap_message(error: &clap::Error) -> io::Result<()> {
    let text = error.render().to_string();
    if error.use_stderr() {
        io::stderr().lock().write_all(text.as_bytes())
    } else {
        io::stdout().lock().write_all(text.as_bytes())
    }
}

fn written(result: io::Result<()>) -> Done {
    result.map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::said(1),
        _ => Failure::failed("cannot write to standard output").because(&error),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    #[test]
    fn a_failure_says_what_why_and_what_to_do() {
        let failure = Failure::failed("cannot read `github` from the keyring")
            .cause("the login keyring is locked")
            .hint("unlock it");
        insta::assert_snapshot!(plain(&failure_text(&failure)), @r"
        error: cannot read `github` from the keyring
          caused by: the login keyring is locked
        hint: unlock it
        ");
    }

    #[test]
    fn a_table_leaves_out_empty_columns_and_has_no_lines() {
        let rows = vec![
            vec![
                "intercom".into(),
                Field::new("connected", Mood::Good),
                "".into(),
                "x".into(),
            ],
            vec!["a".into(), "".into(), "".into(), "y".into()],
        ];
        let shown = render_table(
            &["PROVIDER", "STATUS", "EXPIRES", "LAST"],
            rows,
            WIDE,
            false,
        );
        insta::assert_snapshot!(shown, @r"
        PROVIDER  STATUS     LAST
        intercom  connected  x
        a                    y
        ");
    }

    #[test]
    fn a_table_fits_a_narrow_terminal() {
        let rows = vec![vec![
            Field::from("intercom"),
            Field::from("word ".repeat(20).trim()),
        ]];
        let shown = render_table(&["PROVIDER", "NOTE"], rows, 40, false);
        assert!(shown.lines().all(|line| line.len() <= 40), "{shown}");
        assert!(
            shown.lines().any(|line| line.starts_with("intercom  word")),
            "{shown}"
        );
    }

    #[test]
    fn a_terminal_that_is_too_narrow_never_cuts_names_in_pieces() {
        let rows = vec![vec![
            Field::from("brave-search-mcp"),
            Field::from("connected"),
        ]];
        let shown = render_table(&["PROVIDER", "STATUS"], rows, 12, false);
        assert!(shown.contains("brave-search-mcp  connected"), "{shown}");
    }

    #[test]
    fn control_characters_of_others_do_not_reach_the_terminal() {
        let shown = render_table(&["A"], vec![vec!["x\u{1b}[2Jy".into()]], 80, false);
        assert!(!shown.contains('\u{1b}'), "{shown:?}");
    }

    #[test]
    fn every_object_says_its_version_first() {
        assert_eq!(versioned(json!({"a": 2})).to_string(), r#"{"v":1,"a":2}"#);
    }
}
