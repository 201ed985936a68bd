//! The one spinner: on a terminal only, turned by the loop that waits, without a thread.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget};

use crate::ui::Ui;

/// A spinner with what is waited for, and for how long.
pub(super) struct Spinner {
    bar: Option<ProgressBar>,
    until: Option<Instant>,
    text: &'static str,
}

impl Spinner {
    pub(super) fn new(text: &'static str, ui: Ui) -> Self {
        let bar = ui.may_animate().then(|| {
            let bar = ProgressBar::new_spinner();
            bar.set_draw_target(ProgressDrawTarget::stderr());
            bar
        });
        Self {
            bar,
            until: None,
            text,
        }
    }

    pub(super) fn left(&mut self, seconds: u64) {
        self.until = Instant::now().checked_add(Duration::from_secs(seconds));
    }

    /// A person is waited for.
    pub(super) fn waits_for(&mut self, text: &'static str) {
        self.text = text;
    }

    /// Nobody is waited for: the time left does not matter.
    pub(super) fn does(&mut self, text: &'static str) {
        self.text = text;
        self.until = None;
    }

    pub(super) fn turn(&self) {
        let Some(bar) = &self.bar else { return };
        let left = self
            .until
            .map(|until| until.saturating_duration_since(Instant::now()).as_secs());
        bar.set_message(match left {
            Some(left) => format!(
                "{}, {}:{:02} left (Ctrl-C cancels)",
                self.text,
                left / 60,
                left % 60
            ),
            None => self.text.into(),
        });
        bar.tick();
    }

    pub(super) fn aside<T>(&self, say: impl FnOnce() -> T) -> T {
        match &self.bar {
            Some(bar) => bar.suspend(say),
            None => say(),
        }
    }

    pub(super) fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
