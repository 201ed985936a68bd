//! What the request path knows of a credential that ends, and how it asks for the next one.
//!
//! Every version of an access token is a [`Credential`](super::Credential) of its own, so all that is
//! asked here is whether its time is over: no lock, nothing shared. Only a request whose token is
//! dead, or was refused by the API, writes to the channel of the engine that renews tokens
//! (`broker/renew.rs`) and waits for its word. It then looks at the routes again: what it may use
//! stands there, or why it may not.

use std::sync::Arc;
use std::time::Duration;

use authsome_proto::{ConnectionName, ProviderName};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::oauth::life::Life;
use crate::sys::clock::Clock;

/// How long a request waits for a token: as long as a server may take to answer. Longer outlasts the
/// patience of most programs.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// What a program is told to wait where nobody knows better.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// Why a token is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It is over.
    Dead,
    /// It is over soon, and nobody waits.
    Due,
    /// The API answered it with 401.
    Rejected,
}

/// A question to the engine.
#[derive(Debug)]
pub struct Ask {
    /// The provider.
    pub provider: ProviderName,
    /// The connection.
    pub connection: ConnectionName,
    /// The version of the token that will not do.
    pub version: u64,
    /// What is wrong with it.
    pub why: Why,
    /// `Ok`: something has changed, look again.
    pub answer: oneshot::Sender<Result<(), NotRenewed>>,
}

/// Why there is no other token now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotRenewed {
    /// In words, printable; empty if there is nothing to say.
    pub reason: Arc<str>,
    /// When it is worth another try.
    pub retry_after: Duration,
}

impl NotRenewed {
    /// For this reason, and nobody knows until when.
    pub fn because(reason: &str) -> Self {
        Self {
            reason: reason.into(),
            retry_after: RETRY_AFTER,
        }
    }
}

/// How the engine is asked. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Engine {
    asks: mpsc::Sender<Ask>,
    clock: Clock,
}

impl Engine {
    /// One that hears on the other end of `asks` and counts lifetimes by `clock`.
    pub fn new(asks: mpsc::Sender<Ask>, clock: Clock) -> Self {
        Self { asks, clock }
    }

    /// The clock that lifetimes are counted by.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Asks for a better token than this `version` and waits for the answer.
    pub async fn ask(
        &self,
        (provider, connection): (&ProviderName, &ConnectionName),
        version: u64,
        why: Why,
    ) -> Result<(), NotRenewed> {
        let (answer, answered) = oneshot::channel();
        let ask = Ask {
            provider: provider.clone(),
            connection: connection.clone(),
            version,
            why,
            answer,
        };
        let stopped = || NotRenewed::because("the daemon is stopping");
        let asked = async {
            self.asks.send(ask).await.map_err(|_| stopped())?;
            answered.await.map_err(|_| stopped())?
        };
        timeout(WAIT_MAX, asked)
            .await
            .unwrap_or_else(|_| Err(NotRenewed::because("it takes too long")))
    }
}

/// The life of one version of a token. Immutable: the next one is another credential.
#[derive(Debug, Clone)]
pub struct Renewal {
    /// Which version.
    pub version: u64,
    /// Its life, if that is known.
    pub life: Option<Life>,
    /// Who renews it.
    pub engine: Engine,
}

impl Renewal {
    /// Whether the token must not be sent any more.
    pub fn is_dead(&self) -> bool {
        self.life
            .is_some_and(|life| life.is_dead(self.engine.clock.boot()))
    }

    /// Waits for a better token; not longer than the run lives.
    pub(super) async fn wait(
        &self,
        of: (&ProviderName, &ConnectionName),
        why: Why,
        ended: &CancellationToken,
    ) -> Result<(), NotRenewed> {
        tokio::select! {
            renewed = self.engine.ask(of, self.version, why) => renewed,
            // what is judged next says so
            () = ended.cancelled() => Ok(()),
        }
    }

    /// Asks for a better token and waits for nothing. Where the engine has more to do than it can
    /// take, the next 401 will ask again.
    pub(super) fn hint(&self, (provider, connection): (&ProviderName, &ConnectionName)) {
        let (answer, _) = oneshot::channel();
        let ask = Ask {
            provider: provider.clone(),
            connection: connection.clone(),
            version: self.version,
            why: Why::Rejected,
            answer,
        };
        drop(self.engine.asks.try_send(ask));
    }
}
