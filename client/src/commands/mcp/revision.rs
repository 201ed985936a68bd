//! The revisions of the protocol, and what each has.

use serde_json::{Map, Value, json};

/// How long a client may keep what cannot change while we live. It may keep it longer than we live,
/// and a newer build has other tools.
const LASTS_MS: u64 = 5 * 60 * 1000;

/// A revision that is spoken, oldest first.
///
/// Up to `V2025_11_25` client and server agree on one with `initialize`; since `V2026_07_28` every
/// request names its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Revision {
    V2024_11_05,
    V2025_03_26,
    V2025_06_18,
    V2025_11_25,
    V2026_07_28,
}

impl Revision {
    /// Those that `initialize` can choose, newest first.
    const BY_HANDSHAKE: [Self; 4] = [
        Self::V2025_11_25,
        Self::V2025_06_18,
        Self::V2025_03_26,
        Self::V2024_11_05,
    ];

    /// Those that a request can name.
    pub(super) const BY_REQUEST: [Self; 1] = [Self::V2026_07_28];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::V2024_11_05 => "2024-11-05",
            Self::V2025_03_26 => "2025-03-26",
            Self::V2025_06_18 => "2025-06-18",
            Self::V2025_11_25 => "2025-11-25",
            Self::V2026_07_28 => "2026-07-28",
        }
    }

    /// The one to speak with a client that asks for `wanted` in `initialize`: that one, else the
    /// newest that a handshake can choose.
    pub(super) fn agreed(wanted: &str) -> Self {
        Self::BY_HANDSHAKE
            .into_iter()
            .find(|revision| revision.as_str() == wanted)
            .unwrap_or(Self::V2025_11_25)
    }

    /// The one that a request names.
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::BY_REQUEST
            .into_iter()
            .find(|revision| revision.as_str() == name)
    }

    /// Whether every request speaks for itself: no handshake, no ping.
    pub(super) fn is_stateless(self) -> bool {
        self >= Self::V2026_07_28
    }

    /// Whether several messages may come in one array.
    pub(super) fn has_batches(self) -> bool {
        self == Self::V2025_03_26
    }

    /// Whether a tool says what it does to its surroundings.
    pub(super) fn has_annotations(self) -> bool {
        self >= Self::V2025_03_26
    }

    /// Whether progress has words.
    pub(super) fn has_progress_messages(self) -> bool {
        self >= Self::V2025_03_26
    }

    /// Whether tools have titles, output schemas and structured content.
    pub(super) fn has_structure(self) -> bool {
        self >= Self::V2025_06_18
    }

    /// Whether an answer to nobody has the id null.
    pub(super) fn has_null_ids(self) -> bool {
        self <= Self::V2025_06_18
    }

    /// Who we are.
    pub(super) fn server_info(self) -> Value {
        let mut info = json!({ "name": "authsome", "version": env!("CARGO_PKG_VERSION") });
        if let Some(fields) = info.as_object_mut() {
            if self.has_structure() {
                fields.insert("title".into(), json!("authsome"));
            }
            if self >= Self::V2025_11_25 {
                let description = "Lets programs call APIs without holding the key";
                fields.insert("description".into(), json!(description));
            }
        }
        info
    }

    /// A result with what every one of this revision has.
    pub(super) fn result(self, mut result: Map<String, Value>) -> Value {
        if self.is_stateless() {
            result
                .entry("resultType")
                .or_insert_with(|| json!("complete"));
            let meta = result.entry("_meta").or_insert_with(|| json!({}));
            if let Some(meta) = meta.as_object_mut() {
                meta.insert(
                    "io.modelcontextprotocol/serverInfo".into(),
                    self.server_info(),
                );
            }
        }
        Value::Object(result)
    }

    /// The same for a result that may be kept: what we are does not change while we live, and is
    /// the same for everybody.
    pub(super) fn lasting(self, mut result: Map<String, Value>) -> Value {
        if self.is_stateless() {
            result.insert("ttlMs".into(), json!(LASTS_MS));
            result.insert("cacheScope".into(), json!("public"));
        }
        self.result(result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_client_asks_for_is_spoken_if_it_is_known_else_the_newest() {
        for known in ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"] {
            assert_eq!(Revision::agreed(known).as_str(), known);
        }
        // no handshake can choose a revision that has none
        for other in ["2026-07-28", "1999-01-01", "2099-01-01", "", "latest"] {
            assert_eq!(Revision::agreed(other).as_str(), "2025-11-25");
        }
        assert_eq!(Revision::named("2026-07-28"), Some(Revision::V2026_07_28));
        assert_eq!(Revision::named("2025-11-25"), None);
    }

    #[test]
    fn only_stateless_results_say_who_we_are() {
        let old = Revision::V2025_11_25.lasting(Map::new());
        assert_eq!(old, json!({}));
        let new = Revision::V2026_07_28.lasting(Map::new());
        assert_eq!(new["resultType"], "complete");
        assert_eq!(new["cacheScope"], "public");
        assert_eq!(
            new["_meta"]["io.modelcontextprotocol/serverInfo"]["name"],
            "authsome"
        );
    }
}
