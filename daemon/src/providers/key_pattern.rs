//! The shape a key must have, to catch a wrong paste before it is stored.
//!
//! A pattern always covers the whole key and runs in linear time (`regex-lite` has no
//! backtracking). Nothing here prints, returns or keeps the key.

use regex_lite::{Regex, RegexBuilder};

/// Largest compiled pattern, in bytes. Real ones need a few hundred; a definition must not be able
/// to take the daemon's memory.
const COMPILED_LEN_MAX: usize = 64 * 1024;

/// A compiled pattern for the whole key.
#[derive(Debug, Clone)]
pub struct KeyPattern {
    source: Box<str>,
    regex: Regex,
}

/// Why a pattern cannot be used.
#[derive(Debug, Clone, thiserror::Error)]
#[error("this is not a pattern that can be checked in linear time")]
pub struct ParseKeyPatternError(#[source] regex_lite::Error);

impl KeyPattern {
    /// Compiles `source`. It is anchored on both sides, whether or not it says so itself.
    pub fn parse(source: &str) -> Result<Self, ParseKeyPatternError> {
        let build = |pattern: &str| {
            RegexBuilder::new(pattern)
                .size_limit(COMPILED_LEN_MAX)
                .build()
                .map_err(ParseKeyPatternError)
        };
        // alone first: `a)|(b` would otherwise become valid inside our group
        build(source)?;
        let regex = build(&format!(r"\A(?:{source})\z"))?;
        Ok(Self {
            source: source.into(),
            regex,
        })
    }

    /// Whether the whole `key` has this shape.
    pub fn matches(&self, key: &str) -> bool {
        self.regex.is_match(key)
    }

    /// The pattern as written in the definition.
    pub fn source(&self) -> &str {
        &self.source
    }
}

impl PartialEq for KeyPattern {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Eq for KeyPattern {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn patterns_cover_the_whole_key() {
        let loose = KeyPattern::parse("sk-[a-z]+").unwrap();
        assert!(loose.matches("sk-abc"));
        for wrong in [
            "sk-abc ",
            " sk-abc",
            "sk-abc\n",
            "xsk-abc",
            "sk-",
            "sk-abc\nsk-abc",
        ] {
            assert!(!loose.matches(wrong), "{wrong:?}");
        }
        let choice = KeyPattern::parse("a|b").unwrap();
        assert!(choice.matches("b") && !choice.matches("ab"));
    }

    #[test]
    fn a_pattern_cannot_leave_its_group() {
        assert!(KeyPattern::parse("a)|(b").is_err());
        assert!(KeyPattern::parse("(?=x)").is_err());
        assert!(KeyPattern::parse("(a{500}){500}").is_err());
    }

    proptest! {
        #[test]
        fn no_pattern_panics(source in ".{0,60}", key in ".{0,60}") {
            if let Ok(pattern) = KeyPattern::parse(&source) {
                let _: bool = pattern.matches(&key);
            }
        }
    }
}
