//! Policies: the rules and rate limits that people write down for connections.
//!
//! 1. `file` reads the `[connections]` tables that `config.toml` and `authsome.toml` share.
//! 2. `project` reads an `authsome.toml`, which belongs to a folder and can only narrow.
//! 3. `rate` counts (pure), [`Limiter`] lets requests wait for their turn.
//!
//! Invariants: a policy more never allows more. What a run was started with stays as it was: an
//! `authsome.toml` is read once; only `config.toml` acts on living runs.
//! Not here: judging a request by the rules (`routing::rules`), finding the project's file (the
//! client), putting both on routes (`broker/routes.rs`).

pub mod file;
mod limiter;
pub mod project;
pub mod rate;

pub use file::{RawTables, Table, Tables};
pub use limiter::{Full, Limiter, Limits, Turns, wait_for_turns};
pub use project::{Project, ProjectError};
pub use rate::Rate;
