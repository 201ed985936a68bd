//! What a server says in words, made fit to be shown.
//!
//! It comes from somebody whom nobody has judged yet, goes to a terminal or a page, and may quote what
//! was sent: some servers repeat a bad token in their complaint (invariant O3).

use crate::errors::printable;

/// Longest code of an error, in characters. Those of the standards have 26 at most.
pub(super) const CODE_MAX: usize = 64;

/// Longest description, in characters: three lines of a terminal. Microsoft's are longer, and say what
/// matters at their beginning.
pub(super) const DESCRIPTION_MAX: usize = 200;

/// Shortest run of a token's characters that is taken for one. Longer ones would let short tokens
/// through; shorter ones hide the numbers of errors.
const TOKEN_MIN: usize = 20;

/// What stands in a token's place.
const HIDDEN: &str = "[hidden]";

/// `text` in one line of printable characters, `max` at most, without what may be a token; `None` if
/// nothing is left.
pub(super) fn words(text: &str, max: usize) -> Option<String> {
    cut(&without_tokens(&plain(text)), max)
}

/// The same of a text that holds no token, such as an address: nothing in it is hidden.
pub(super) fn line(text: &str, max: usize) -> Option<String> {
    cut(&plain(text), max)
}

fn plain(text: &str) -> String {
    let line: String = text
        .chars()
        .map(|c| match c {
            c if c.is_whitespace() => ' ',
            c if is_invisible(c) => '\u{fffd}',
            c => c,
        })
        .collect();
    printable(&line)
}

fn cut(line: &str, max: usize) -> Option<String> {
    let line = line.trim();
    let Some((end, _)) = line.char_indices().nth(max) else {
        return (!line.is_empty()).then(|| line.to_owned());
    };
    Some(format!("{}…", line.get(..end)?))
}

/// Turns the direction of text around, or is not seen at all; one could make a line say another thing.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

fn without_tokens(text: &str) -> String {
    let is_of_token = |c: char| c.is_ascii_alphanumeric() || "-._~+/=%".contains(c);
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|c| !is_of_token(c)).unwrap_or(rest.len());
        let (run, after) = rest.split_at(end);
        // a word has no digits, whatever its length
        if run.len() >= TOKEN_MIN && run.contains(|c: char| c.is_ascii_digit()) {
            out.push_str(HIDDEN);
        } else {
            out.push_str(run);
        }
        let next = after.find(is_of_token).unwrap_or(after.len());
        let (between, after) = after.split_at(next);
        out.push_str(between);
        rest = after;
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words_of_servers_are_shown_as_one_plain_line() {
        for (text, shown) in [
            ("", None),
            (" \r\n ", None),
            (
                "Token has been expired or revoked.",
                Some("Token has been expired or revoked."),
            ),
            (
                "AADSTS70008: expired.\r\nTrace ID: 1d9bd1a8-9c7e-4d2c-8f5e-0123456789ab",
                Some("AADSTS70008: expired.  Trace ID: [hidden]"),
            ),
            ("\x1b[2Jgone", Some("\u{fffd}[2Jgone")),
            ("a\u{202e}b", Some("a\u{fffd}b")),
            (
                "refresh_token 1//0gAAAAAAAAAAAAAAAAAAAAAA is bad",
                Some("refresh_token [hidden] is bad"),
            ),
            (
                "the_documentation_of_this_is_long",
                Some("the_documentation_of_this_is_long"),
            ),
            ("Ungültig", Some("Ungültig")),
        ] {
            assert_eq!(words(text, DESCRIPTION_MAX).as_deref(), shown, "{text:?}");
        }
        assert_eq!(words("äbcd", 2).as_deref(), Some("äb…"));
    }

    proptest! {
        #[test]
        fn whatever_a_server_says_is_short_and_printable(text in any::<String>(), max in 0_usize..40) {
            if let Some(shown) = words(&text, max) {
                prop_assert!(shown.chars().count() <= max + 1);
                prop_assert!(!shown.contains(|c: char| c.is_control() || is_invisible(c)));
            }
        }

        #[test]
        fn a_token_that_a_server_repeats_is_hidden(token in "[A-Za-z0-9_~.-]{10}[0-9][A-Za-z0-9_~.-]{10}", before in "[^A-Za-z0-9_~.+/=%-]{0,5}") {
            let shown = words(&format!("bad {before}{token}"), DESCRIPTION_MAX).unwrap();
            prop_assert!(!shown.contains(&token), "{}", shown);
        }
    }
}
