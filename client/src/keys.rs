//! A line typed or pasted on the terminal, key by key, so that something else can be waited for
//! meanwhile.
//!
//! The terminal's own line editing is off while a [`Keys`] lives: it would cut a pasted address off
//! after 4096 bytes (1024 on macOS), and its echo would fight with the spinner. Signals from the
//! keyboard are off as well, so that none ends us before the terminal is as it was; Ctrl-C and Ctrl-Z
//! are read as keys and raised once it is.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::slice;

use authsome_proto::Secret;
use authsome_proto::secret::SECRET_MAX;
use nix::sys::signal::{Signal, raise};
use nix::sys::termios::{
    LocalFlags, SetArg, SpecialCharacterIndices, Termios, tcgetattr, tcsetattr,
};
use nix::unistd::{getpgrp, tcgetpgrp};
use zeroize::{Zeroize as _, Zeroizing};

const CTRL_C: u8 = 0x03;
const BACKSPACE: u8 = 0x08;
const CTRL_U: u8 = 0x15;
const CTRL_Z: u8 = 0x1a;
const DELETE: u8 = 0x7f;

/// Whether a person sees what is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Echo {
    /// As it is typed.
    Shown,
    /// Not at all.
    Hidden,
}

/// How long a look at the keys lasts where nothing is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    /// It does not wait.
    Glance,
    /// A tenth of a second.
    Moment,
}

/// What came of a look.
#[derive(Debug)]
pub(crate) enum Typed {
    /// Ctrl-C; the signal is raised, the terminal as it was.
    Interrupted,
    /// A whole line, without its end and without blanks around it.
    Line(Secret),
    /// Nothing whole yet.
    Nothing,
}

/// The terminal while we read it key by key; as it was when this is dropped.
#[derive(Debug)]
pub(crate) struct Keys {
    tty: File,
    before: Termios,
    during: Termios,
    echo: Echo,
    line: Line,
}

impl Keys {
    /// Takes the terminal; an error where there is none, or where it is another's turn: a command
    /// in the background would be stopped by the attempt.
    pub(crate) fn begin(echo: Echo, look: Look) -> io::Result<Self> {
        let tty = File::options().read(true).write(true).open("/dev/tty")?;
        if tcgetpgrp(&tty)? != getpgrp() {
            return Err(io::Error::other("this command runs in the background"));
        }
        let before = tcgetattr(&tty)?;
        let mut during = before.clone();
        during.local_flags &=
            !(LocalFlags::ECHO | LocalFlags::ECHONL | LocalFlags::ICANON | LocalFlags::ISIG);
        #[expect(
            clippy::as_conversions,
            reason = "an enumeration whose numbers are the places in this list"
        )]
        for (at, value) in [
            (SpecialCharacterIndices::VMIN, 0),
            (
                SpecialCharacterIndices::VTIME,
                u8::from(look == Look::Moment),
            ),
        ] {
            if let Some(slot) = during.control_chars.get_mut(at as usize) {
                *slot = value;
            }
        }
        tcsetattr(&tty, SetArg::TCSANOW, &during)?;
        Ok(Self {
            tty,
            before,
            during,
            echo,
            line: Line::default(),
        })
    }

    /// Writes a question.
    pub(crate) fn say(&mut self, text: &str) -> io::Result<()> {
        self.tty.write_all(text.as_bytes())?;
        self.tty.flush()
    }

    /// Looks at what was typed meanwhile. What is behind the end of a line is left for the next look.
    pub(crate) fn look(&mut self) -> io::Result<Typed> {
        if tcgetpgrp(&self.tty)? != getpgrp() {
            return Ok(Typed::Nothing);
        }
        let mut key = Zeroizing::new(0_u8);
        loop {
            match self.tty.read(slice::from_mut(&mut *key)) {
                Ok(0) => return Ok(Typed::Nothing),
                Ok(_) => {}
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock
                    ) =>
                {
                    return Ok(Typed::Nothing);
                }
                Err(error) => return Err(error),
            }
            match self.line.press(*key) {
                Pressed::Nothing => {}
                Pressed::Added => self.echo(&[*key])?,
                Pressed::Removed(chars) => {
                    for _ in 0..chars {
                        self.echo(b"\x08 \x08")?;
                    }
                }
                Pressed::Interrupt => {
                    self.echo(b"\n")?;
                    self.restore();
                    raise(Signal::SIGINT)?;
                    return Ok(Typed::Interrupted);
                }
                Pressed::Suspend => {
                    self.restore();
                    raise(Signal::SIGTSTP)?;
                    tcsetattr(&self.tty, SetArg::TCSANOW, &self.during)?;
                }
                Pressed::End => {
                    self.echo(b"\n")?;
                    return Ok(Typed::Line(self.line.take()));
                }
            }
        }
    }

    fn echo(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self.echo {
            Echo::Hidden => Ok(()),
            Echo::Shown => self.tty.write_all(bytes),
        }
    }

    fn restore(&self) {
        // a terminal that is gone needs no echo
        tcsetattr(&self.tty, SetArg::TCSANOW, &self.before).ok();
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.restore();
    }
}

/// What a key did.
#[derive(Debug, PartialEq, Eq)]
enum Pressed {
    Added,
    End,
    Interrupt,
    Nothing,
    /// So many characters went.
    Removed(usize),
    Suspend,
}

/// A line as it grows.
#[derive(Debug)]
struct Line(Zeroizing<Vec<u8>>);

impl Default for Line {
    fn default() -> Self {
        // all of it at once, so that it never moves and leaves a copy
        Self(Zeroizing::new(Vec::with_capacity(SECRET_MAX)))
    }
}

impl Line {
    fn press(&mut self, key: u8) -> Pressed {
        match key {
            b'\r' | b'\n' => Pressed::End,
            CTRL_C => Pressed::Interrupt,
            CTRL_Z => Pressed::Suspend,
            BACKSPACE | DELETE => Pressed::Removed(self.remove()),
            CTRL_U => {
                let mut removed = 0;
                while self.remove() > 0 {
                    removed += 1;
                }
                Pressed::Removed(removed)
            }
            // escape stays: a terminal may wrap what is pasted into sequences, which `take` removes
            0x1b => self.add(key, Pressed::Nothing),
            0..0x20 => Pressed::Nothing,
            _ => self.add(key, Pressed::Added),
        }
    }

    /// What is too long is dropped; the daemon refuses what is left.
    fn add(&mut self, key: u8, pressed: Pressed) -> Pressed {
        if self.0.len() >= SECRET_MAX {
            return Pressed::Nothing;
        }
        self.0.push(key);
        pressed
    }

    /// Removes a whole character; returns how many went.
    fn remove(&mut self) -> usize {
        while let Some(byte) = self.0.pop() {
            if byte & 0xc0 != 0x80 {
                return 1;
            }
        }
        0
    }

    fn take(&mut self) -> Secret {
        // bytes that are no text are not ours to complain about: the daemon refuses what comes of them
        let text = Zeroizing::new(String::from_utf8_lossy(&self.0).into_owned());
        let line = text
            .trim_start_matches("\x1b[200~")
            .trim_end_matches("\x1b[201~")
            .trim();
        let line = Secret::new(line.to_owned());
        self.0.zeroize();
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(keys: &[u8]) -> (Vec<Pressed>, String) {
        let mut line = Line::default();
        let pressed = keys.iter().map(|key| line.press(*key)).collect();
        (pressed, line.take().expose().to_owned())
    }

    #[test]
    fn a_line_is_edited_by_whole_characters() {
        assert_eq!(typed(b"abc\x7f\x08d").1, "ad");
        assert_eq!(typed("a\u{e9}\u{7f}b".as_bytes()).1, "ab");
        assert_eq!(typed(b"\x7f\x7fa").1, "a");
        let (pressed, text) = typed(b"abc\x15de");
        assert_eq!(text, "de");
        assert!(pressed.contains(&Pressed::Removed(3)));
        assert_eq!(typed(b"  blanks around \t").1, "blanks around");
    }

    #[test]
    fn what_is_pasted_is_unwrapped_and_may_be_long() {
        assert_eq!(typed(b"\x1b[200~http://x/\x1b[201~").1, "http://x/");
        let long = vec![b'x'; SECRET_MAX + 10];
        assert_eq!(typed(&long).1.len(), SECRET_MAX);
    }

    #[test]
    fn keys_that_are_signals_are_not_part_of_the_line() {
        let (pressed, text) = typed(b"a\x03\x1a\n");
        assert_eq!(text, "a");
        assert_eq!(
            pressed,
            [
                Pressed::Added,
                Pressed::Interrupt,
                Pressed::Suspend,
                Pressed::End
            ]
        );
    }
}
