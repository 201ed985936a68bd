//! Quoting: values as a `.env` file, a POSIX shell and JSON readers read them back. Pure.
//!
//! Written by hand because the buffers are wiped and sized beforehand: a formatter would leave
//! copies of the value behind.

use zeroize::Zeroizing;

/// `export NAME='value'`: nothing inside single quotes is special but the quote itself.
pub(crate) fn shell(out: &mut Zeroizing<String>, name: &str, value: &str) {
    out.push_str("export ");
    out.push_str(name);
    out.push_str("='");
    for c in value.chars() {
        match c {
            '\'' => out.push_str("'\\''"),
            c => out.push(c),
        }
    }
    out.push_str("'\n");
}

/// `'value'` for fish, whose single quotes know `\'` and `\\`.
pub(crate) fn fish(value: &str) -> String {
    let mut out = String::from("'");
    for c in value.chars() {
        if matches!(c, '\'' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('\'');
    out
}

/// `'value'` for a POSIX shell and its relatives.
pub(crate) fn posix(value: &str) -> String {
    format!("'{}'", value.replace('\'', "'\\''"))
}

/// `NAME=value`, bare where every reader agrees on the value, else quoted: single quotes where the
/// value has none, double quotes with escapes otherwise.
pub(crate) fn env(out: &mut Zeroizing<String>, name: &str, value: &str) {
    out.push_str(name);
    out.push('=');
    if value.chars().all(is_plain) {
        out.push_str(value);
    } else if !value.contains(['\'', '\n', '\r']) {
        out.push('\'');
        out.push_str(value);
        out.push('\'');
    } else {
        out.push('"');
        for c in value.chars() {
            match c {
                '"' | '\\' | '$' | '`' => {
                    out.push('\\');
                    out.push(c);
                }
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                c => out.push(c),
            }
        }
        out.push('"');
    }
    out.push('\n');
}

fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-_.:/+=@%,".contains(c)
}

/// A JSON string, quotes included.
pub(crate) fn json(out: &mut Zeroizing<String>, value: &str) {
    use std::fmt::Write as _;
    out.push('"');
    for c in value.chars() {
        match c {
            '"' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            c if c.is_control() => {
                let _infallible = write!(**out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// Room for a value in either form, so that the buffer does not move and leave a copy.
pub(crate) fn room(name: &str, value: &str) -> usize {
    name.len() + value.len() * 6 + 16
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn one(write: fn(&mut Zeroizing<String>, &str, &str), value: &str) -> String {
        let mut out = Zeroizing::new(String::new());
        write(&mut out, "K", value);
        assert!(out.len() <= room("K", value));
        out.to_string()
    }

    #[test]
    fn plain_values_stay_bare_in_env_files() {
        assert_eq!(one(env, "dG9rOmFi=="), "K=dG9rOmFi==\n");
        assert_eq!(one(env, "a b#c"), "K='a b#c'\n");
        assert_eq!(one(env, "it's $x"), "K=\"it's \\$x\"\n");
    }

    #[test]
    fn env_files_read_back_as_they_were() {
        for value in [
            "x",
            "a b",
            "it's",
            "q\"q",
            "a#b",
            "$HOME `x` \\n",
            "two\nlines'",
            "'\"\\",
        ] {
            let text = one(env, value);
            let read = crate::dotenv::parse(&text);
            assert_eq!(read.len(), 1, "{text}");
            assert_eq!(read[0].value.as_str(), value, "{text}");
        }
    }

    #[test]
    fn every_shell_reads_back_what_was_quoted_for_it() {
        type Quote = fn(&str) -> String;
        let every = [
            "x",
            "a b",
            "it's",
            "$(id) `id` \\ \" !! ~ *",
            "two\nlines",
            "''",
            "\\'",
            "\\",
        ];
        let quotes: [(&str, Quote); 4] = [
            ("sh", posix),
            ("bash", posix),
            ("zsh", posix),
            ("fish", fish),
        ];
        for (name, quote) in quotes {
            for value in every {
                let script = format!("printf %s {}", quote(value));
                let output = Command::new(name).args(["-c", &script]).output();
                // shells other than `sh` may be missing where only unit tests are run
                let Ok(output) = output else { continue };
                assert_eq!(String::from_utf8(output.stdout).unwrap(), value, "{name}");
            }
        }
    }

    #[test]
    fn json_reads_back_every_value() {
        for value in ["x", "a\"b\\c", "\n\u{7f}\0", "é😀"] {
            let mut out = Zeroizing::new(String::new());
            json(&mut out, value);
            assert_eq!(serde_json::from_str::<String>(&out).unwrap(), value);
        }
    }

    #[test]
    fn a_shell_reads_back_every_value() {
        for value in ["x", "a b", "it's", "$(id) `id` \\ \" !", "two\nlines", "''"] {
            let script = format!("{}printf %s \"$K\"", one(shell, value));
            let output = Command::new("sh").args(["-c", &script]).output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), value);
        }
    }
}
