//! Did you mean: the nearest known word, if one is near enough to be meant.

/// Words nearer than this are taken for slips of the keyboard (Jaro-Winkler, 0 to 1). Lower, and
/// the hint names things that have nothing to do with what was typed.
const NEAR: f64 = 0.86;

/// Shortest beginning that counts as an abbreviation; one letter fits too many names.
const PREFIX_LEN_MIN: usize = 3;

/// The candidate that `word` was probably meant to be.
pub(super) fn nearest<'c>(
    word: &str,
    candidates: impl IntoIterator<Item = &'c str>,
) -> Option<&'c str> {
    let word = squash(word);
    if word.is_empty() {
        return None;
    }
    let mut best: Option<(f64, &str)> = None;
    let mut with_part = Vec::new();
    for candidate in candidates {
        if word.len() >= PREFIX_LEN_MIN
            && candidate.split(is_separator).any(|it| squash(it) == word)
        {
            with_part.push(candidate);
        }
        let known = squash(candidate);
        let score = if known == word {
            2.0
        } else if word.len() >= PREFIX_LEN_MIN && known.starts_with(&word) {
            // the shortest completion is the plainest one
            1.5 - 0.001 * f64::from(u32::try_from(known.len()).unwrap_or(u32::MAX))
        } else {
            strsim::jaro_winkler(&word, &known)
        };
        if score >= NEAR && best.is_none_or(|(top, _)| score > top) {
            best = Some((score, candidate));
        }
    }
    // half a name says which is meant only where no other name has that half
    let by_part = <[&str; 1]>::try_from(with_part).ok().map(|[only]| only);
    best.map(|(_, candidate)| candidate).or(by_part)
}

/// `; did you mean …?` or nothing, to end a message with.
pub(super) fn hint<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> String {
    nearest(word, candidates).map_or_else(String::new, |near| format!("; did you mean `{near}`?"))
}

/// Case and separators are what people get wrong most: `Git-Hub` is `github`.
fn squash(word: &str) -> String {
    word.chars()
        .take(128) // jaro_winkler is quadratic; no name is that long
        .filter(|c| !is_separator(*c))
        .flat_map(char::to_lowercase)
        .collect()
}

fn is_separator(c: char) -> bool {
    matches!(c, '-' | '_' | '.' | ' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_suggested_and_far_ones_are_not() {
        let known = [
            "github",
            "github-mcp",
            "gitlab",
            "gitlab-mcp",
            "intercom",
            "intercom-fin",
            "openai",
        ];
        for (typed, meant) in [
            ("git-hub", Some("github")),
            ("GitHub", Some("github")),
            ("githb", Some("github")),
            ("inter", Some("intercom")),
            ("itnercom", Some("intercom")),
            ("open-ai", Some("openai")),
            ("fin", Some("intercom-fin")),
            ("mcp", None),
            ("zzz", None),
            ("", None),
            ("-", None),
        ] {
            assert_eq!(nearest(typed, known), meant, "{typed}");
        }
        assert_eq!(hint("githb", known), "; did you mean `github`?");
    }
}
