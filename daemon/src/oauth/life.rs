//! How long an access token is good, when the next one is asked for, and when not to ask.
//!
//! A lifetime is counted from before the request that brought the token, by a clock that nobody sets
//! ([`Boot`]). Across a restart only the wall clock knows how much of it is left; whatever that
//! says, it is between nothing and the whole lifetime (threat O8).
//!
//! Pure: points in time and random numbers come as values.

use std::time::Duration;

use crate::sys::clock::Boot;

/// How long before its end a token is taken for dead: the request is still to travel, and the
/// server's clock may be ahead. Shorter sends tokens that are over; longer wastes them.
const MARGIN: Duration = Duration::from_secs(60);

/// The same of tokens that are good for 5 minutes or less: this part of their lifetime.
const MARGIN_SHARE: u32 = 5;

/// Tokens that are good for less than this are renewed when a request needs one, not in advance: a
/// server that says "5 seconds" would be asked all day long by a program that is idle.
const AHEAD_MIN: Duration = Duration::from_secs(60);

/// Longest pause after failures. Longer keeps requests without a token after the server is back;
/// shorter asks a broken server more often than it deserves.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// A token that an API refuses is renewed only if it is older than this. An API that refuses every
/// token would otherwise make each request a renewal.
const REJECTED_MIN: Duration = Duration::from_secs(60);

/// The same after many tokens were refused one after the other.
const REJECTED_MAX: Duration = Duration::from_secs(3600);

/// A random number between 0 and 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Chance(f64);

impl Chance {
    /// The share of `part` in all that 16 bits can say.
    pub fn of(part: u16) -> Self {
        Self(f64::from(part) / f64::from(u16::MAX))
    }

    /// A new one.
    pub fn random() -> Self {
        let mut bytes = [0; 2];
        // it only spreads load: without random bytes all do the same at the same time
        match getrandom::fill(&mut bytes) {
            Ok(()) => Self::of(u16::from_ne_bytes(bytes)),
            Err(_) => Self(0.5),
        }
    }

    fn between(self, low: f64, high: f64) -> f64 {
        (high - low).mul_add(self.0, low)
    }
}

/// The life of one access token whose lifetime is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Life {
    ends: Boot,
    lifetime: Duration,
}

impl Life {
    /// Of a token that is good for `lifetime` from `from` on.
    pub fn begun(lifetime: Duration, from: Boot) -> Self {
        Self {
            ends: from.plus(lifetime),
            lifetime,
        }
    }

    /// Of a token that came at `issued_at` (seconds since 1970) and is taken up again `now`, which
    /// the wall clock calls `wall`.
    pub fn taken_up(lifetime: Duration, issued_at: i64, wall: i64, now: Boot) -> Self {
        Self {
            ends: now.plus(lifetime.saturating_sub(age(issued_at, wall))),
            lifetime,
        }
    }

    /// From when on it is not sent any more.
    pub fn dead_at(self) -> Boot {
        self.ends.minus(self.margin())
    }

    /// Whether it is not sent any more.
    pub fn is_dead(self, now: Boot) -> bool {
        now >= self.dead_at()
    }

    /// When the next one is asked for in advance: after 75 to 85 % of the time in which this one is
    /// sent, so that many of them do not come due together. Not for tokens that are over in no time.
    pub fn renew_at(self, chance: Chance) -> Option<Boot> {
        if self.lifetime < AHEAD_MIN {
            return None;
        }
        let sent = self.lifetime.saturating_sub(self.margin());
        Some(
            self.dead_at()
                .minus(sent.mul_f64(chance.between(0.15, 0.25))),
        )
    }

    fn margin(self) -> Duration {
        if self.lifetime <= MARGIN * MARGIN_SHARE {
            self.lifetime / MARGIN_SHARE
        } else {
            MARGIN
        }
    }
}

/// How old something is that came at `issued_at`; nothing, if the clock was set back since.
pub fn age(issued_at: i64, wall: i64) -> Duration {
    Duration::from_secs(u64::try_from(wall.saturating_sub(issued_at)).unwrap_or(0))
}

/// How long to wait after the `failures`-th failure in a row: 1, 2, 4 … 60 seconds, give or take a
/// quarter; longer if the server asked for it.
pub fn pause(failures: u32, asked: Option<Duration>, chance: Chance) -> Duration {
    let doubled = 2_u32.saturating_pow(failures.saturating_sub(1).min(16));
    let pause = Duration::from_secs(doubled.into()).min(PAUSE_MAX);
    pause
        .mul_f64(chance.between(0.75, 1.25))
        .max(asked.unwrap_or_default())
}

/// How old a token must be to be renewed because an API refused it, after `in_a_row` tokens were
/// renewed for that reason: a minute, and twice as long each time.
pub fn rejected_min(in_a_row: u32) -> Duration {
    REJECTED_MIN
        .saturating_mul(2_u32.saturating_pow(in_a_row.min(16)))
        .min(REJECTED_MAX)
}

/// Whether a refresh token must not be sent: a daemon that is gone was about to send it (`since`),
/// and nobody knows what came of that. A server that replaces refresh tokens takes the old one for
/// stolen and ends all that came from the login (threat O7). `own` is what this daemon wrote itself,
/// whose end it knows. `rotates` as in the stored grant: unknown counts as yes.
pub fn is_spent(since: Option<i64>, own: Option<i64>, rotates: Option<bool>) -> bool {
    since.is_some() && since != own && rotates != Some(false)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const NOW: Boot = Boot::at(Duration::from_secs(5_000_000));

    fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_token_is_dead_a_minute_before_its_end_and_a_short_one_after_four_fifths() {
        for (lifetime, sent) in [
            (3600, 3540),
            (301, 241),
            (300, 240),
            (100, 80),
            (5, 4),
            (1, 0),
        ] {
            let life = Life::begun(secs(lifetime), NOW);
            let dead = life.dead_at().since(NOW);
            assert_eq!(dead.as_secs(), sent, "{lifetime}");
            assert!(!life.is_dead(NOW), "{lifetime}");
            assert!(life.is_dead(NOW.plus(dead)), "{lifetime}");
            assert!(!life.is_dead(NOW.plus(dead).minus(Duration::from_nanos(1))));
        }
    }

    /// Threat O8.
    #[test]
    fn a_clock_set_by_ten_minutes_gives_no_token_more_than_its_lifetime() {
        let issued_at = 1_000_000;
        for (wall, dead_in) in [
            (issued_at, 3540),
            (issued_at + 600, 2940),
            // set back by ten minutes: taken for new, not for newer than new
            (issued_at - 600, 3540),
            (issued_at + 3600, 0),
            (issued_at + 100_000_000, 0),
            (i64::MIN, 3540),
            (i64::MAX, 0),
        ] {
            let life = Life::taken_up(HOUR, issued_at, wall, NOW);
            assert_eq!(life.dead_at().since(NOW).as_secs(), dead_in, "{wall}");
            assert_eq!(life.is_dead(NOW), dead_in == 0, "{wall}");
        }
    }

    #[test]
    fn the_next_token_is_asked_for_after_three_quarters_of_the_time() {
        let life = Life::begun(HOUR, NOW);
        let at = |part| life.renew_at(Chance::of(part)).unwrap().since(NOW);
        assert_eq!(at(u16::MAX).as_secs(), 3540 * 75 / 100);
        assert_eq!(at(0).as_secs(), 3540 * 85 / 100);
        assert_eq!(Life::begun(secs(59), NOW).renew_at(Chance::of(0)), None);
        assert!(Life::begun(secs(60), NOW).renew_at(Chance::of(0)).is_some());
    }

    #[test]
    fn pauses_double_up_to_a_minute_and_heed_the_server() {
        let middle = Chance(0.5);
        let pauses: Vec<u64> = (1..10)
            .map(|failures| pause(failures, None, middle).as_secs())
            .collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(pause(u32::MAX, None, middle), PAUSE_MAX);
        assert_eq!(pause(1, Some(HOUR), middle), HOUR);
        assert_eq!(pause(1, None, Chance::of(0)), Duration::from_millis(750));
        assert_eq!(
            pause(1, None, Chance::of(u16::MAX)),
            Duration::from_millis(1250)
        );
    }

    #[test]
    fn refused_tokens_are_renewed_more_and_more_seldom() {
        let waits: Vec<u64> = (0..8).map(|n| rejected_min(n).as_secs()).collect();
        assert_eq!(waits, [60, 120, 240, 480, 960, 1920, 3600, 3600]);
        assert_eq!(rejected_min(u32::MAX), REJECTED_MAX);
    }

    /// Threat O7.
    #[test]
    fn after_a_crash_only_a_server_that_is_known_not_to_rotate_gets_the_token_again() {
        for (rotates, spent) in [(None, true), (Some(true), true), (Some(false), false)] {
            assert_eq!(is_spent(Some(7), None, rotates), spent);
            assert_eq!(is_spent(Some(7), Some(6), rotates), spent);
            assert!(!is_spent(Some(7), Some(7), rotates), "its end is known");
            assert!(!is_spent(None, None, rotates));
        }
    }

    proptest! {
        /// Threat O8: whatever a server and the clocks say.
        #[test]
        fn no_lifetime_and_no_clock_makes_a_token_live_longer_than_it_may(
            lifetime in any::<u64>(), issued_at in any::<i64>(), wall in any::<i64>(), boot in any::<u32>(), part in any::<u16>(),
        ) {
            let (lifetime, now) = (secs(lifetime), Boot::at(secs(boot.into())));
            for life in [Life::begun(lifetime, now), Life::taken_up(lifetime, issued_at, wall, now)] {
                prop_assert!(life.dead_at().since(now) <= lifetime);
                prop_assert!(life.is_dead(now.plus(lifetime)));
                if let Some(at) = life.renew_at(Chance::of(part)) {
                    prop_assert!(at <= life.dead_at());
                }
            }
        }
    }
}
