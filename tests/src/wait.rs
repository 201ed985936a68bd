//! Waiting for a state, never for a time.

use std::time::{Duration, Instant};

/// How often a state is looked at. Short enough not to slow a test down, long enough to leave the
/// machine's two cores to what is being waited for.
const INTERVAL: Duration = Duration::from_millis(5);

/// Looks until `state` gives something; panics with `what` when that takes longer than `deadline`.
#[track_caller]
pub fn wait_for<T>(what: &str, deadline: Duration, mut state: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + deadline;
    loop {
        if let Some(found) = state() {
            return found;
        }
        assert!(
            Instant::now() < end,
            "gave up after {deadline:?} waiting for {what}"
        );
        std::thread::sleep(INTERVAL);
    }
}

/// Like [`wait_for`], for a condition.
#[track_caller]
pub fn wait_until(what: &str, deadline: Duration, mut condition: impl FnMut() -> bool) {
    wait_for(what, deadline, || condition().then_some(()));
}
