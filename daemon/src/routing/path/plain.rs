//! Paths as they look to readers who take other characters for ASCII.
//!
//! Compatibility normalisation turns a ligature into two letters and an ellipsis into three dots, code
//! pages have a nearest letter for an accented one, some readers drop what shows nothing or is no
//! UTF-8. One form stands for all of them: whatever may become ASCII has become it.
//!
//! The form is for asking "could this be read so?" and is never forwarded.

use icu_normalizer::DecomposingNormalizerBorrowed;

/// `path` in that form. What has no ASCII reading stays, or is dropped.
pub(super) fn plain(path: &[u8]) -> Vec<u8> {
    let mut out = String::with_capacity(path.len());
    // bytes that are no UTF-8 are left out, as lenient decoders do
    let text: String = path.utf8_chunks().map(|chunk| chunk.valid()).collect();
    let decomposed = DecomposingNormalizerBorrowed::new_nfkd().normalize(&text);
    for found in decomposed.chars() {
        if found.is_ascii() {
            // a backslash that was none in the path itself: a slash for those who see it
            out.push(if found == '\\' { '/' } else { found });
        } else if found.is_whitespace() {
            out.push(' ');
        } else if !is_silent(found) {
            // upper case first: it is what `ı` and `ſ` share with ASCII
            out.extend(found.to_uppercase().flat_map(char::to_lowercase));
        }
    }
    out.into_bytes()
}

/// Marks on the character before, and what has no width: dropped by those who fold or clean text
/// (Unicode: `Default_Ignorable_Code_Point`, the blocks of combining marks, C1 controls).
fn is_silent(found: char) -> bool {
    matches!(found,
        '\u{80}'..='\u{9f}'
        | '\u{ad}'
        | '\u{300}'..='\u{36f}'
        | '\u{61c}'
        | '\u{115f}'..='\u{1160}'
        | '\u{17b4}'..='\u{17b5}'
        | '\u{180b}'..='\u{180f}'
        | '\u{1ab0}'..='\u{1aff}'
        | '\u{1dc0}'..='\u{1dff}'
        | '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{20d0}'..='\u{20ff}'
        | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}'
        | '\u{fe20}'..='\u{fe2f}'
        | '\u{feff}'
        | '\u{ffa0}'
        | '\u{fff0}'..='\u{fffb}'
        | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}'
    )
}
