//! Questions on the terminal: yes or no, a line, and secrets that are not echoed.
//!
//! Where there is no terminal nothing is assumed: the command fails and says which option answers
//! the question.

use std::fs::File;
use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use authsome_proto::Secret;
use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use crate::error::Failure;
use crate::interrupt::{INTERRUPTED, Interrupt};
use crate::keys::{Echo, Keys, Look, Typed};
use crate::secrets;
use crate::ui::Ui;

/// Which passphrase is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ask {
    /// The one that was chosen before.
    Known,
    /// One to be chosen now: asked twice.
    New,
}

/// Asks for leave; an error with `otherwise` as the hint where nobody can be asked.
pub(crate) fn confirm(question: &str, otherwise: &str) -> Result<bool, Failure> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Err(
            Failure::failed(format!("there is no terminal to ask on: {question}")).hint(otherwise),
        );
    }
    crate::ui::question(&format!("{question} [y/N] "));
    let mut answer = String::new();
    io::stdin()
        .lock()
        .read_line(&mut answer)
        .map_err(|error| Failure::failed("cannot read the answer").because(&error))?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes" | "Yes"))
}

/// Asks for a secret without echoing it.
pub(crate) fn hidden(prompt: &str) -> Result<Secret, Failure> {
    loop {
        if let Some(secret) = hidden_or_none(prompt)? {
            return Ok(secret);
        }
    }
}

/// The same for one that may be left out.
pub(crate) fn hidden_or_none(prompt: &str) -> Result<Option<Secret>, Failure> {
    secrets::conceal();
    let text = ask(prompt).map_err(|error| match error.kind() {
        io::ErrorKind::Interrupted => Failure::said(INTERRUPTED),
        _ => no_terminal(&error),
    })?;
    let text = Zeroizing::new(text);
    Ok((!text.is_empty()).then(|| Secret::new(text.as_str().to_owned())))
}

/// Asks for something that is no secret; what is typed is shown.
pub(crate) fn visible(prompt: &str, interrupt: &Interrupt) -> Result<String, Failure> {
    let mut keys = Keys::begin(Echo::Shown, Look::Moment).map_err(|error| no_terminal(&error))?;
    loop {
        keys.say(prompt).map_err(|error| no_terminal(&error))?;
        loop {
            if interrupt.came() {
                return Err(Failure::said(INTERRUPTED));
            }
            match keys.look().map_err(|error| no_terminal(&error))? {
                Typed::Interrupted => return Err(Failure::said(INTERRUPTED)),
                Typed::Line(line) if line.is_empty() => break,
                Typed::Line(line) => return Ok(line.expose().to_owned()),
                Typed::Nothing => {}
            }
        }
    }
}

fn no_terminal(error: &io::Error) -> Failure {
    Failure::failed("there is no terminal to ask on").because(error)
}

/// Asks once. The echo is off before the prompt is seen: whoever answers at once, a fast paste or a
/// program, would otherwise leave the secret on the screen.
fn ask(prompt: &str) -> io::Result<String> {
    let mut silent = Silent::begin()?;
    silent.tty.write_all(prompt.as_bytes())?;
    silent.tty.flush()?;
    rpassword::read_password()
}

/// The terminal without its echo, and as it was before when this is dropped.
struct Silent {
    tty: File,
    before: Termios,
}

impl Silent {
    fn begin() -> io::Result<Self> {
        let tty = File::options().read(true).write(true).open("/dev/tty")?;
        let before = tcgetattr(&tty)?;
        let mut without = before.clone();
        // a Ctrl-C waits in the queue until it is read, so that nothing ends us with the echo off
        without.local_flags &= !(LocalFlags::ECHO | LocalFlags::ECHONL | LocalFlags::ISIG);
        tcsetattr(&tty, SetArg::TCSANOW, &without)?;
        Ok(Self { tty, before })
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        // a terminal that is gone needs no echo
        tcsetattr(&self.tty, SetArg::TCSANOW, &self.before).ok();
    }
}

/// Asks for the file store's passphrase.
pub(crate) fn passphrase(ask: Ask, ui: Ui) -> Result<Secret, Failure> {
    match ask {
        Ask::Known => hidden("Passphrase of the vault: "),
        Ask::New => loop {
            let first = hidden("New passphrase for the vault: ")?;
            if first.expose() == hidden("Once more: ")?.expose() {
                return Ok(first);
            }
            ui.warning("the two differ");
        },
    }
}
