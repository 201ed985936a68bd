//! What a frame holds after the opening exchange.
//!
//! A client sends requests, each with an id of its choice that it has not used on this connection
//! before; several may be in flight. The daemon answers each exactly once, in any order. A request
//! that subscribes gets events under its id until it is answered or cancelled. `Cancel` of an id
//! that is not in flight is ignored.

use serde::{Deserialize, Serialize};

use crate::error::WireError;
use crate::ids::{ConnectionName, LoginId, ProviderName, RunId};
use crate::request::Request;
use crate::response::{LoginStep, Response};

/// From client to daemon. Append only.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ClientFrame {
    /// Asks for something.
    Request {
        /// Chosen by the client, single use on a connection.
        id: u32,
        /// What is asked.
        request: Request,
    },
    /// Gives up a request in flight: one that waits or subscribes is then answered at once, any
    /// other goes on to its own answer.
    Cancel {
        /// The request's id.
        id: u32,
    },
}

/// From daemon to client. Append only.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[expect(
    clippy::large_enum_variant,
    reason = "a frame is decoded, handled and dropped, never kept"
)]
pub enum ServerFrame {
    /// The answer to a request.
    Answer {
        /// The request's id.
        id: u32,
        /// What came of it: `Ok` or `Err`.
        result: Result<Response, WireError>,
    },
    /// Something happened that a request subscribed to.
    Event {
        /// The subscribing request's id.
        id: u32,
        /// What happened.
        event: Event,
    },
}

/// What subscribers hear. Append only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// A line was added to the audit log, as it stands there.
    Audit {
        /// The line, without its line end.
        line: String,
    },
    /// A connection was added, replaced, removed, or changed state.
    ConnectionChanged {
        /// Its provider.
        provider: ProviderName,
        /// Its name.
        connection: ConnectionName,
    },
    /// A login moved on.
    LoginProgress {
        /// The login.
        login: LoginId,
        /// Where it stands.
        stage: LoginStage,
    },
    /// A run began.
    RunStarted {
        /// The run.
        run: RunId,
    },
    /// A run ended.
    RunEnded {
        /// The run.
        run: RunId,
        /// Why.
        why: RunEnding,
    },
    /// The listener was too slow and missed this many events.
    Missed {
        /// How many.
        count: u64,
    },
}

/// Why a run ended. Append only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum RunEnding {
    /// Its process ended; of a run that keeps, the last of its processes.
    ProcessEnded,
    /// Its time was up.
    Expired,
    /// Somebody stopped it.
    Stopped,
    /// The run around it ended.
    OuterEnded,
}

impl RunEnding {
    /// The name on the wire in JSON, and in the audit log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ProcessEnded => "process_ended",
            Self::Expired => "expired",
            Self::Stopped => "stopped",
            Self::OuterEnded => "outer_ended",
        }
    }
}

/// Where a waiting login stands. Append only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum LoginStage {
    /// The page waits for a person.
    Waiting {
        /// Seconds until it is given up.
        seconds_left: u64,
    },
    /// Something was submitted that did not pass; the page says why and still waits.
    Rejected {
        /// Why, without the value.
        reason: String,
    },
    /// The credential is being stored.
    Storing,
    /// A person has something else to do now.
    Step(LoginStep),
    /// The authorization server is asked for tokens.
    Exchanging,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ending_has_the_same_name_everywhere() {
        for why in [
            RunEnding::ProcessEnded,
            RunEnding::Expired,
            RunEnding::Stopped,
            RunEnding::OuterEnded,
        ] {
            let json = serde_json::to_value(why).unwrap();
            assert_eq!(json, why.as_str());
        }
    }
}
