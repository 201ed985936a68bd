//! Reading `.env` files: names, values, line numbers. Pure.
//!
//! What the common readers agree on: comments, `export`, single quotes (nothing is special),
//! double quotes (backslash escapes), values over several lines inside quotes. Variables inside
//! values are not expanded: `scan` looks for keys that stand there in full.
//!
//! Lines that are none of these are skipped; a file of somebody else is not ours to criticise.

use zeroize::Zeroizing;

/// One assignment.
pub(crate) struct Assignment {
    pub(crate) name: String,
    pub(crate) value: Zeroizing<String>,
    /// Line where it begins, from 1.
    pub(crate) line: usize,
}

impl std::fmt::Debug for Assignment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}=.. (line {})", self.name, self.line)
    }
}

/// All assignments of a file, in its order.
pub(crate) fn parse(text: &str) -> Vec<Assignment> {
    let mut found = Vec::new();
    let mut rest = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut line = 1;
    while !rest.is_empty() {
        let (head, tail) = rest.split_once('\n').unwrap_or((rest, ""));
        let mut used = head.len() + 1;
        if let Some((name, after)) = assignment(head) {
            let value_at = head.len() - after.len();
            let (value, end) = value(rest.get(value_at..).unwrap_or_default());
            // the rest of the line on which the value ends is a comment at most
            let ended = value_at + end;
            used = rest
                .get(ended..)
                .and_then(|rest| rest.find('\n'))
                .map_or(rest.len(), |at| ended + at + 1);
            found.push(Assignment {
                name: name.to_owned(),
                value,
                line,
            });
        }
        debug_assert!(
            used > head.len() || tail.is_empty(),
            "every turn consumes a line"
        );
        let used = used.min(rest.len());
        line += rest.get(..used).unwrap_or_default().matches('\n').count();
        rest = rest.get(used..).unwrap_or_default();
    }
    found
}

/// Splits `[export] NAME =` from what follows.
fn assignment(line: &str) -> Option<(&str, &str)> {
    let (left, right) = line.split_once('=')?;
    let left = left.trim();
    let name = match left.strip_prefix("export") {
        Some(name) if name.starts_with(char::is_whitespace) => name.trim_start(),
        _ => left,
    };
    let mut chars = name.chars();
    let first = chars.next()?;
    let ok = (first.is_ascii_alphabetic() || first == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_');
    ok.then_some((name, right))
}

/// Reads a value at the start of `text` (which may span lines); returns it and its length there.
fn value(text: &str) -> (Zeroizing<String>, usize) {
    let blanks = text.len() - text.trim_start_matches([' ', '\t']).len();
    let body = text.get(blanks..).unwrap_or_default();
    match body.chars().next() {
        Some('\'') => {
            if let Some(end) = body.get(1..).and_then(|inner| inner.find('\'')) {
                let inner = body.get(1..=end).unwrap_or_default();
                return (Zeroizing::new(inner.to_owned()), blanks + end + 2);
            }
        }
        Some('"') => {
            if let Some((value, len)) = double_quoted(body) {
                return (value, blanks + len);
            }
        }
        _ => {}
    }
    let line = body.split('\n').next().unwrap_or_default();
    let end = line
        .find(" #")
        .or_else(|| line.find("\t#"))
        .unwrap_or(line.len());
    let bare = line.get(..end).unwrap_or_default().trim();
    let bare = if bare.starts_with('#') { "" } else { bare };
    (Zeroizing::new(bare.to_owned()), blanks + line.len())
}

/// Reads `"..."`; `None` where the quote is never closed.
fn double_quoted(text: &str) -> Option<(Zeroizing<String>, usize)> {
    let mut value = Zeroizing::new(String::with_capacity(text.len()));
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, at + 1)),
            '\\' => match chars.next()?.1 {
                'n' => value.push('\n'),
                'r' => value.push('\r'),
                't' => value.push('\t'),
                c @ ('"' | '\\' | '$' | '`' | '\'') => value.push(c),
                '\n' => {}
                c => {
                    value.push('\\');
                    value.push(c);
                }
            },
            c => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<(String, String, usize)> {
        parse(text)
            .into_iter()
            .map(|a| (a.name, a.value.to_string(), a.line))
            .collect()
    }

    fn one(text: &str) -> String {
        let all = read(text);
        assert_eq!(all.len(), 1, "{text}: {all:?}");
        all[0].1.clone()
    }

    #[test]
    fn values_are_read_as_the_common_readers_read_them() {
        for (text, expected) in [
            ("K=abc", "abc"),
            ("export K=abc", "abc"),
            ("  K = abc  ", "abc"),
            ("K=abc # why", "abc"),
            ("K=ab#c", "ab#c"),
            ("K='a # b'", "a # b"),
            ("K=\"a # b\" # why", "a # b"),
            ("K=\"a\\nb\\\"c\"", "a\nb\"c"),
            ("K='a\\nb'", "a\\nb"),
            ("K=abc\r\n", "abc"),
            ("K=", ""),
            ("K= # nothing", ""),
            ("K=a=b==", "a=b=="),
            ("K='never closed", "'never closed"),
            ("\u{feff}K=abc", "abc"),
        ] {
            assert_eq!(one(text), expected, "{text}");
        }
    }

    #[test]
    fn lines_are_counted_over_values_of_several_lines() {
        let all = read("# c\nA=1\n\nB=\"x\ny\"\nC='z'\nnot an assignment\n1D=2\nE=3");
        let lines: Vec<_> = all
            .iter()
            .map(|(name, _, line)| (name.as_str(), *line))
            .collect();
        assert_eq!(lines, [("A", 2), ("B", 4), ("C", 6), ("E", 9)]);
        assert_eq!(all[1].1, "x\ny");
    }

    #[test]
    fn debug_of_an_assignment_hides_its_value() {
        assert_eq!(format!("{:?}", parse("K=canary")), "[K=.. (line 1)]");
    }

    #[test]
    fn odd_bytes_end_in_a_list_and_never_in_a_panic() {
        for text in [
            "=",
            "==",
            "K=\"",
            "K='",
            "K=\\",
            "K=\"\\",
            "é=ü\nK=é ü",
            "\n\n",
            "K=\"é\\é\"",
        ] {
            read(text);
        }
    }
}
