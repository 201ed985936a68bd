//! How long a run lives. Pure.
//!
//! A run ends with its first process, or, if it keeps, with the last process that was started in
//! it; and at a point in time, if its start named one. A run inside a run never outlasts it.
//!
//! Times are of the wall clock in whole seconds: they are stored, and a restart of the daemon or of
//! the machine must not give a run more time. They are rounded up, so that a run of one second is
//! not over at once.
//!
//! Not here: waiting for the end, which is `broker/life.rs`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use authsome_proto::request::RunLife;
use serde::{Deserialize, Serialize};

/// Longest life that can be asked for, in seconds: that of the run's certificates, a year.
pub const LIFE_MAX: u64 = 365 * 24 * 60 * 60;

/// When a run ends by itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Life {
    /// It is over at this second since 1970 at the latest.
    #[serde(default)]
    pub expires_at: Option<u64>,
    /// It outlives its first process.
    #[serde(default)]
    pub keeps: bool,
}

/// What a run got of the life it asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// Its life.
    pub life: Life,
    /// Where that is less than what was asked for, one sentence each.
    pub warnings: Vec<String>,
}

/// Why a run cannot have the life it asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a run can be told to end after 1 to {LIFE_MAX} seconds, not after {0}")]
pub struct LifeError(u64);

impl Life {
    /// The life of a run that begins `now` inside of a run that lives as `outer` says.
    pub fn of(asked: RunLife, now: SystemTime, outer: Option<Self>) -> Result<Given, LifeError> {
        let (seconds, keeps) = match asked {
            RunLife::Process => (None, false),
            RunLife::ProcessAtMost(seconds) => (Some(seconds), false),
            RunLife::TreeAtMost(seconds) => (Some(seconds), true),
        };
        if let Some(seconds) = seconds.filter(|seconds| !(1..=LIFE_MAX).contains(seconds)) {
            return Err(LifeError(seconds));
        }
        let own = seconds.map(|seconds| ceil_seconds(now).saturating_add(seconds));
        let around = outer.and_then(|outer| outer.expires_at);
        let mut warnings = Vec::new();
        if let (Some(own), Some(around)) = (own, around)
            && own > around
        {
            let left = around.saturating_sub(floor_seconds(now));
            warnings.push(format!(
                "the run around this one has {left} s left; this one ends with it, before the time \
                 it asked for"
            ));
        }
        if keeps && outer.is_some_and(|outer| !outer.keeps) {
            warnings.push(
                "the run around this one ends with its first process, and this one with it: \
                 `--keep` keeps it no longer than that"
                    .into(),
            );
        }
        Ok(Given {
            life: Self {
                // the least of what there is
                expires_at: own.into_iter().chain(around).min(),
                keeps,
            },
            warnings,
        })
    }

    /// When the run is over at the latest.
    pub fn deadline(&self) -> Option<SystemTime> {
        UNIX_EPOCH.checked_add(Duration::from_secs(self.expires_at?))
    }

    /// Whether its time is up.
    pub fn is_over(&self, now: SystemTime) -> bool {
        self.deadline().is_some_and(|deadline| now >= deadline)
    }
}

/// A time before 1970 counts as 1970.
fn since_1970(time: SystemTime) -> Duration {
    time.duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn floor_seconds(time: SystemTime) -> u64 {
    since_1970(time).as_secs()
}

fn ceil_seconds(time: SystemTime) -> u64 {
    let since = since_1970(time);
    since.as_secs() + u64::from(since.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(millis)
    }

    fn life(expires_at: Option<u64>, keeps: bool) -> Life {
        Life { expires_at, keeps }
    }

    #[test]
    fn a_run_is_over_at_its_second_and_not_before() {
        let given = Life::of(RunLife::ProcessAtMost(2), at(10_001), None).unwrap();
        assert_eq!(given.life, life(Some(13), false));
        assert_eq!(given.warnings, [""; 0]);
        for (millis, over) in [(10_001, false), (12_999, false), (13_000, true)] {
            assert_eq!(given.life.is_over(at(millis)), over, "{millis}");
        }
        let forever = Life::of(RunLife::Process, at(0), None).unwrap().life;
        assert_eq!(forever, Life::default());
        assert!(!forever.is_over(at(u64::MAX / 2)));
    }

    #[test]
    fn a_life_is_a_second_to_a_year() {
        for seconds in [0, LIFE_MAX + 1, u64::MAX] {
            for asked in [
                RunLife::ProcessAtMost(seconds),
                RunLife::TreeAtMost(seconds),
            ] {
                assert_eq!(Life::of(asked, at(0), None), Err(LifeError(seconds)));
            }
        }
        for seconds in [1, LIFE_MAX] {
            let given = Life::of(RunLife::TreeAtMost(seconds), at(5000), None).unwrap();
            assert_eq!(given.life, life(Some(5 + seconds), true));
        }
    }

    #[test]
    fn a_run_inside_a_run_never_outlasts_it() {
        let outer = Some(life(Some(100), true));
        // asked, what it gets, how often it is told that it got less
        for (asked, expected, warnings) in [
            (RunLife::Process, life(Some(100), false), 0),
            (RunLife::ProcessAtMost(90), life(Some(100), false), 0),
            (RunLife::ProcessAtMost(20), life(Some(30), false), 0),
            (RunLife::ProcessAtMost(91), life(Some(100), false), 1),
            (RunLife::TreeAtMost(20), life(Some(30), true), 0),
            (RunLife::TreeAtMost(1000), life(Some(100), true), 1),
        ] {
            let given = Life::of(asked, at(10_000), outer).unwrap();
            assert_eq!(given.life, expected, "{asked:?}");
            assert_eq!(given.warnings.len(), warnings, "{asked:?}");
        }
        let given = Life::of(RunLife::ProcessAtMost(91), at(10_000), outer).unwrap();
        assert!(given.warnings[0].contains("has 90 s left"), "{given:?}");
        // what ends with its first process takes with it what was to be kept
        let given = Life::of(RunLife::TreeAtMost(9), at(0), Some(Life::default())).unwrap();
        assert_eq!(given.life, life(Some(9), true));
        assert_eq!(given.warnings.len(), 1);
        // an outer run that is over already gives nothing
        let given = Life::of(RunLife::Process, at(200_000), outer).unwrap();
        assert!(given.life.is_over(at(200_000)));
    }
}
