//! The wire between `authsome` and `authsomed`: messages, frames, names, places.
//!
//! Promise: a released message never changes; what must change becomes a new variant, and
//! [`hello`] lets two builds that share no version say so. `docs/protocol.md` describes all of it
//! for people who write a client without reading this code.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod environment;
pub mod error;
pub mod frame;
pub mod hello;
pub mod ids;
pub mod message;
pub mod places;
pub mod request;
pub mod response;
#[cfg(feature = "schema")]
pub mod schema;
pub mod secret;

pub use error::{ErrorCode, WireError};
pub use ids::{
    ConnectionName, LoginId, ParseNameError, ProviderName, RunId, VariableName, WebhookName,
};
pub use message::{ClientFrame, Event, LoginStage, RunEnding, ServerFrame};
pub use places::{LockNote, Places};
pub use request::Request;
pub use response::Response;
pub use secret::Secret;
