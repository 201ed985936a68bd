//! The logins that are waited for, each by a thread of its own.
//!
//! A login is given up at the daemon when the process that began it stops waiting. A call of a tool
//! may end, or be cancelled, long before the person is done; so each login keeps the connection that
//! it was begun on, and a thread that waits there, as long as this process lives. Calls only look at
//! what that thread has heard.
//!
//! A login of another process is only looked at: its own process decides.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use authsome_proto::{Event, LoginId, Request, ServerFrame};

use super::flight::Wanted;
use super::standing::Standing;
use super::tools::Login;
use crate::connect::Daemon;
use crate::error::Failure;

/// How often a thread looks up from its connection, and a call from its wait.
const TICK: Duration = Duration::from_millis(100);

/// Most logins that are remembered: as many as the daemon lets wait.
const REMEMBERED: usize = 32;

/// The logins that this process knows.
#[derive(Debug, Default)]
pub(super) struct Logins(Mutex<Vec<Arc<Waiting>>>);

/// A login that is waited for.
#[derive(Debug)]
pub(super) struct Waiting {
    /// What it was begun with, if we began it.
    begun_with: Option<Login>,
    standing: Mutex<Standing>,
    changed: Condvar,
}

impl Logins {
    /// Waits from now on for a login, on the connection that it was begun on.
    pub(super) fn wait_for(
        &self,
        mut daemon: Daemon,
        begun_with: Option<Login>,
        standing: Standing,
    ) -> Result<Arc<Waiting>, Failure> {
        let login = standing.login().clone();
        // before anybody hears of the login: this process may be ended at once, and then the daemon is
        // to know that nobody waits any more
        let sent = daemon.send(Request::LoginWait { login })?;
        let waiting = Arc::new(Waiting {
            begun_with,
            standing: Mutex::new(standing),
            changed: Condvar::new(),
        });
        let mut known = lock(&self.0);
        if known.len() >= REMEMBERED {
            let over = known.iter().position(|one| lock(&one.standing).is_over());
            match over {
                Some(at) => drop(known.remove(at)),
                None => {
                    return Err(Failure::failed(format!(
                        "{REMEMBERED} logins are waiting already"
                    ))
                    .hint("finish or cancel one of them first"));
                }
            }
        }
        let ours = Arc::clone(&waiting);
        std::thread::Builder::new()
            .name("login".into())
            .spawn(move || ours.follow(daemon, sent))
            .map_err(|error| Failure::failed("cannot wait for the login").because(&error))?;
        known.push(Arc::clone(&waiting));
        Ok(waiting)
    }

    /// The login of that id.
    pub(super) fn find(&self, login: &LoginId) -> Option<Arc<Waiting>> {
        let known = lock(&self.0);
        let found = known
            .iter()
            .find(|one| lock(&one.standing).login() == login);
        found.cloned()
    }

    /// One that still waits for the same: a model that asks twice is shown the same page again.
    pub(super) fn like(&self, login: &Login) -> Option<Arc<Waiting>> {
        let known = lock(&self.0);
        let same = known
            .iter()
            .find(|one| one.begun_with.as_ref() == Some(login) && !lock(&one.standing).is_over());
        same.cloned()
    }
}

impl Waiting {
    /// Where it stands.
    pub(super) fn standing(&self) -> Standing {
        lock(&self.standing).clone()
    }

    /// Waits until it is over, or there is news of it, or `patience` is; tells where it stands about
    /// every second.
    pub(super) fn look(
        &self,
        patience: Duration,
        wanted: &Wanted,
        mut tell: impl FnMut(&Standing, Duration),
    ) -> Standing {
        let begun = Instant::now();
        let mut told = None;
        let mut standing = lock(&self.standing);
        let news = standing.news;
        loop {
            let so_far = begun.elapsed();
            let over = standing.is_over() || standing.news != news;
            if over || so_far >= patience || wanted.is_over() {
                return standing.clone();
            }
            if told != Some(so_far.as_secs()) {
                told = Some(so_far.as_secs());
                let now = standing.clone();
                drop(standing);
                tell(&now, so_far);
                standing = lock(&self.standing);
            }
            let pause = TICK.min(patience.saturating_sub(so_far));
            (standing, _) = self
                .changed
                .wait_timeout(standing, pause)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Listens to the daemon until the login is over.
    fn follow(&self, mut daemon: Daemon, sent: u32) {
        let end = follow(&mut daemon, sent, &mut |stage| {
            lock(&self.standing).hear(stage);
            self.changed.notify_all();
        });
        lock(&self.standing).end(end);
        self.changed.notify_all();
    }
}

fn follow(
    daemon: &mut Daemon,
    sent: u32,
    hear: &mut dyn FnMut(authsome_proto::LoginStage),
) -> Result<authsome_proto::Response, Failure> {
    loop {
        match daemon.next(TICK)? {
            Some(ServerFrame::Answer { id, result }) if id == sent => {
                return result.map_err(Failure::from);
            }
            Some(ServerFrame::Event {
                id,
                event: Event::LoginProgress { stage, .. },
            }) if id == sent => hear(stage),
            Some(_) | None => {}
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
