//! Option strings of the parent, `NODE_OPTIONS` and `JAVA_TOOL_OPTIONS`, and ours behind them.
//!
//! Both programs split such a variable by rules of their own. We split it the same way, but keep
//! each option as it was written, quotes and all: what we did not write goes through unchanged.
//! What an outer run added is taken out, so that a run inside a run does not stack.

/// How a program splits its option string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rules {
    /// The JVM: white space separates; `'` and `"` quote, anywhere in an option, without escapes.
    Java,
    /// Node: a space separates; `"` quotes, and inside quotes `\` takes the next character as it is.
    Node,
}

/// One option: as it was written, and what the program makes of it.
#[derive(Debug, PartialEq, Eq)]
struct Written<'a> {
    raw: &'a str,
    meant: String,
}

/// The parent's options without those that `ours` recognises, then `added`.
pub(super) fn append(
    rules: Rules,
    parent: Option<&str>,
    mut ours: impl FnMut(&str) -> bool,
    added: &[String],
) -> String {
    let kept = split(rules, parent.unwrap_or_default());
    let kept = kept
        .iter()
        .filter(|option| !ours(&option.meant))
        .map(|option| option.raw);
    let added = added.iter().map(|option| quote(rules, option));
    kept.map(str::to_owned)
        .chain(added)
        .collect::<Vec<_>>()
        .join(" ")
}

/// The options as the program understands them.
pub(super) fn meant(rules: Rules, text: &str) -> Vec<String> {
    split(rules, text)
        .into_iter()
        .map(|option| option.meant)
        .collect()
}

fn split(rules: Rules, text: &str) -> Vec<Written<'_>> {
    let mut options = Vec::new();
    let mut start = None;
    let mut meant = String::new();
    let mut quote = None;
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        let separates = match rules {
            Rules::Java => character.is_ascii_whitespace(),
            Rules::Node => character == ' ',
        };
        if separates && quote.is_none() {
            if let Some(start) = start.take() {
                let raw = text.get(start..at).unwrap_or_default();
                options.push(Written {
                    raw,
                    meant: std::mem::take(&mut meant),
                });
            }
            continue;
        }
        start.get_or_insert(at);
        match (rules, quote, character) {
            (_, Some(open), close) if open == close => quote = None,
            (Rules::Node, Some(_), '\\') => meant.extend(characters.next().map(|(_, next)| next)),
            (Rules::Java, None, '\'' | '"') | (Rules::Node, None, '"') => quote = Some(character),
            (_, _, other) => meant.push(other),
        }
    }
    if let Some(start) = start {
        options.push(Written {
            raw: text.get(start..).unwrap_or_default(),
            meant,
        });
    }
    options
}

/// Writes an option so that the program reads exactly it.
fn quote(rules: Rules, option: &str) -> String {
    let plain = |c: char| !c.is_whitespace() && !matches!(c, '\'' | '"' | '\\');
    match rules {
        _ if !option.is_empty() && option.chars().all(plain) => option.to_owned(),
        Rules::Node => {
            format!("\"{}\"", option.replace('\\', "\\\\").replace('"', "\\\""))
        }
        // no escapes: each kind of quote stands inside the other one
        Rules::Java => format!("\"{}\"", option.replace('"', "\"'\"'\"")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NEVER: fn(&str) -> bool = |_| false;

    #[test]
    fn options_are_split_as_the_programs_split_them() {
        let table: &[(Rules, &str, &[&str])] = &[
            (Rules::Node, "", &[]),
            (Rules::Node, "  -r a  --b=c ", &["-r", "a", "--b=c"]),
            (
                Rules::Node,
                r#"--require "/a b/c.js" -x"#,
                &["--require", "/a b/c.js", "-x"],
            ),
            (
                Rules::Node,
                r#"--require="/a \"b\\c.js""#,
                &[r#"--require=/a "b\c.js"#],
            ),
            (Rules::Node, r"-r C:\x 'a b'", &["-r", r"C:\x", "'a", "b'"]),
            (
                Rules::Java,
                "-Da=b\t-Xmx1g\n-ea",
                &["-Da=b", "-Xmx1g", "-ea"],
            ),
            (
                Rules::Java,
                r#"-Da='b c' "-Dd=e f""#,
                &["-Da=b c", "-Dd=e f"],
            ),
            (Rules::Java, r#"-Da=C:\x"b 'c'"d"#, &[r"-Da=C:\xb 'c'd"]),
        ];
        for (rules, text, expected) in table {
            assert_eq!(meant(*rules, text), *expected, "{text}");
        }
    }

    #[test]
    fn the_parents_options_come_first_and_unchanged() {
        let parent = r#"--max-old-space-size=4096  --require "/a b.js""#;
        let joined = append(
            Rules::Node,
            Some(parent),
            NEVER,
            &["--require=/our file.cjs".into()],
        );
        assert_eq!(
            joined,
            r#"--max-old-space-size=4096 --require "/a b.js" "--require=/our file.cjs""#
        );
        assert_eq!(append(Rules::Java, None, NEVER, &["-Da=b".into()]), "-Da=b");
    }

    #[test]
    fn what_an_outer_run_added_is_replaced_not_stacked() {
        let ours = |option: &str| option.starts_with("-Dours");
        let once = append(Rules::Java, Some("-ea"), ours, &["-Dours=a b".into()]);
        let later = format!("{once} -Xmx1g");
        assert_eq!(
            append(Rules::Java, Some(&later), ours, &["-Dours=c".into()]),
            "-ea -Xmx1g -Dours=c"
        );
    }

    proptest! {
        #[test]
        fn any_option_survives_quoting(option in "[ -~äß]{1,30}", java in any::<bool>()) {
            let rules = if java { Rules::Java } else { Rules::Node };
            let text = append(rules, Some("-a"), NEVER, std::slice::from_ref(&option));
            prop_assert_eq!(meant(rules, &text), ["-a".to_owned(), option]);
        }

        #[test]
        fn what_we_did_not_write_means_the_same_afterwards(
            pieces in proptest::collection::vec("[-a=\\\\ ]{1,4}|\"[-a' ]{0,4}\"", 0..8),
            java in any::<bool>()
        ) {
            let rules = if java { Rules::Java } else { Rules::Node };
            let parent = pieces.concat();
            let before = meant(rules, &parent);
            let after = append(rules, Some(&parent), NEVER, &["-z".into()]);
            prop_assert_eq!(meant(rules, &after), [before, vec!["-z".to_owned()]].concat());
        }
    }
}
