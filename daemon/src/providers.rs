//! Provider definitions: which hosts a credential belongs to, where it goes on the wire, how a
//! person gets one, and which variables programs read it from.
//!
//! 1. [`Catalogue::load`] takes the bundled definitions (`daemon/providers/*.json`, compiled in by
//!    [`bundled`]) and lays the user's own files over them.
//! 2. Each file is read by [`parse_definition`]: our format by `native`, the Python product's two
//!    dialects by `dialect`, both over `document`, which knows field paths and lines.
//! 3. [`session`] says what is asked for and stored of a website's session, `server` what a definition
//!    means for a server that a person runs.
//! 4. `check` compares definitions with each other and with what was known at login.
//!
//! Invariants:
//! - P1: a definition holds no secret and no code; patterns run in linear time.
//! - P2: reading a definition never widens it. What is not understood is a problem, by name.
//! - P3: a broken file never hides a bundled definition and never stops the daemon.
//!
//! Not here: matching requests (`routing`), stored credentials (`vault`, `connections`).

mod bundled;
mod catalogue;
mod check;
mod definition;
mod dialect;
mod document;
mod fields;
mod host_regex;
mod key_pattern;
mod native;
mod parse;
mod problem;
mod render;
mod server;
pub mod session;
mod signature;
mod suggest;

pub use catalogue::{Catalogue, Entry, FILE_LEN_MAX, Source};
pub use check::hosts_gained;
pub use definition::{
    Auth, Availability, Browser, ClientAuth, Definition, DeviceTokenRequest, EnvValue, EnvVariable,
    ExtractedCookie, Flow, Kind, OAuth2, RouteRule,
};
pub use fields::is_vital_variable;
pub use key_pattern::{KeyPattern, ParseKeyPatternError};
pub use parse::parse_definition;
pub use problem::{Problem, Severity};
pub use server::{BaseUrl, ParseBaseUrlError};
pub use signature::{Signature, signature};
