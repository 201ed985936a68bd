//! `WWW-Authenticate` taken apart (RFC 9110 section 11.6.1).
//!
//! The commas between challenges are the commas between parameters: a word with `=` behind it is a
//! parameter of the challenge before it, a word without is the next scheme. Servers forget commas
//! and quotes; what can be understood is, the rest is skipped. Every step takes something away, so
//! that the time is linear in the length.

/// One challenge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Parsed {
    /// In lower case.
    pub(super) scheme: String,
    /// Names in lower case, values without quotes.
    pub(super) parameters: Vec<(String, String)>,
}

impl Parsed {
    /// The value of a parameter. It should be there once; the first one counts.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters
            .iter()
            .find(|(found, _)| found == name)
            .map(|(_, value)| value.as_str())
    }
}

/// The challenges of one header, in order.
pub(super) fn parse(header: &str) -> Vec<Parsed> {
    let mut reader = Reader { rest: header };
    let mut all: Vec<Parsed> = Vec::new();
    loop {
        reader.skip(|c| matches!(c, ' ' | '\t' | ','));
        if reader.rest.is_empty() {
            return all;
        }
        let Some(word) = reader.word(is_token) else {
            reader.skip_what_is_not_understood();
            continue;
        };
        let word = word.to_ascii_lowercase();
        if let Some(value) = reader.value() {
            if let Some(challenge) = all.last_mut() {
                challenge.parameters.push((word, value));
            }
            continue;
        }
        all.push(Parsed {
            scheme: word,
            parameters: Vec::new(),
        });
        reader.skip_token68();
    }
}

struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn skip(&mut self, what: impl Fn(char) -> bool) {
        self.rest = self.rest.trim_start_matches(what);
    }

    /// The longest run of `what` that is not empty.
    fn word(&mut self, what: impl Fn(char) -> bool) -> Option<&'a str> {
        let after = self.rest.trim_start_matches(what);
        let word = self.rest.strip_suffix(after)?;
        self.rest = after;
        (!word.is_empty()).then_some(word)
    }

    /// `=` and a value, with white space around the `=`; nothing is taken if there is no `=`.
    fn value(&mut self) -> Option<String> {
        let after = self.rest.trim_start_matches(is_space).strip_prefix('=')?;
        self.rest = after.trim_start_matches(is_space);
        Some(match self.rest.strip_prefix('"') {
            Some(quoted) => {
                self.rest = quoted;
                self.quoted()
            }
            // an address without quotes is no token, but there it is
            None => self
                .word(|c| !is_space(c) && !matches!(c, ',' | '"'))
                .unwrap_or_default()
                .to_owned(),
        })
    }

    /// What stands before the closing quote, or all there is.
    fn quoted(&mut self) -> String {
        let mut value = String::new();
        let mut chars = self.rest.chars();
        while let Some(c) = chars.next() {
            match c {
                '"' => break,
                '\\' => value.extend(chars.next()),
                _ => value.push(c),
            }
        }
        self.rest = chars.as_str();
        value
    }

    /// The one word that some schemes have in place of parameters; nothing is taken if there is none.
    fn skip_token68(&mut self) {
        let mut ahead = Reader { rest: self.rest };
        ahead.skip(is_space);
        if ahead.word(is_token68).is_none() {
            return;
        }
        ahead.skip(|c| c == '=');
        ahead.skip(is_space);
        if ahead.rest.is_empty() || ahead.rest.starts_with(',') {
            self.rest = ahead.rest;
        }
    }

    fn skip_what_is_not_understood(&mut self) {
        let mut chars = self.rest.chars();
        let first = chars.next();
        self.rest = chars.as_str();
        if first == Some('"') {
            // a comma in it separates nothing
            drop(self.quoted());
        }
    }
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t')
}

fn is_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)
}

fn is_token68(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-._~+/".contains(c)
}
