//! What a placeholder looks like among other bytes, and how it is found there.

use std::sync::LazyLock;

use memchr::memmem::Finder;

use super::RANDOM_BYTES;

/// What every placeholder contains, in front of its random part.
pub const MARK: &str = "authsome";

/// What programs find in a variable that has no random placeholder.
pub const LITERAL: &str = "authsome-proxy-managed";

/// Letters of the random part: 5 bits each, so 130 bits.
const RANDOM_LEN: usize = 26;

/// Length of the mark with its random part.
pub(super) const LEN: usize = MARK.len() + RANDOM_LEN;

/// The letters: 32 that are not mistaken for each other. The mark contains an `o`, which is none
/// of them, so no mark begins in one random part and ends behind it.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

static FINDER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(MARK));

/// The random part for `random`.
pub(super) fn letters(random: &[u8; RANDOM_BYTES]) -> impl Iterator<Item = char> {
    (0..RANDOM_LEN).map(|at| {
        let bit = at * 5;
        let (byte, shift) = (bit / 8, bit % 8);
        let of = |index: usize| u16::from(random.get(index).copied().unwrap_or(0));
        let pair = (of(byte) << 8) | of(byte + 1);
        let letter = usize::from((pair >> (11 - shift)) & 31);
        char::from(ALPHABET.get(letter).copied().unwrap_or(b'a'))
    })
}

/// The first mark of `text` that has a random part, with it; empty if there is none.
pub(super) fn core(text: &str) -> &str {
    FINDER
        .find_iter(text.as_bytes())
        .find(|at| begins_placeholder(text.as_bytes(), *at))
        .and_then(|at| text.get(at..at + LEN))
        .unwrap_or_default()
}

/// What a text holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holds {
    /// The literal placeholder, and no other.
    Literal,
    /// Several placeholders.
    Many,
    /// Nothing.
    Nothing,
    /// One placeholder, whatever stands around it.
    One,
}

/// What `text` holds, as it stands.
pub(super) fn holds(text: &[u8]) -> Holds {
    let mut found = Holds::Nothing;
    if text.len() < LITERAL.len() {
        return found;
    }
    for at in FINDER.find_iter(text) {
        let rest = text.get(at..).unwrap_or_default();
        if begins_placeholder(text, at) {
            if found == Holds::One {
                return Holds::Many;
            }
            found = Holds::One;
        } else if found == Holds::Nothing && rest.starts_with(LITERAL.as_bytes()) {
            found = Holds::Literal;
        }
    }
    found
}

/// Whether the mark at `at` has a random part behind it.
fn begins_placeholder(text: &[u8], at: usize) -> bool {
    text.get(at + MARK.len()..at + LEN)
        .is_some_and(|random| random.iter().all(|byte| ALPHABET.contains(byte)))
}

/// Looks for a placeholder in a text that comes in pieces.
///
/// Between two pieces it remembers two numbers, so a placeholder is found wherever the pieces end,
/// and nothing of them is kept or copied.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Scanner {
    /// Bytes of the mark that the text ends with.
    mark: usize,
    /// How many letters of the alphabet the text ends with behind a mark, if there is one.
    random: Option<usize>,
}

impl Scanner {
    /// Takes the next piece; true once a placeholder has ended in it.
    pub fn feed(&mut self, piece: &[u8]) -> bool {
        let mut rest = piece;
        loop {
            if *self == Self::default() {
                // far from any mark: to the next one, or to where one could begin at the end
                let at = FINDER
                    .find(rest)
                    .unwrap_or(rest.len().saturating_sub(MARK.len() - 1));
                rest = rest.get(at..).unwrap_or_default();
            }
            let Some((byte, behind)) = rest.split_first() else {
                return false;
            };
            if self.step(*byte) {
                return true;
            }
            rest = behind;
        }
    }

    /// Takes one byte; true if a placeholder ends with it.
    pub(super) fn step(&mut self, byte: u8) -> bool {
        self.random = self
            .random
            .filter(|_| ALPHABET.contains(&byte))
            .map(|count| count + 1);
        // no proper beginning of the mark is also its end, so a broken one leaves nothing behind
        // but the byte that broke it
        self.mark = match MARK.as_bytes().get(self.mark) {
            Some(wanted) if *wanted == byte => self.mark + 1,
            _ => usize::from(MARK.as_bytes().first() == Some(&byte)),
        };
        if self.mark == MARK.len() {
            self.mark = 0;
            self.random = Some(0);
        }
        self.random == Some(RANDOM_LEN)
    }
}
