//! What became of callbacks, until it was shown. Pure: the clock is the caller's.
//!
//! The answer to a callback leads the browser on to a page of its own, so that neither its address
//! bar nor its history keeps the code (threat O10). By then the login is over and forgotten; what is
//! left of it is here.

use std::sync::Arc;
use std::time::{Duration, Instant};

use subtle::ConstantTimeEq as _;

use super::{LoginForm, Shown};

/// Time for what is done with an answer: an exchange with the authorization server, then storing.
pub(super) const EXCHANGE_MAX: Duration = Duration::from_secs(40);

/// How long a port is kept open for a browser that does not come for its result. It comes at once or
/// never.
const AWAITED_MAX: Duration = Duration::from_secs(10);

/// How long a result can be shown, if the port is open for another reason.
const KEPT_MAX: Duration = Duration::from_secs(60);

/// How many results are kept. There are never more logins than half of it, so that what is dropped
/// was to be had for a while.
const RESULTS_MAX: usize = 64;

/// How the browser's part of a login ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ending {
    /// It was taken.
    Taken(Shown),
    /// It was not, for this reason.
    Failed(String),
    /// Nobody waited any more.
    GivenUp,
    /// Not known in [`EXCHANGE_MAX`].
    Late,
}

/// The list, oldest first.
#[derive(Debug, Default)]
pub(super) struct Results(Vec<Entry>);

#[derive(Debug)]
struct Entry {
    /// The last segment of its address.
    path: Box<str>,
    form: Arc<LoginForm>,
    /// None while it is not known.
    ending: Option<Ending>,
    /// Until when a port is held open for it.
    awaited_until: Instant,
    /// Until when it is shown.
    kept_until: Instant,
}

impl Results {
    /// Makes room for the result of a callback that was taken just now.
    pub(super) fn open(&mut self, path: Box<str>, form: Arc<LoginForm>, now: Instant) {
        self.0.retain(|entry| now < entry.kept_until);
        if self.0.len() >= RESULTS_MAX {
            self.0.remove(0);
        }
        // it is closed within that time; the rest is for the browser
        let until = now + EXCHANGE_MAX + AWAITED_MAX;
        self.0.push(Entry {
            path,
            form,
            ending: None,
            awaited_until: until,
            kept_until: until,
        });
    }

    /// Says how it ended.
    pub(super) fn close(&mut self, path: &str, ending: Ending, now: Instant) {
        if let Some(entry) = self.0.iter_mut().find(|entry| *entry.path == *path) {
            entry.ending = Some(ending);
            entry.awaited_until = now + AWAITED_MAX;
            entry.kept_until = now + KEPT_MAX;
        }
    }

    /// Whether there is something to be shown at `path`; compared in constant time with all of them.
    pub(super) fn is_known(&self, path: &str, now: Instant) -> bool {
        self.find(path, now).is_some()
    }

    /// Takes what is to be shown at `path`.
    pub(super) fn take(&mut self, path: &str, now: Instant) -> Option<(Arc<LoginForm>, Ending)> {
        let entry = self.0.remove(self.find(path, now)?);
        Some((entry.form, entry.ending?))
    }

    /// Whether a browser may come for one of them any moment.
    pub(super) fn are_awaited(&self, now: Instant) -> bool {
        self.0.iter().any(|entry| now < entry.awaited_until)
    }

    fn find(&self, path: &str, now: Instant) -> Option<usize> {
        let mut found = None;
        for (at, entry) in self.0.iter().enumerate() {
            let is_it = bool::from(entry.path.as_bytes().ct_eq(path.as_bytes()));
            if is_it && entry.ending.is_some() && now < entry.kept_until {
                found = Some(at);
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::login::Asked;

    fn form() -> Arc<LoginForm> {
        Arc::new(LoginForm {
            asked: Asked::ApiKey,
            display_name: "GitHub".into(),
            connection: "default".parse().unwrap(),
            variable: None,
            hosts: vec![],
            key_urls: vec![],
            hint: None,
            pattern: None,
            rotate: false,
        })
    }

    #[test]
    fn a_result_is_shown_once_and_only_when_it_is_known() {
        let (mut results, now) = (Results::default(), Instant::now());
        results.open("a".into(), form(), now);
        assert!(results.are_awaited(now) && !results.is_known("a", now));
        assert!(results.take("a", now).is_none());
        results.close("a", Ending::Taken(Shown::Done), now);
        assert!(results.is_known("a", now) && !results.is_known("b", now));
        assert!(results.take("", now).is_none());
        let (_, ending) = results.take("a", now).unwrap();
        assert_eq!(ending, Ending::Taken(Shown::Done));
        assert!(results.take("a", now).is_none() && !results.are_awaited(now));
    }

    #[test]
    fn a_browser_that_does_not_come_holds_a_port_for_seconds_and_the_result_for_a_minute() {
        let (mut results, now) = (Results::default(), Instant::now());
        results.open("a".into(), form(), now);
        assert!(results.are_awaited(now + EXCHANGE_MAX));
        assert!(!results.are_awaited(now + EXCHANGE_MAX + AWAITED_MAX));
        let then = now + Duration::from_secs(5);
        results.close("a", Ending::GivenUp, then);
        assert!(results.are_awaited(then + AWAITED_MAX - Duration::from_millis(1)));
        assert!(!results.are_awaited(then + AWAITED_MAX));
        assert!(results.is_known("a", then + AWAITED_MAX));
        assert!(!results.is_known("a", then + KEPT_MAX));
        assert!(results.take("a", then + KEPT_MAX).is_none());
    }

    #[test]
    fn there_are_never_more_than_so_many_and_the_oldest_goes_first() {
        let (mut results, now) = (Results::default(), Instant::now());
        for n in 0..=RESULTS_MAX {
            results.open(n.to_string().into(), form(), now);
            results.close(&n.to_string(), Ending::Late, now);
        }
        assert_eq!(results.0.len(), RESULTS_MAX);
        assert!(!results.is_known("0", now) && results.is_known("1", now));
        results.open("x".into(), form(), now + KEPT_MAX);
        assert_eq!(results.0.len(), 1, "what is over goes");
    }
}
