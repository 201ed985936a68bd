//! Which bytes a scheme signs: fixed text, a timestamp, an id and the body, once each. Pure.
//!
//! Invariant: two different sets of values never make the same bytes. Timestamps are digits and an
//! id never holds the character that ends it, so whoever has a valid signature cannot move the
//! border between id, timestamp and body.

/// The bytes around the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    before: Vec<Piece>,
    after: Vec<Piece>,
    /// The character that tells the id from what stands beside it.
    id_border: Option<char>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Id,
    Text(String),
    Timestamp,
}

/// Why a text is no template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseTemplateError {
    /// A brace that belongs to no placeholder.
    #[error("`{0}` is no placeholder; there are `{{body}}`, `{{timestamp}}` and `{{id}}`")]
    Placeholder(String),
    /// A placeholder stands there twice.
    #[error("`{{{0}}}` stands there twice")]
    Twice(&'static str),
    /// The body is not signed.
    #[error("`{{body}}` is missing")]
    NoBody,
    /// Where a value ends cannot be told.
    #[error("between `{{{0}}}` and the body must be text that tells where it ends")]
    NoBorder(&'static str),
}

/// The values of one request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Values<'a> {
    /// The timestamp as it was sent: digits.
    pub timestamp: &'a str,
    /// The id as it was sent.
    pub id: &'a str,
}

impl Template {
    /// Reads `{id}.{timestamp}.{body}` and the like.
    pub fn parse(text: &str) -> Result<Self, ParseTemplateError> {
        let mut before = Vec::new();
        // `None` until the body has come
        let mut after: Option<Vec<Piece>> = None;
        let mut rest = text;
        while !rest.is_empty() {
            let (fixed, tail) = rest.split_at(rest.find(['{', '}']).unwrap_or(rest.len()));
            if !fixed.is_empty() {
                after
                    .as_mut()
                    .unwrap_or(&mut before)
                    .push(Piece::Text(fixed.to_owned()));
            }
            if tail.is_empty() {
                break;
            }
            let len = tail.find('}').map_or(tail.len(), |at| at + 1);
            let (placeholder, tail) = tail.split_at(len);
            let piece = match placeholder {
                "{body}" if after.is_none() => {
                    after = Some(Vec::new());
                    rest = tail;
                    continue;
                }
                "{body}" => return Err(ParseTemplateError::Twice("body")),
                "{timestamp}" => Piece::Timestamp,
                "{id}" => Piece::Id,
                other => return Err(ParseTemplateError::Placeholder(other.to_owned())),
            };
            after.as_mut().unwrap_or(&mut before).push(piece);
            rest = tail;
        }
        let after = after.ok_or(ParseTemplateError::NoBody)?;
        let count = |piece: &Piece| {
            before
                .iter()
                .chain(&after)
                .filter(|it| *it == piece)
                .count()
        };
        for (piece, name) in [(Piece::Timestamp, "timestamp"), (Piece::Id, "id")] {
            if count(&piece) > 1 {
                return Err(ParseTemplateError::Twice(name));
            }
        }
        // away from the body nothing can be moved; towards it each value needs its border
        let inwards = borders(&before, false)?;
        let id_border = inwards.or(borders(&after, true)?);
        Ok(Self {
            before,
            after,
            id_border,
        })
    }

    /// Whether a timestamp is signed.
    pub fn has_timestamp(&self) -> bool {
        self.pieces().any(|piece| *piece == Piece::Timestamp)
    }

    /// Whether an id is signed.
    pub fn has_id(&self) -> bool {
        self.pieces().any(|piece| *piece == Piece::Id)
    }

    /// Whether `id` cannot be taken for something else in the signed bytes.
    pub fn allows_id(&self, id: &str) -> bool {
        self.id_border.is_none_or(|border| !id.contains(border))
    }

    /// What is signed before the body.
    pub fn before(&self, values: Values<'_>) -> Vec<u8> {
        fill(&self.before, values)
    }

    /// What is signed after the body.
    pub fn after(&self, values: Values<'_>) -> Vec<u8> {
        fill(&self.after, values)
    }

    fn pieces(&self) -> impl Iterator<Item = &Piece> {
        self.before.iter().chain(&self.after)
    }
}

/// Checks that each value in `pieces` is told from what follows it towards the body, which is on
/// the left of `pieces` if `body_first`. Gives the border of the id, if there is one.
fn borders(pieces: &[Piece], body_first: bool) -> Result<Option<char>, ParseTemplateError> {
    let mut id_border = None;
    for (at, piece) in pieces.iter().enumerate() {
        let name = match piece {
            Piece::Text(_) => continue,
            Piece::Id => "id",
            Piece::Timestamp => "timestamp",
        };
        let beside = if body_first {
            at.checked_sub(1).and_then(|at| pieces.get(at))
        } else {
            pieces.get(at + 1)
        };
        let border = match beside {
            Some(Piece::Text(text)) if body_first => text.chars().next_back(),
            Some(Piece::Text(text)) => text.chars().next(),
            _ => None,
        };
        match (piece, border) {
            (Piece::Id, Some(border)) => id_border = Some(border),
            (Piece::Timestamp, Some(border)) if !border.is_ascii_digit() => {}
            _ => return Err(ParseTemplateError::NoBorder(name)),
        }
    }
    Ok(id_border)
}

fn fill(pieces: &[Piece], values: Values<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for piece in pieces {
        bytes.extend_from_slice(match piece {
            Piece::Id => values.id.as_bytes(),
            Piece::Text(text) => text.as_bytes(),
            Piece::Timestamp => values.timestamp.as_bytes(),
        });
    }
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn whole(template: &Template, values: Values<'_>, body: &[u8]) -> Vec<u8> {
        [&*template.before(values), body, &*template.after(values)].concat()
    }

    #[test]
    fn templates_of_the_field_are_filled() {
        let values = Values {
            timestamp: "12",
            id: "m",
        };
        for (text, expected) in [
            ("{body}", "B"),
            ("{timestamp}.{body}", "12.B"),
            ("{id}.{timestamp}.{body}", "m.12.B"),
            ("v0:{timestamp}:{body}", "v0:12:B"),
            ("{body}.{timestamp}", "B.12"),
            ("{timestamp}.{body}:{id}", "12.B:m"),
            // a digit on the far side of a border moves nothing
            ("{timestamp}:0{body}", "12:0B"),
            ("{body}0:{timestamp}", "B0:12"),
        ] {
            let template = Template::parse(text).unwrap();
            assert_eq!(
                whole(&template, values, b"B"),
                expected.as_bytes(),
                "{text}"
            );
        }
    }

    #[test]
    fn a_template_whose_borders_can_be_moved_is_refused() {
        use ParseTemplateError as E;
        for (text, expected) in [
            ("", E::NoBody),
            ("{timestamp}", E::NoBody),
            ("{body}{body}", E::Twice("body")),
            ("{id}.{id}.{body}", E::Twice("id")),
            ("{timestamp}.{body}.{timestamp}", E::Twice("timestamp")),
            ("{timestamp}{body}", E::NoBorder("timestamp")),
            ("{body}{timestamp}", E::NoBorder("timestamp")),
            ("{id}{timestamp}.{body}", E::NoBorder("id")),
            ("{timestamp}0{body}", E::NoBorder("timestamp")),
            ("{body}0{timestamp}", E::NoBorder("timestamp")),
            // the border is the character beside the value, not the one beside the body
            ("{timestamp}0:{body}", E::NoBorder("timestamp")),
            ("{body}:0{timestamp}", E::NoBorder("timestamp")),
            ("{boddy}", E::Placeholder("{boddy}".into())),
            ("{body", E::Placeholder("{body".into())),
            ("}{body}", E::Placeholder("}".into())),
        ] {
            assert_eq!(Template::parse(text), Err(expected), "{text}");
        }
    }

    #[test]
    fn an_id_never_holds_the_character_beside_it() {
        for (text, id, allowed) in [
            ("{id}.-{body}", "a.b", false),
            ("{id}.-{body}", "a-b", true),
            ("{body}.-{id}", "a-b", false),
            ("{body}.-{id}", "a.b", true),
            ("{body}", "a.b", true),
        ] {
            let template = Template::parse(text).unwrap();
            assert_eq!(template.allows_id(id), allowed, "{text} {id}");
        }
    }

    proptest! {
        /// The invariant: equal bytes mean equal values.
        #[test]
        fn no_two_requests_sign_the_same_bytes(
            text in prop_oneof![
                Just("{id}.{timestamp}.{body}"), Just("{timestamp}:{id}-{body}"),
                Just("{body}.{timestamp}"), Just("{body}.{id}.{timestamp}"), Just("{id}..{body}"),
            ],
            // a tiny alphabet, so that collisions would be found
            one in ("[.1:-]{0,3}", "[01]{1,2}", "[.1:-]{0,4}"),
            other in ("[.1:-]{0,3}", "[01]{1,2}", "[.1:-]{0,4}"),
        ) {
            let template = Template::parse(text).unwrap();
            prop_assume!(template.allows_id(&one.0) && template.allows_id(&other.0));
            let bytes = |(id, timestamp, body): &(String, String, String)| {
                whole(&template, Values { timestamp, id }, body.as_bytes())
            };
            let shown = |(id, timestamp, body): &(String, String, String)| (
                if template.has_id() { id.clone() } else { String::new() },
                if template.has_timestamp() { timestamp.clone() } else { String::new() },
                body.clone(),
            );
            prop_assert_eq!(bytes(&one) == bytes(&other), shown(&one) == shown(&other));
        }
    }
}
