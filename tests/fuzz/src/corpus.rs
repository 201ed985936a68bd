//! Saved inputs: one a line, bytes that are not printable ASCII as `\xNN`, `\` and `#` too.

/// The inputs of a list. Empty lines and those that begin with `#` are none.
///
/// # Panics
/// If a line holds an escape without two digits, or is not ASCII.
pub fn inputs(list: &str) -> Vec<Vec<u8>> {
    list.lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(input)
        .collect()
}

fn input(line: &str) -> Vec<u8> {
    let mut pieces = line.split("\\x");
    let mut out = pieces.next().unwrap_or_default().as_bytes().to_vec();
    for piece in pieces {
        let byte = piece
            .get(..2)
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        out.push(byte.unwrap_or_else(|| panic!("no escape in {line:?}")));
        out.extend_from_slice(&piece.as_bytes()[2..]);
    }
    assert!(out.len() <= line.len() && line.is_ascii(), "{line:?}");
    out
}
