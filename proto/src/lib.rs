//! The wire between `authsome` and `authsomed`.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod ids;
pub mod secret;

pub use ids::{ConnectionName, LoginId, ParseNameError, ProviderName, RunId};
pub use secret::Secret;
