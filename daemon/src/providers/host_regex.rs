//! Turns a `regex:` host of the Python product into host patterns, or says why it cannot.
//!
//! Only what can be said *exactly or narrower* with names and whole-label wildcards is accepted:
//! literal names, alternatives of them, optional parts, and `.*` in front of a suffix. Nothing is
//! ever widened (invariant P2); where the original matched more than its author will have meant,
//! the translation comes with the reason.

use crate::routing::HostPattern;

use super::fields;

/// Most names one expression may stand for. Real ones stand for four; alternatives multiply.
const NAMES_MAX: usize = 32;

/// Deepest nesting of groups that is read.
const DEPTH_MAX: usize = 8;

/// What an expression was turned into.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Translation {
    /// The patterns; never empty.
    pub(super) hosts: Vec<HostPattern>,
    /// What the expression let through that these do not, one clause each.
    pub(super) looser: Vec<&'static str>,
}

/// Translates `expression`, without the `regex:` in front.
///
/// The error says why it cannot be done.
pub(super) fn translate(expression: &str) -> Result<Translation, &'static str> {
    let mut looser = Vec::new();
    let body = expression.strip_prefix("(?i)").unwrap_or(expression);
    let (body, starts) = match body.strip_prefix('^') {
        Some(rest) => (rest, true),
        None => (body, false),
    };
    let (body, ends) = match body.strip_suffix('$') {
        Some(rest) if !rest.ends_with('\\') => (rest, true),
        _ => (body, false),
    };
    let mut parser = Parser {
        rest: body,
        depth: 0,
    };
    let names = parser.alternatives()?;
    if !parser.rest.is_empty() {
        return Err("its brackets do not match");
    }
    // `^a|b$` anchors each name on one side only
    if starts && ends && names.len() > 1 && has_bare_bar(body) {
        looser.push("each alternative is anchored on one side only");
    }
    let any_start = names
        .iter()
        .any(|name| name.first() != Some(&Atom::Anything));
    if !starts && any_start {
        looser.push("it is not anchored at the start (`^`)");
    }
    if !ends {
        looser.push("it is not anchored at the end (`$`)");
    }
    let mut hosts = Vec::new();
    for name in &names {
        for pattern in patterns_of(name, &mut looser)? {
            if !hosts.contains(&pattern) {
                hosts.push(pattern);
            }
        }
    }
    looser.dedup();
    if hosts.is_empty() {
        Err("it names no host")
    } else {
        Ok(Translation { hosts, looser })
    }
}

/// Whether there is a `|` outside all groups.
fn has_bare_bar(body: &str) -> bool {
    let mut depth = 0_usize;
    body.bytes().any(|byte| {
        match byte {
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        byte == b'|' && depth == 0
    })
}

fn patterns_of(
    name: &[Atom],
    looser: &mut Vec<&'static str>,
) -> Result<Vec<HostPattern>, &'static str> {
    let (wild, rest) = match name.split_first() {
        Some((Atom::Anything, rest)) => (true, rest),
        _ => (false, name),
    };
    let mut text = String::new();
    for atom in rest {
        match atom {
            Atom::Anything => {
                return Err("`.*` can stand only in front of a name");
            }
            Atom::Dot => text.push('.'),
            Atom::Letter(letter) => text.push(*letter),
            Atom::UnescapedDot => {
                looser.push("an unescaped `.` matches any character");
                text.push('.');
            }
        }
    }
    let parse = |text: &str| {
        fields::host_pattern(text).map_err(|_| "what it matches is no whole host name")
    };
    match (wild, text.strip_prefix('.')) {
        (false, _) => Ok(vec![parse(&text)?]),
        (true, Some(below)) => Ok(vec![parse(&format!("*.{below}"))?]),
        (true, None) => {
            looser.push("it also matches other domains whose names end in the same letters");
            Ok(vec![parse(&text)?, parse(&format!("*.{text}"))?])
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Atom {
    /// `.*` or `.+`
    Anything,
    Dot,
    Letter(char),
    UnescapedDot,
}

type Names = Vec<Vec<Atom>>;

struct Parser<'t> {
    rest: &'t str,
    depth: usize,
}

impl Parser<'_> {
    fn alternatives(&mut self) -> Result<Names, &'static str> {
        let mut names = self.sequence()?;
        while self.eat("|") {
            names.extend(self.sequence()?);
            if names.len() > NAMES_MAX {
                return Err("it stands for too many names");
            }
        }
        Ok(names)
    }

    fn sequence(&mut self) -> Result<Names, &'static str> {
        let mut names: Names = vec![Vec::new()];
        while !matches!(self.rest.chars().next(), None | Some('|' | ')')) {
            let mut parts = self.atom()?;
            if self.eat("?") {
                parts.push(Vec::new());
            }
            let mut grown = Names::new();
            for name in &names {
                for part in &parts {
                    grown.push([name.as_slice(), part.as_slice()].concat());
                }
            }
            if grown.len() > NAMES_MAX {
                return Err("it stands for too many names");
            }
            names = grown;
        }
        Ok(names)
    }

    fn atom(&mut self) -> Result<Names, &'static str> {
        if self.eat("(") {
            return self.group();
        }
        if self.eat(".*") || self.eat(".+") {
            return Ok(vec![vec![Atom::Anything]]);
        }
        if self.eat("\\.") || self.eat("[.]") {
            return Ok(vec![vec![Atom::Dot]]);
        }
        if self.eat(".") {
            return Ok(vec![vec![Atom::UnescapedDot]]);
        }
        if self.eat("\\-") {
            return Ok(vec![vec![Atom::Letter('-')]]);
        }
        match self.rest.chars().next() {
            Some(letter) if letter.is_ascii_alphanumeric() || letter == '-' => {
                self.rest = self.rest.get(1..).unwrap_or_default();
                Ok(vec![vec![Atom::Letter(letter.to_ascii_lowercase())]])
            }
            _ => Err("it has more in it than names, alternatives and a leading `.*`"),
        }
    }

    fn group(&mut self) -> Result<Names, &'static str> {
        if self.eat("?:") || !self.rest.starts_with('?') {
            self.depth += 1;
            if self.depth > DEPTH_MAX {
                return Err("its brackets are nested too deep");
            }
            let names = self.alternatives()?;
            self.depth -= 1;
            if self.eat(")") {
                return Ok(names);
            }
            return Err("its brackets do not match");
        }
        Err("it has more in it than names, alternatives and a leading `.*`")
    }

    fn eat(&mut self, token: &str) -> bool {
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hosts(expression: &str) -> Vec<String> {
        let translated = translate(expression).unwrap();
        translated.hosts.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn common_shapes_become_names_and_whole_label_wildcards() {
        for (expression, wanted) in [
            (r"^(a\.b\.com|d\.example)$", &["a.b.com", "d.example"][..]),
            (r"^.*\.x\.com$", &["*.x.com"]),
            (r".*\.linear\.app", &["*.linear.app"]),
            (r"^(.+\.)?x\.com$", &["*.x.com", "x.com"]),
            (r"^(?:api|www)\.X\.com$", &["api.x.com", "www.x.com"]),
            (
                r"^(www\.linkedin\.com|linkedin\.com)",
                &["www.linkedin.com", "linkedin.com"],
            ),
            (r"api.x.com", &["api.x.com"]),
            (
                r".*githubusercontent\.com$",
                &["githubusercontent.com", "*.githubusercontent.com"],
            ),
        ] {
            assert_eq!(hosts(expression), wanted, "{expression}");
        }
    }

    #[test]
    fn what_was_looser_than_it_looks_is_said() {
        let looser = |expression| translate(expression).unwrap().looser;
        assert!(looser(r"^(a\.b\.com|d\.example)$").is_empty());
        assert!(looser(r"^.*\.x\.com$").is_empty());
        assert!(looser(r".*\.x\.com$").is_empty());
        assert_eq!(
            looser(r"^a\.x\.com"),
            ["it is not anchored at the end (`$`)"]
        );
        assert_eq!(
            looser(r"a\.x\.com$"),
            ["it is not anchored at the start (`^`)"]
        );
        assert_eq!(
            looser(r"^a.x\.com$"),
            ["an unescaped `.` matches any character"]
        );
        assert_eq!(looser(r"^a\.x\.com|b\.x\.com$").len(), 1);
        assert_eq!(looser(r"^.*x\.com$").len(), 1);
    }

    #[test]
    fn what_cannot_be_said_safely_is_refused() {
        for expression in [
            r".*googleapis.*",
            ".*",
            ".+",
            "",
            "^$",
            r".*\.com",
            r"^[a-z]+\.x\.com$",
            r"a(b",
            r"a)b",
            r"a\.x\.com/path",
            r"(?=a)b\.com",
            r"a{3}\.com",
            r"^[^.]+\.x\.com$",
            r".*-aiplatform\.googleapis\.com",
            r"a\.(.*)\.com",
            r"x*\.com",
            "((((((((((a))))))))))",
            r"(a|b)(a|b)(a|b)(a|b)(a|b)(a|b)\.com",
            r"\.x\.com",
            r"é\.com",
        ] {
            assert!(translate(expression).is_err(), "{expression}");
        }
    }

    proptest! {
        /// Threat L12: nothing that anybody writes there panics or grows.
        #[test]
        fn no_expression_panics(expression in "[a-c.*+?|()\\\\^$:\\[\\]é-]{0,40}") {
            if let Ok(translation) = translate(&expression) {
                prop_assert!(translation.hosts.len() <= 2 * NAMES_MAX);
            }
        }

        /// Invariant P2: every name a translation matches, the expression matches too.
        #[test]
        fn a_translation_never_matches_more(
            expression in r"\^?(\.\*|\.\*\\\.|\.\+\.)?(\(?[ab]{1,2}(\\\.|\.)[ab]{1,2}(\|[ab]\\\.b)?\)?)\$?",
            label in "[ab]{1,2}",
        ) {
            if let Ok(translation) = translate(&expression) {
                let whole = regex_lite::Regex::new(&format!(r"(?i)\A(?:{expression})\z")).unwrap();
                for pattern in translation.hosts {
                    let name = pattern.to_string().replace('*', &label);
                    prop_assert!(whole.is_match(&name), "{expression} {name}");
                }
            }
        }
    }
}
