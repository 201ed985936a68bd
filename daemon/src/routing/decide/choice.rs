//! Which routes a request means by the placeholder that it carries (threat D7).
//!
//! Without one it means each provider's default connection. With one it means the connection that
//! the placeholder was given out for, and no other: where that cannot be used, nothing is.

use super::super::placeholder::{Place, Presented};
use super::super::refuse::RefuseCode;
use super::super::slot::Slot;
use super::super::table::{Route, RouteTable};

/// The routes that compete for a request.
#[derive(Debug, Clone, Copy)]
pub(super) enum Meant<'r> {
    /// Those that are taken by default.
    Default,
    /// Those of the connection with this placeholder.
    Placeholder { text: &'r str, place: &'r Place<'r> },
}

impl<'r> Meant<'r> {
    /// What a request to a host with routes means.
    pub(super) fn of<C>(
        table: &RouteTable<C>,
        presented: &'r Presented<'r>,
    ) -> Result<Self, RefuseCode> {
        match presented {
            // a mark for people: the route fills the slot with or without it
            Presented::Literal | Presented::Nothing => Ok(Self::Default),
            Presented::Misplaced => Err(RefuseCode::PlaceholderMisplaced),
            Presented::One { text, place } => {
                let meant = Self::Placeholder { text, place };
                if table.routes().any(|route| meant.includes(route)) {
                    Ok(meant)
                } else {
                    Err(stray(table, text))
                }
            }
        }
    }

    /// Whether `route` competes.
    pub(super) fn includes<C>(self, route: &Route<C>) -> bool {
        match self {
            Self::Default => route.choice.by_default,
            Self::Placeholder { text, place: _ } => route
                .choice
                .placeholder
                .as_ref()
                .is_some_and(|placeholder| placeholder.as_str() == text),
        }
    }

    /// Whether the placeholder, if it is one, stands where `slot` is filled.
    pub(super) fn stands_in(self, slot: &Slot) -> bool {
        let Self::Placeholder { text: _, place } = self else {
            return true;
        };
        match (place, slot) {
            (Place::Header(at), Slot::Header { name, prefix: _ }) => *at == name,
            (Place::Header(at), Slot::Basic(_)) => **at == http::header::AUTHORIZATION,
            (Place::Query(at), Slot::Query { name }) => **at == **name,
            (Place::Cookie(at), Slot::Cookie { name }) => **at == **name,
            (Place::Cookie(at), Slot::Session(session)) => session.has_cookie(at),
            (Place::Header(at), Slot::Session(session)) => session.copies_into(at),
            _ => false,
        }
    }

    /// What is said where no route fits, which without a placeholder is `code`.
    pub(super) fn unfit(self, code: RefuseCode) -> RefuseCode {
        match self {
            Self::Default => code,
            Self::Placeholder { .. } => RefuseCode::PlaceholderMisplaced,
        }
    }
}

/// Whether a request to a host without a route carries nothing that belongs elsewhere.
pub(super) fn check_unmatched<C>(
    table: &RouteTable<C>,
    presented: &Presented<'_>,
) -> Result<(), RefuseCode> {
    match presented {
        Presented::Nothing => Ok(()),
        Presented::Literal | Presented::Misplaced => Err(RefuseCode::PlaceholderMisplaced),
        Presented::One { text, place: _ } => Err(stray(table, text)),
    }
}

/// Why a placeholder that chooses nothing here is refused: it is one of this run in the wrong
/// place, or none of this run.
fn stray<C>(table: &RouteTable<C>, text: &str) -> RefuseCode {
    let ours = table
        .routes()
        .filter_map(|route| route.choice.placeholder.as_ref())
        .any(|placeholder| text.contains(placeholder.core()));
    if ours {
        RefuseCode::PlaceholderMisplaced
    } else {
        RefuseCode::PlaceholderUnknown
    }
}

#[cfg(test)]
mod tests;
