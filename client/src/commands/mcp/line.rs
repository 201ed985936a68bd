//! Lines of the transport: one message each, with a bound on its length. Pure over any reader.

use std::io::{self, BufRead, ErrorKind};

/// Longest message in bytes, its line end not counted. The longest honest one asks about a URL; a
/// client that sends more has gone wrong, and must not fill our memory.
pub(super) const LINE_MAX: usize = 1024 * 1024;

/// What the input held next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// The client has closed its end.
    End,
    /// A line without its end. At the end of the input also one that has none.
    Text(Vec<u8>),
    /// One over [`LINE_MAX`], which was skipped.
    TooLong,
}

/// The next line that is not blank.
pub(super) fn next(from: &mut impl BufRead) -> io::Result<Line> {
    loop {
        match one(from)? {
            Line::Text(text) if text.iter().all(u8::is_ascii_whitespace) => {}
            line => return Ok(line),
        }
    }
}

fn one(from: &mut impl BufRead) -> io::Result<Line> {
    let mut text = Vec::new();
    let mut read = false;
    let mut too_long = false;
    loop {
        let chunk = match from.fill_buf() {
            Ok(chunk) => chunk,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if chunk.is_empty() {
            return Ok(match (read, too_long) {
                (false, _) => Line::End,
                (true, true) => Line::TooLong,
                (true, false) => Line::Text(text),
            });
        }
        read = true;
        let end = chunk.iter().position(|byte| *byte == b'\n');
        let (piece, used) = match end {
            Some(at) => (chunk.get(..at).unwrap_or_default(), at.saturating_add(1)),
            None => (chunk, chunk.len()),
        };
        if too_long || text.len().saturating_add(piece.len()) > LINE_MAX {
            too_long = true;
            text = Vec::new();
        } else {
            text.extend_from_slice(piece);
        }
        from.consume(used);
        if end.is_some() {
            return Ok(if too_long {
                Line::TooLong
            } else {
                Line::Text(text)
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;

    fn all(text: &[u8], buffer: usize) -> Vec<Line> {
        let mut from = BufReader::with_capacity(buffer, text);
        let mut lines = Vec::new();
        loop {
            match next(&mut from).unwrap() {
                Line::End => return lines,
                line => lines.push(line),
            }
        }
    }

    #[test]
    fn lines_are_the_same_however_they_arrive() {
        for buffer in [1, 2, 7, 4096] {
            assert_eq!(
                all(b"{}\r\n\n  \na\nlast", buffer),
                [
                    Line::Text(b"{}\r".to_vec()),
                    Line::Text(b"a".to_vec()),
                    Line::Text(b"last".to_vec()),
                ]
            );
        }
        assert_eq!(all(b"", 8), []);
        assert_eq!(all(b"\n\n", 8), []);
    }

    #[test]
    fn a_line_over_the_limit_is_skipped_and_the_next_one_read() {
        for (len, kept) in [
            (LINE_MAX, true),
            (LINE_MAX + 1, false),
            (3 * LINE_MAX, false),
        ] {
            let mut text = vec![b'x'; len];
            text.extend_from_slice(b"\nnext\n");
            let lines = all(&text, 64 * 1024);
            assert_eq!(lines.len(), 2);
            assert_eq!(lines[0] == Line::TooLong, !kept, "{len}");
            assert_eq!(lines[1], Line::Text(b"next".to_vec()));
        }
        assert_eq!(all(&vec![b'x'; LINE_MAX + 1], 4096), [Line::TooLong]);
    }
}
