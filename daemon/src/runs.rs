//! Runs: child process trees started by `authsome run`, with what was granted to them.
//!
//! A run lives as long as its first process (or its last one, if it keeps), or until its time is
//! up or it is stopped; then its token is dead at once and its open connections are closed. `spec`
//! says what it may use, `life` when it ends by itself, `record` what survives a restart of the
//! daemon, `watch` waits for a process, `tree` finds those that the first one left behind,
//! `environment` makes what its process sees, `port` finds the ports it is told.
//!
//! Not here: starting and resuming, which need vault and catalogue: `broker/start.rs`, `resume.rs`.

pub mod environment;
pub mod life;
pub mod port;
pub mod record;
pub mod spec;
pub mod tree;
pub mod watch;

pub use life::Life;
pub use record::RunRecord;
pub use spec::{Asked, NarrowError, RunSpec};
