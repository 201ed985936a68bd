//! What is known of renewing one connection, between flights. Pure but for the channel it keeps.

use std::sync::Arc;

use tokio::sync::watch;

use super::super::credentials::Token;
use super::Stage;
use super::flight::Landing;
use crate::oauth::life::{self, Chance};
use crate::proxy::{NotRenewed, Why};
use crate::sys::clock::Boot;

/// One connection.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// The flight that is under way.
    flight: Option<watch::Receiver<Stage>>,
    /// The version of the token that the failures are about.
    version: u64,
    failures: u32,
    /// The next one begins after this.
    not_before: Option<Boot>,
    /// Only a person can help this version.
    gave_up: bool,
    /// What went wrong last: its code and its words.
    wrong: Option<(&'static str, Arc<str>)>,
    /// How many tokens in a row were renewed because an API refused them.
    rejected: u32,
    /// The last note of a renewal that this daemon wrote into the vault. Whatever came of it, it is
    /// known.
    own: Option<i64>,
}

/// What a landing means.
pub(super) struct News {
    /// For those who wait.
    pub(super) told: Result<(), NotRenewed>,
    /// Whether its failure is another one than the last.
    pub(super) is_news: bool,
}

impl Line {
    /// The flight that is under way. One that broke off is none.
    pub(super) fn in_flight(&self) -> Option<watch::Receiver<Stage>> {
        let flight = self.flight.as_ref()?;
        flight.has_changed().is_ok().then(|| flight.clone())
    }

    pub(super) fn is_failing(&self) -> bool {
        self.failures > 0
    }

    pub(super) fn problem(&self) -> Option<&str> {
        self.wrong.as_ref().map(|(_, words)| &**words)
    }

    pub(super) fn own(&self) -> Option<i64> {
        self.own
    }

    /// This daemon is about to write that note.
    pub(super) fn notes(&mut self, since: i64) {
        self.own = Some(since);
    }

    /// When there is something to do for a token, if nobody asks.
    pub(super) fn due(&mut self, version: u64, token: &Token, now: Boot) -> Option<Boot> {
        self.turn_to(version);
        if self.in_flight().is_some() {
            return None;
        }
        let is_spent = self.is_spent(token);
        let due = if is_spent && !self.gave_up {
            // to say so while there is time to log in
            now
        } else if is_spent || self.gave_up || !token.renews {
            token.life?.dead_at()
        } else {
            token.life?.renew_at(token.chance)?
        };
        Some(
            self.not_before
                .map_or(due, |not_before| due.max(not_before)),
        )
    }

    /// Whether a flight may begin.
    pub(super) fn may_begin(
        &mut self,
        version: u64,
        token: &Token,
        why: Why,
        now: Boot,
    ) -> Result<(), NotRenewed> {
        self.turn_to(version);
        if why == Why::Rejected {
            let helpless = self.gave_up || !token.renews || self.is_spent(token);
            let young = now.since(token.came) < life::rejected_min(self.rejected);
            if helpless || young {
                return Err(NotRenewed::because(""));
            }
        }
        match self.not_before.filter(|not_before| now < *not_before) {
            Some(not_before) => Err(NotRenewed {
                reason: self.reason(),
                retry_after: not_before.since(now),
            }),
            None => Ok(()),
        }
    }

    pub(super) fn begin(&mut self, flight: watch::Receiver<Stage>) {
        self.flight = Some(flight);
    }

    /// A flight for `token`, begun for that reason, is over.
    pub(super) fn land(
        &mut self,
        landing: &Landing,
        token: &Token,
        why: Why,
        now: Boot,
        chance: Chance,
    ) -> News {
        self.flight = None;
        let known = self.wrong.take();
        self.wrong = landing
            .failure()
            .map(|failure| (failure.code, failure.reason.as_str().into()));
        let is_news = self.wrong.as_ref().map(|it| it.0) != known.as_ref().map(|it| it.0);
        let told = match landing {
            Landing::Renewed => {
                self.failures = 0;
                self.not_before = None;
                self.rejected = match why {
                    Why::Rejected => self.rejected.saturating_add(1),
                    Why::Dead | Why::Due => 0,
                };
                Ok(())
            }
            Landing::Look => {
                self.failures = 0;
                self.not_before = None;
                Ok(())
            }
            Landing::GaveUp(failure) => {
                self.gave_up = true;
                self.failures = 0;
                if failure.is_none() {
                    // said before
                    self.wrong = known;
                }
                Ok(())
            }
            Landing::Failed(failure) => {
                self.failures = self.failures.saturating_add(1);
                let pause = life::pause(self.failures, failure.retry_after, chance);
                let mut not_before = now.plus(pause);
                if failure.is_unknown
                    && why != Why::Rejected
                    && let Some(life) = token.life
                {
                    // the server may take the next try for a theft and end the token that is there:
                    // as long as that one is good, there is nothing to win
                    not_before = not_before.max(life.dead_at());
                }
                self.not_before = Some(not_before);
                Err(NotRenewed {
                    reason: self.reason(),
                    retry_after: not_before.since(now),
                })
            }
        };
        News { told, is_news }
    }

    fn reason(&self) -> Arc<str> {
        let words = self.wrong.as_ref().map(|(_, words)| Arc::clone(words));
        words.unwrap_or_else(|| "".into())
    }

    fn is_spent(&self, token: &Token) -> bool {
        token
            .sent
            .is_some_and(|(since, rotates)| life::is_spent(Some(since), self.own, rotates))
    }

    /// Failures are of one version: another one begins anew.
    fn turn_to(&mut self, version: u64) {
        if self.version != version {
            self.version = version;
            self.failures = 0;
            self.not_before = None;
            self.gave_up = false;
        }
    }
}
