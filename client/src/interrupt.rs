//! Ctrl-C while something waits: noticed, not fatal, the first time.
//!
//! The second one ends the command at once, so a daemon that does not answer cannot hold a person.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::error::{Failure, Kind};

/// Exit code of a command that a person interrupted, as a shell reports it.
pub(crate) const INTERRUPTED: u8 = 130;

/// Whether somebody asked us to stop.
#[derive(Debug, Clone)]
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// From now on a signal is noticed.
    pub(crate) fn watch() -> Result<Self, Failure> {
        let asked = Arc::new(AtomicBool::new(false));
        for signal in [SIGHUP, SIGINT, SIGTERM] {
            // in this order: the shutdown looks at the flag as it was before this signal
            signal_hook::flag::register_conditional_shutdown(
                signal,
                i32::from(INTERRUPTED),
                Arc::clone(&asked),
            )
            .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&asked)))
            .map_err(|error| {
                Failure::new(Kind::Failed, "cannot watch for Ctrl-C").because(&error)
            })?;
        }
        Ok(Self(asked))
    }

    /// Whether a signal came.
    pub(crate) fn came(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
