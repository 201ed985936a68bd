//! Runs: child process trees started by `authsome run`, with what was granted to them.
//!
//! A run lives as long as its first process, or until it is stopped; then its token is dead at
//! once and its open connections are closed. `spec` says what it may use, `record` what survives
//! a restart of the daemon, `watch` waits for its process, `environment` makes what its process
//! sees, `port` finds the ports it is told.
//!
//! Not here: starting and resuming, which need vault and catalogue: `broker/start.rs`, `resume.rs`.

pub mod environment;
pub mod port;
pub mod record;
pub mod spec;
pub mod watch;

pub use record::RunRecord;
pub use spec::{Asked, NarrowError, RunSpec};
