//! Requests that wait for their turn.
//!
//! A request that falls under several limits takes a turn at each, one after the other: those of
//! its run first, those that other runs share last, so that waiting for its own limit never keeps
//! a place in the queue of others. If one refuses it, or its program goes away while it waits, the
//! turns it has are given back.
//!
//! The lock of a limit is held for arithmetic only, never across an await.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use authsome_proto::{ConnectionName, ProviderName};
use tokio::time::Instant;

use super::file::Tables;
use super::rate::{Rate, Window};

/// One limit with the turns it has given.
#[derive(Debug)]
pub struct Limiter {
    rate: Rate,
    /// Times count from here.
    begun: Instant,
    window: Mutex<Window>,
}

/// A limit has no turn within the bound on waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full {
    /// How long until it had one.
    pub retry_after: Duration,
}

/// Turns that a request holds; given back on drop unless [used](Turns::used).
#[derive(Debug)]
#[must_use = "turns that are dropped are given back"]
pub struct Turns {
    held: Vec<(Arc<Limiter>, Duration)>,
    waited: bool,
}

impl Limiter {
    /// A limit that has given no turn yet.
    pub fn new(rate: Rate) -> Self {
        Self {
            rate,
            begun: Instant::now(),
            window: Mutex::default(),
        }
    }

    /// How many requests wait for their turn.
    pub fn waiting(&self) -> usize {
        self.window().waiting(self.begun.elapsed())
    }

    fn window(&self) -> MutexGuard<'_, Window> {
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes a turn at each of `limits`, waiting for each as long as it allows.
pub async fn wait_for_turns(limits: &[Arc<Limiter>]) -> Result<Turns, Full> {
    let mut turns = Turns {
        held: Vec::with_capacity(limits.len()),
        waited: false,
    };
    for limiter in limits {
        let now = limiter.begun.elapsed();
        let taken = limiter.window().take(&limiter.rate, now);
        let at = taken.map_err(|retry_after| Full { retry_after })?;
        turns.held.push((Arc::clone(limiter), at));
        if at > now {
            turns.waited = true;
            tokio::time::sleep_until(limiter.begun + at).await;
        }
    }
    Ok(turns)
}

impl Turns {
    /// Whether any of them was not to be had at once.
    pub fn waited(&self) -> bool {
        self.waited
    }

    /// Says that the request is sent: the turns are gone.
    pub fn used(mut self) {
        self.held.clear();
    }
}

impl Drop for Turns {
    fn drop(&mut self) {
        for (limiter, at) in self.held.drain(..) {
            limiter.window().give_back(at);
        }
    }
}

/// The limits of one file, kept as long as their rates stay as they are.
#[derive(Debug, Default)]
pub struct Limits(Mutex<HashMap<Key, Arc<Limiter>>>);

/// Which table, and which connection under it: each connection is counted by itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    provider: ProviderName,
    connection: ConnectionName,
    /// Whether the table is for every connection of the provider.
    every: bool,
}

impl Limits {
    /// The limits that `tables` put on a connection. A limit whose rate is another one than when
    /// it was last asked for begins anew.
    pub fn of(
        &self,
        tables: &Tables,
        provider: &ProviderName,
        connection: &ConnectionName,
    ) -> Vec<Arc<Limiter>> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tables
            .applying(provider, connection)
            .filter_map(|table| {
                let rate = table.rate?;
                let key = Key {
                    provider: provider.clone(),
                    connection: connection.clone(),
                    every: table.connection.is_none(),
                };
                let limiter = known
                    .entry(key)
                    .and_modify(|limiter| {
                        if limiter.rate != rate {
                            *limiter = Arc::new(Limiter::new(rate));
                        }
                    })
                    .or_insert_with(|| Arc::new(Limiter::new(rate)));
                Some(Arc::clone(limiter))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limiter(rate: &str, wait: &str) -> Arc<Limiter> {
        Arc::new(Limiter::new(Rate::parse(rate, Some(wait)).unwrap()))
    }

    async fn pass(limits: &[Arc<Limiter>]) -> Result<bool, Full> {
        let turns = wait_for_turns(limits).await?;
        let waited = turns.waited();
        turns.used();
        Ok(waited)
    }

    #[tokio::test(start_paused = true)]
    async fn requests_wait_for_their_turn_and_no_longer_than_they_may() {
        let limits = [limiter("2/s", "1s")];
        let begun = Instant::now();
        assert_eq!(pass(&limits).await, Ok(false));
        assert_eq!(pass(&limits).await, Ok(false));
        assert_eq!(pass(&limits).await, Ok(true));
        assert_eq!(begun.elapsed().as_secs(), 1);
        let limits = [limiter("1/min", "10s")];
        assert_eq!(pass(&limits).await, Ok(false));
        tokio::time::advance(Duration::from_secs(20)).await;
        let refused = pass(&limits).await.unwrap_err();
        assert_eq!(refused.retry_after.as_secs(), 40);
        tokio::time::advance(Duration::from_secs(30)).await;
        assert_eq!(pass(&limits).await, Ok(true));
    }

    #[tokio::test(start_paused = true)]
    async fn who_goes_away_while_waiting_gives_the_turn_back() {
        let limits = [limiter("1/min", "5min")];
        assert_eq!(pass(&limits).await, Ok(false));
        let begun = Instant::now();
        {
            let waiting = wait_for_turns(&limits);
            let gave_up = tokio::time::timeout(Duration::from_secs(1), waiting).await;
            assert!(gave_up.is_err());
        }
        assert_eq!(pass(&limits).await, Ok(true));
        assert_eq!(begun.elapsed().as_secs(), 60, "not two minutes");
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_at_one_limit_gives_back_the_turns_of_the_others() {
        let (wide, narrow) = (limiter("2/min", "0s"), limiter("1/min", "0s"));
        let both = [Arc::clone(&wide), narrow];
        assert_eq!(pass(&both).await, Ok(false));
        for _ in 0..5 {
            assert!(pass(&both).await.is_err());
        }
        assert_eq!(pass(&[Arc::clone(&wide)]).await, Ok(false), "one is left");
        assert!(pass(&[wide]).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_at_ones_own_limit_holds_up_nobody_at_a_shared_one() {
        let shared = limiter("1/s", "1s");
        let own = limiter("1/min", "2min");
        let mine = [Arc::clone(&own), Arc::clone(&shared)];
        assert_eq!(pass(&mine).await, Ok(false));
        let waiting = tokio::spawn(async move { pass(&mine).await });
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(pass(&[shared]).await, Ok(false));
        assert_eq!(waiting.await.unwrap(), Ok(true));
    }

    #[test]
    fn limits_are_kept_while_the_rate_is_the_same_and_each_connection_has_its_own() {
        let tables = |text: &str| Tables::read(text, "config.toml").unwrap();
        let limits = Limits::default();
        let of = |tables: &Tables, connection: &str| {
            limits.of(
                tables,
                &"intercom".parse().unwrap(),
                &connection.parse().unwrap(),
            )
        };
        let first = tables(
            "[connections.intercom]\nrate = \"5/s\"\n[connections.\"intercom/team\"]\nrate = \"1/s\"\n[connections.other]\nrate = \"1/s\"",
        );
        let team = of(&first, "team");
        assert_eq!(team.len(), 2);
        let default = of(&first, "default");
        assert_eq!(default.len(), 1);
        assert!(!team.iter().any(|it| Arc::ptr_eq(it, &default[0])));
        let renamed = tables(
            "[connections.intercom]\nallow = [\"GET\"]\nrate = \"5/s\"\n[connections.\"intercom/team\"]\nrate = \"2/s\"",
        );
        let again = of(&renamed, "team");
        let same = |at: usize| team.iter().any(|it| Arc::ptr_eq(it, &again[at]));
        assert_eq!(
            again.iter().map(|it| it.rate.count).collect::<Vec<_>>(),
            [2, 5],
            "the one connection's own comes first"
        );
        assert!(!same(0) && same(1));
        assert!(of(&tables(""), "team").is_empty());
    }
}
