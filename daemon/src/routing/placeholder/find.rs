//! Looking for placeholders in the head of a request.
//!
//! One counts as presented if it is the whole token of its place: a header's value, alone or
//! behind one scheme word; one half of a Basic pair; a cookie's value; a decoded query parameter's
//! value. One in the path, in a name, or inside of other text is misplaced, and so is a second one,
//! also the same one again.

use std::borrow::Cow;

use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::{DecodeSliceError, Engine as _};
use http::header::COOKIE;
use http::{HeaderMap, HeaderName, Uri};
use percent_encoding::percent_decode;

use super::mark::{Holds, LITERAL, Scanner, holds};
use super::{Place, Presented, is_token_byte};

/// Longest Basic pair that is decoded without asking for memory, in bytes. Longer ones are rare.
const PAIR_LEN: usize = 768;

/// Servers differ about padding and the last bits, so all of that is read.
const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_allow_trailing_bits(true)
    .with_decode_padding_mode(DecodePaddingMode::Indifferent);

/// What a Basic pair may be written in.
static ENGINES: [GeneralPurpose; 2] = [
    GeneralPurpose::new(&alphabet::STANDARD, LENIENT),
    GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT),
];

impl<'r> Presented<'r> {
    /// Looks through what a request's head carries: headers, path and query.
    pub fn find(headers: &'r HeaderMap, uri: &'r Uri) -> Self {
        let mut found = Found(Self::Nothing);
        for (name, value) in headers {
            found.look_at_header(name, value.as_bytes());
        }
        found.look_at_path(uri.path());
        if let Some(query) = uri.query() {
            found.look_at_query(query);
        }
        found.0
    }
}

/// What was found so far.
struct Found<'r>(Presented<'r>);

impl<'r> Found<'r> {
    fn literal(&mut self) {
        if self.0 == Presented::Nothing {
            self.0 = Presented::Literal;
        }
    }

    fn misplaced(&mut self) {
        self.0 = Presented::Misplaced;
    }

    /// One more, which has a place of its own only if `text` is a token with it and it is the first.
    fn one(&mut self, text: Cow<'r, str>, place: Place<'r>) {
        let first = matches!(self.0, Presented::Nothing | Presented::Literal);
        let whole = text.bytes().all(is_token_byte) && holds(text.as_bytes()) == Holds::One;
        self.0 = if first && whole {
            Presented::One { text, place }
        } else {
            Presented::Misplaced
        };
    }

    fn look_at_header(&mut self, name: &'r HeaderName, value: &'r [u8]) {
        if matches!(holds(name.as_str().as_bytes()), Holds::One | Holds::Many) {
            self.misplaced();
        }
        if value.len() < LITERAL.len() {
            return;
        }
        match holds(value) {
            Holds::Nothing => self.look_at_pair(name, value),
            Holds::Literal => self.literal(),
            Holds::Many => self.misplaced(),
            Holds::One => match str::from_utf8(value) {
                Ok(text) if *name == COOKIE => self.look_at_cookies(text),
                Ok(text) => self.one(Cow::Borrowed(behind_scheme(text)), Place::Header(name)),
                Err(_) => self.misplaced(),
            },
        }
    }

    /// A placeholder in a decoded Basic pair; nothing if the value is none.
    fn look_at_pair(&mut self, name: &'r HeaderName, value: &[u8]) {
        let Some((scheme, encoded)) = value.split_at_checked("Basic ".len()) else {
            return;
        };
        if !scheme.eq_ignore_ascii_case(b"Basic ") {
            return;
        }
        let encoded = encoded.trim_ascii();
        for engine in &ENGINES {
            let mut short = [0; PAIR_LEN];
            let Some(pair) = decode(engine, encoded, &mut short) else {
                continue;
            };
            match holds(&pair) {
                Holds::Nothing => {}
                Holds::Literal => self.literal(),
                Holds::Many => self.misplaced(),
                Holds::One => {
                    let (user, password) = split_once(&pair, b':');
                    let half = if holds(user) == Holds::One {
                        user
                    } else {
                        password
                    };
                    let text = String::from_utf8_lossy(half).into_owned();
                    self.one(Cow::Owned(text), Place::Header(name));
                }
            }
            return;
        }
    }

    /// The cookies of a header with exactly one placeholder.
    fn look_at_cookies(&mut self, text: &'r str) {
        for cookie in text.split(';') {
            if holds(cookie.as_bytes()) == Holds::Nothing {
                continue;
            }
            match cookie.split_once('=') {
                Some((name, value)) if holds(value.as_bytes()) == Holds::One => {
                    self.one(Cow::Borrowed(value.trim()), Place::Cookie(name.trim()));
                }
                _ if holds(cookie.as_bytes()) == Holds::Literal => {}
                _ => self.misplaced(),
            }
        }
    }

    fn look_at_path(&mut self, path: &str) {
        if decoded_holds(path) {
            self.misplaced();
        }
    }

    fn look_at_query(&mut self, query: &'r str) {
        if !decoded_holds(query) {
            if holds(query.as_bytes()) == Holds::Literal {
                self.literal();
            }
            return;
        }
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (decoded(name), decoded(value));
            match (holds(name.as_bytes()), holds(value.as_bytes())) {
                (Holds::One | Holds::Many, _) | (_, Holds::Many) => self.misplaced(),
                (_, Holds::One) => self.one(value, Place::Query(name)),
                _ => {}
            }
        }
    }
}

/// Whether there is a placeholder in `text` once its percent-encoding is undone.
fn decoded_holds(text: &str) -> bool {
    let mut scanner = Scanner::default();
    if text.contains('%') {
        percent_decode(text.as_bytes()).any(|byte| scanner.step(byte))
    } else {
        scanner.feed(text.as_bytes())
    }
}

/// A name or value of a query with its encoding undone, one layer. What is no UTF-8 then is shown
/// as what no token contains.
fn decoded(text: &str) -> Cow<'_, str> {
    if text.contains('+') {
        let spaced = text.replace('+', " ");
        let bytes = percent_decode(spaced.as_bytes()).collect::<Vec<u8>>();
        Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
    } else {
        percent_decode(text.as_bytes()).decode_utf8_lossy()
    }
}

/// What follows one scheme word and one space, or all of it.
fn behind_scheme(text: &str) -> &str {
    match text.split_once(' ') {
        Some((scheme, token)) if !scheme.is_empty() && scheme.bytes().all(is_token_byte) => token,
        _ => text,
    }
}

/// `encoded` decoded by `engine`, if it can be; in `short` where it fits.
fn decode<'b>(
    engine: &GeneralPurpose,
    encoded: &[u8],
    short: &'b mut [u8; PAIR_LEN],
) -> Option<Cow<'b, [u8]>> {
    match engine.decode_slice(encoded, short.as_mut_slice()) {
        Ok(len) => short.get(..len).map(Cow::Borrowed),
        Err(DecodeSliceError::OutputSliceTooSmall) => engine.decode(encoded).ok().map(Cow::Owned),
        Err(DecodeSliceError::DecodeError(_)) => None,
    }
}

fn split_once(bytes: &[u8], at: u8) -> (&[u8], &[u8]) {
    let mut halves = bytes.splitn(2, |byte| *byte == at);
    let first = halves.next().unwrap_or_default();
    (first, halves.next().unwrap_or_default())
}
