//! How many requests in how much time. Pure: whoever asks brings the clock.
//!
//! A rate of `100/min` is exact: no minute, wherever it begins, has more than 100 turns in it. A
//! bucket that refills would let through twice as many around a burst. So the times of the last
//! turns are kept, 16 bytes each, which is what [`COUNT_MAX`] bounds.
//!
//! A turn may lie ahead of now, within the bound on waiting; whoever got it waits until then.
//! Turns are given in order, and one that is given back is free for the next who asks.

use std::collections::VecDeque;
use std::time::Duration;

/// Most turns of a period: their times take 1.6 MB then. No API allows one user more.
pub const COUNT_MAX: u32 = 100_000;

/// Longest wait for a turn. Programs and the connections between give a request up by then.
pub const WAIT_MAX: Duration = Duration::from_secs(300);

/// Wait for a turn unless the file says so.
pub const WAIT_DEFAULT: Duration = Duration::from_secs(10);

/// Most requests that wait for their turn at one limit. Each holds a connection of its program.
pub const WAITING_MAX: usize = 512;

/// So many requests in so much time, with a bound on waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Requests in a period, at least 1.
    pub count: u32,
    /// The period.
    pub period: Duration,
    /// How long a request waits for its turn at most.
    pub wait: Duration,
}

/// Why a text is no rate or no duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseRateError {
    /// The count is 0 or too large.
    #[error("a rate is from 1 to {COUNT_MAX} requests; to forbid all, write `allow = []`")]
    Count,
    /// Not a duration.
    #[error("a duration is a whole number with its unit, `ms`, `s`, `min` or `h`, as in `5s`")]
    Duration,
    /// Not a rate.
    #[error("a rate is a whole number for each `s`, `min` or `h`, as in `100/min`")]
    Rate,
    /// The wait is too long.
    #[error("a request waits at most {} minutes", WAIT_MAX.as_secs() / 60)]
    Wait,
}

impl Rate {
    /// Reads a rate like `100/min` and a wait like `5s`.
    pub fn parse(rate: &str, wait: Option<&str>) -> Result<Self, ParseRateError> {
        let (count, unit) = rate.split_once('/').ok_or(ParseRateError::Rate)?;
        let period = match unit.trim() {
            "s" => 1,
            "min" => 60,
            "h" => 3600,
            _ => return Err(ParseRateError::Rate),
        };
        Ok(Self {
            count: parse_count(count)?,
            period: Duration::from_secs(period),
            wait: wait.map_or(Ok(WAIT_DEFAULT), parse_wait)?,
        })
    }
}

fn parse_count(text: &str) -> Result<u32, ParseRateError> {
    let digits = text.trim();
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(ParseRateError::Rate);
    }
    digits
        .parse()
        .ok()
        .filter(|count| (1..=COUNT_MAX).contains(count))
        .ok_or(ParseRateError::Count)
}

fn parse_wait(text: &str) -> Result<Duration, ParseRateError> {
    let wait = parse_duration(text)?;
    if wait > WAIT_MAX {
        return Err(ParseRateError::Wait);
    }
    Ok(wait)
}

/// Reads a duration like `500ms`, `5s`, `2min` or `1h`.
pub fn parse_duration(text: &str) -> Result<Duration, ParseRateError> {
    let text = text.trim();
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .ok_or(ParseRateError::Duration)?;
    let (number, unit) = text.split_at(end);
    let number: u64 = number.parse().map_err(|_| ParseRateError::Duration)?;
    let seconds = match unit.trim_start() {
        "ms" => return Ok(Duration::from_millis(number)),
        "s" => Some(number),
        "min" => number.checked_mul(60),
        "h" => number.checked_mul(3600),
        _ => None,
    };
    seconds
        .map(Duration::from_secs)
        .ok_or(ParseRateError::Duration)
}

/// The turns that were given. Times count from whatever moment the caller counts from.
#[derive(Debug, Default)]
pub struct Window {
    /// Ascending; those of the last period, and those that are ahead.
    turns: VecDeque<Duration>,
}

impl Window {
    /// The moment of the next turn, now or later; or how long until there would be one, if that is
    /// longer than the wait, or too many wait already.
    pub fn take(&mut self, rate: &Rate, now: Duration) -> Result<Duration, Duration> {
        while self
            .turns
            .front()
            .is_some_and(|turn| turn.saturating_add(rate.period) <= now)
        {
            self.turns.pop_front();
        }
        let count = usize::try_from(rate.count).unwrap_or(usize::MAX);
        let mut at = now;
        if let Some(first) = self.turns.len().checked_sub(count)
            && let Some(turn) = self.turns.get(first)
        {
            at = at.max(turn.saturating_add(rate.period));
        }
        // after turns were given back the rule above could lead in front of those who wait
        if let Some(last) = self.turns.back() {
            at = at.max(*last);
        }
        let wait = at.saturating_sub(now);
        if wait > rate.wait || (!wait.is_zero() && self.waiting(now) >= WAITING_MAX) {
            return Err(wait);
        }
        self.turns.push_back(at);
        Ok(at)
    }

    /// How many wait for a turn that was given to them.
    pub fn waiting(&self, now: Duration) -> usize {
        self.turns.len() - self.turns.partition_point(|turn| *turn <= now)
    }

    /// Takes back a turn that nobody used.
    pub fn give_back(&mut self, turn: Duration) {
        let at = self.turns.partition_point(|other| *other < turn);
        if self.turns.get(at) == Some(&turn) {
            self.turns.remove(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rate(text: &str, wait: &str) -> Rate {
        Rate::parse(text, Some(wait)).unwrap()
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn rates_and_durations_are_read_as_they_are_written() {
        for (text, count, period) in [
            ("1/s", 1, 1),
            ("100/min", 100, 60),
            ("100000/h", 100_000, 3600),
            (" 5 / min ", 5, 60),
        ] {
            let rate = Rate::parse(text, None).unwrap();
            assert_eq!((rate.count, rate.period.as_secs()), (count, period));
            assert_eq!(rate.wait, WAIT_DEFAULT);
        }
        for (text, error) in [
            ("", ParseRateError::Rate),
            ("100", ParseRateError::Rate),
            ("100/m", ParseRateError::Rate),
            ("100/day", ParseRateError::Rate),
            ("/s", ParseRateError::Rate),
            ("-1/s", ParseRateError::Rate),
            ("+1/s", ParseRateError::Rate),
            ("1.5/s", ParseRateError::Rate),
            ("1/s/s", ParseRateError::Rate),
            ("0/s", ParseRateError::Count),
            ("100001/s", ParseRateError::Count),
            ("99999999999999999999/s", ParseRateError::Count),
        ] {
            assert_eq!(Rate::parse(text, None), Err(error), "{text}");
        }
        for (text, read) in [
            ("500ms", Some(ms(500))),
            ("5s", Some(ms(5_000))),
            ("5 s", Some(ms(5_000))),
            ("2min", Some(ms(120_000))),
            ("1h", Some(ms(3_600_000))),
            ("0s", Some(ms(0))),
            ("5", None),
            ("s", None),
            ("", None),
            ("5m", None),
            ("5d", None),
            ("-5s", None),
            ("1.5s", None),
            ("99999999999999999999s", None),
            ("9999999999999999999h", None),
        ] {
            assert_eq!(parse_duration(text).ok(), read, "{text}");
        }
        assert_eq!(Rate::parse("1/s", Some("301s")), Err(ParseRateError::Wait));
        assert!(Rate::parse("1/s", Some("5min")).is_ok());
    }

    #[test]
    fn a_full_period_makes_wait_and_a_long_wait_is_refused_with_the_time_left() {
        let rate = rate("2/s", "1500ms");
        let mut window = Window::default();
        let mut take = |now| window.take(&rate, ms(now));
        assert_eq!(take(0), Ok(ms(0)));
        assert_eq!(take(100), Ok(ms(100)));
        assert_eq!(take(200), Ok(ms(1_000)), "a second after the first");
        assert_eq!(take(300), Ok(ms(1_100)), "a second after the second");
        assert_eq!(take(400), Err(ms(1_600)), "longer than one may wait");
        assert_eq!(take(500), Ok(ms(2_000)));
        assert_eq!(take(9_000), Ok(ms(9_000)), "all is forgotten by then");
    }

    #[test]
    fn a_turn_that_is_given_back_is_free_again() {
        let rate = rate("1/s", "10s");
        let mut window = Window::default();
        assert_eq!(window.take(&rate, ms(0)), Ok(ms(0)));
        assert_eq!(window.take(&rate, ms(0)), Ok(ms(1_000)));
        window.give_back(ms(1_000));
        window.give_back(ms(777));
        assert_eq!(window.take(&rate, ms(10)), Ok(ms(1_000)));
        assert_eq!(window.take(&rate, ms(10)), Ok(ms(2_000)));
        window.give_back(ms(0));
        assert_eq!(
            window.take(&rate, ms(20)),
            Ok(ms(3_000)),
            "nobody is overtaken"
        );
    }

    #[test]
    fn only_so_many_wait() {
        let rate = rate("1000/s", "5min");
        let mut window = Window::default();
        let waiting = |outcome: &Result<Duration, Duration>| outcome.is_ok_and(|at| at > ms(0));
        let outcomes: Vec<_> = (0..2_000).map(|_| window.take(&rate, ms(0))).collect();
        assert_eq!(
            outcomes.iter().filter(|it| waiting(it)).count(),
            WAITING_MAX
        );
        assert_eq!(outcomes[1_999], Err(ms(1_000)));
        assert_eq!(window.turns.len(), 1_000 + WAITING_MAX);
        assert_eq!(window.take(&rate, ms(1_000)), Ok(ms(1_000)));
    }

    proptest! {
        /// Whoever asks when, and whoever gives up: no period has more turns than the rate allows.
        #[test]
        fn no_period_has_more_turns_than_the_rate_allows(
            count in 1_u32..5,
            wait in 0_u64..5_000,
            steps in prop::collection::vec((0_u64..700, any::<bool>(), any::<prop::sample::Index>()), 1..80),
        ) {
            let rate = Rate { count, period: ms(1_000), wait: ms(wait) };
            let mut window = Window::default();
            let mut now = ms(0);
            let mut turns: Vec<Duration> = Vec::new();
            for (step, gives_up, who) in steps {
                now += ms(step);
                match window.take(&rate, now) {
                    Ok(at) => {
                        prop_assert!(at >= now && at <= now + rate.wait);
                        prop_assert!(turns.last().is_none_or(|last| *last <= at));
                        turns.push(at);
                    }
                    Err(left) => prop_assert!(left > rate.wait),
                }
                if gives_up && !turns.is_empty() {
                    let turn = turns.remove(who.index(turns.len()));
                    window.give_back(turn);
                }
            }
            for pair in turns.windows(usize::try_from(count).unwrap() + 1) {
                let (first, last) = (pair[0], pair[pair.len() - 1]);
                prop_assert!(last >= first + rate.period, "{turns:?}");
            }
        }
    }
}
