//! One renewal of one connection, from the vault to the vault.
//!
//! 1. The item is read. If it is not the one that the token in memory is from, somebody else has
//!    replaced it, and there is nothing to do.
//! 2. The server is connected to. Only then the item is marked: a renewal is about to be sent. Only
//!    after that the refresh token leaves (threat O7). So the time in which a crash leaves a doubt is
//!    that of one answer.
//! 3. The answer is stored before anybody uses it; until it is, storing is tried again, and the token
//!    that is there goes on. Then the connection's record and the routes of living runs follow.
//! 4. A failure whose end is known takes the mark away. One whose answer was lost leaves it.
//!
//! After a lost answer the same refresh token is sent once more at once: servers that replace refresh
//! tokens take the old one for some seconds, for this very case. Later it is sent only when the
//! access token is over and there is nothing to lose ([`Line`](super::line::Line)); and by another
//! daemon, which cannot know how long ago that was, not at all, unless the server is known to keep it.
//!
//! A server that once replaced a refresh token is taken for one that does from then on.
//!
//! Not here: when a flight begins and who waits for it (`line`, `state`).

mod item;
mod landing;

use authsome_proto::Event;
use tokio::sync::watch;

use super::super::Broker;
use super::super::credentials::{Key, Loaded, Token};
use super::{Stage, remembered};
use crate::broker::upstream::reach_of;
use crate::connections::{ConnectionRecord, ConnectionState};
use crate::oauth::http::{HttpError, Servers};
use crate::oauth::jwt::ServiceAccount;
use crate::oauth::life::{self, Chance};
use crate::oauth::{Client, Grant, Outgoing, TokenError, Tokens, revoke, token};
use crate::proxy::{NotRenewed, Reach, Why};
use crate::sys::clock::Boot;
use crate::vault::{ItemKey, Renewal, StoredGrant, StoredItem, VaultError};
use item::{is_same, renewed};
pub(super) use landing::{Failure, Landing};
use landing::{code_of, failure_of, is_of_a_gateway};

/// Why only a person can help.
enum Hopeless {
    /// Known since before.
    Known,
    /// There is nothing to renew it with.
    NothingToSend,
    /// A daemon that is gone sent the refresh token, and its answer with it.
    AnswerLost,
    /// The server says so, or the key file does.
    Refused(Failure),
}

/// One flight.
pub(super) struct Flight<'a> {
    pub(super) broker: &'a Broker,
    pub(super) key: &'a Key,
    pub(super) loaded: &'a Loaded,
    pub(super) token: &'a Token,
    pub(super) why: Why,
    /// The last mark of this daemon's.
    pub(super) own: Option<i64>,
    pub(super) stage: &'a watch::Sender<Stage>,
}

/// What came of sending.
enum Sent {
    Tokens(Tokens, Asked),
    /// The server will not.
    Refused(TokenError),
    /// The request left, and no answer came.
    Lost(Failure),
    Failed(Failure),
}

/// When a token was asked for, which is when its life begins.
#[derive(Clone, Copy)]
struct Asked {
    boot: Boot,
    wall: i64,
}

impl Flight<'_> {
    pub(super) async fn fly(&self) -> Landing {
        self.try_to_land().await.unwrap_or_else(|landing| landing)
    }

    async fn try_to_land(&self) -> Result<Landing, Landing> {
        let item = self.first_look().await?;
        let Some(grant) = &item.grant else {
            return Err(Landing::Look);
        };
        let record = self.record().ok_or(Landing::Look)?;
        if record.state == ConnectionState::NeedsLogin {
            return self.give_up(&item, Hopeless::Known).await;
        }
        let spends = matches!(grant.renewal, Renewal::RefreshToken(_));
        if spends && life::is_spent(grant.renewing_since, self.own, grant.rotates) {
            return self.give_up(&item, Hopeless::AnswerLost).await;
        }
        let reach = self.reach(&record, &grant.token_url);
        let servers = self.servers().await?;
        // an answer was lost: whatever comes then, the refresh token may have been replaced
        let mut was_lost = false;
        loop {
            let request = match self.request(grant) {
                Ok(Some(request)) => request,
                Ok(None) => return self.give_up(&item, Hopeless::NothingToSend).await,
                Err(failure) => return self.give_up(&item, Hopeless::Refused(failure)).await,
            };
            match self.send(&servers, reach, &item, grant, request).await? {
                Sent::Tokens(tokens, asked) => {
                    return self.keep(&item, tokens, asked, &servers, reach).await;
                }
                Sent::Refused(error) if error.is_final() => {
                    let refused = Failure::new(code_of(&error), error.to_string());
                    return self.give_up(&item, Hopeless::Refused(refused)).await;
                }
                Sent::Refused(error) => {
                    let mut failure = Failure::new(code_of(&error), error.to_string());
                    failure.is_unknown = was_lost || is_of_a_gateway(&error);
                    if let TokenError::Unavailable { retry_after, .. } = error {
                        failure.retry_after = retry_after;
                    }
                    if !failure.is_unknown {
                        self.unmark(&item).await;
                    }
                    return Err(Landing::Failed(failure));
                }
                Sent::Lost(failure) => {
                    if was_lost || self.broker.shutdown.is_cancelled() {
                        return Err(Landing::Failed(failure));
                    }
                    was_lost = true;
                }
                Sent::Failed(mut failure) => {
                    failure.is_unknown |= was_lost;
                    if !failure.is_unknown {
                        self.unmark(&item).await;
                    }
                    return Err(Landing::Failed(failure));
                }
            }
        }
    }

    /// Connects, marks the item, sends, reads.
    async fn send(
        &self,
        servers: &Servers,
        reach: Reach,
        item: &StoredItem,
        grant: &StoredGrant,
        request: Outgoing,
    ) -> Result<Sent, Landing> {
        let connected = match servers.connect(&grant.token_url, reach).await {
            Ok(connected) => connected,
            Err(error) => return Ok(Sent::Failed(failure_of(&error))),
        };
        if matches!(grant.renewal, Renewal::RefreshToken(_)) {
            self.mark(item).await?;
        }
        let clock = self.broker.renewals.clock();
        let asked = Asked {
            boot: clock.boot(),
            wall: clock.wall(),
        };
        let answer = match connected.send(request).await {
            Ok(answer) => answer,
            Err(error @ HttpError::Lost { .. }) => return Ok(Sent::Lost(failure_of(&error))),
            Err(error) => return Ok(Sent::Failed(failure_of(&error))),
        };
        Ok(match token::read(&answer) {
            Ok(tokens) => Sent::Tokens(tokens, asked),
            // it may have said yes in words that we do not know
            Err(error @ TokenError::Malformed(_)) if answer.status.is_success() => {
                Sent::Failed(Failure {
                    is_unknown: true,
                    ..Failure::new(code_of(&error), error.to_string())
                })
            }
            Err(error) => Sent::Refused(error),
        })
    }

    /// What is sent; nothing, if there is nothing to renew it with.
    fn request(&self, grant: &StoredGrant) -> Result<Option<Outgoing>, Failure> {
        let client = grant.client.clone().map(Client::from);
        let resource = grant.resource.as_deref();
        let scopes = grant.scopes.as_slice();
        Ok(Some(match &grant.renewal {
            Renewal::None => return Ok(None),
            Renewal::RefreshToken(token) => {
                token::request(&Grant::Refresh { token }, client.as_ref(), resource)
            }
            Renewal::ClientCredentials => {
                let asked = Grant::ClientCredentials { scopes };
                token::request(&asked, client.as_ref(), resource)
            }
            Renewal::ServiceAccount(file) => {
                let unusable = |reason: String| Failure::new("bad_key_file", reason);
                let wall = u64::try_from(self.broker.renewals.clock().wall()).unwrap_or(0);
                let assertion = ServiceAccount::read(file.clone())
                    .and_then(|account| account.assertion(scopes, wall))
                    .map_err(|error| unusable(error.to_string()))?;
                let asked = Grant::Assertion {
                    assertion: &assertion,
                };
                token::request(&asked, client.as_ref(), resource)
            }
        }))
    }

    /// Stores what came, for as long as it takes, and then publishes it (RN2).
    async fn keep(
        &self,
        basis: &StoredItem,
        tokens: Tokens,
        asked: Asked,
        servers: &Servers,
        reach: Reach,
    ) -> Result<Landing, Landing> {
        let mut failures = 0;
        loop {
            let last_try = self.broker.shutdown.is_cancelled();
            let error = match self.store(basis, &tokens, asked).await {
                Ok(()) => return Ok(Landing::Renewed),
                Err(Unstored::Gone) => {
                    self.give_back(basis, &tokens, servers, reach).await;
                    return Err(Landing::Look);
                }
                Err(Unstored::Replaced) => return Err(Landing::Look),
                Err(Unstored::Vault(error)) => error,
            };
            failures += 1;
            let reason = format!("the new token cannot be stored: {error}");
            if last_try {
                return Err(Landing::failed("not_stored", reason));
            }
            if failures == 1 {
                let (provider, connection) = self.key;
                tracing::warn!(%provider, %connection, %reason, "renewed, and not usable yet");
            }
            let pause = life::pause(failures, None, Chance::random());
            self.stage.send_replace(Stage::Stuck(NotRenewed {
                reason: reason.into(),
                retry_after: pause,
            }));
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.broker.shutdown.cancelled() => {}
            }
        }
    }

    /// Stores and publishes what came, unless the connection is another one by now (RN3).
    async fn store(
        &self,
        basis: &StoredItem,
        tokens: &Tokens,
        asked: Asked,
    ) -> Result<(), Unstored> {
        let _changing = self.broker.changing.lock().await;
        let current = match self.still(basis).await {
            Ok(Some(current)) => current,
            Ok(None) => return Err(Unstored::Gone),
            Err(Unstill::Replaced) => return Err(Unstored::Replaced),
            Err(Unstill::Vault(error)) => return Err(Unstored::Vault(error)),
        };
        let item = renewed(current, tokens, asked.wall);
        let stored = self.broker.vault.put(&self.item_key(), item.clone()).await;
        stored.map_err(Unstored::Vault)?;
        self.publish(item, asked.boot).await;
        Ok(())
    }

    /// Puts a stored token in the place of the old one, everywhere. Under `changing`.
    async fn publish(&self, item: StoredItem, asked: Boot) {
        let (provider, connection) = self.key;
        let known = item.grant.as_ref().map(remembered);
        self.broker.credentials.renewed(self.key, item, asked);
        self.record_change(|record| {
            record.state = ConnectionState::Connected;
            record.grant = known;
        });
        self.broker.refresh_runs().await;
        self.broker.tell(Event::ConnectionChanged {
            provider: provider.clone(),
            connection: connection.clone(),
        });
    }

    /// Nobody but a person can help (RN4). The token that is there is used until it is over.
    async fn give_up(&self, basis: &StoredItem, why: Hopeless) -> Result<Landing, Landing> {
        let (provider, connection) = self.key;
        let _changing = self.broker.changing.lock().await;
        let current = match self.still(basis).await {
            Ok(Some(current)) => current,
            // somebody has logged in anew, or out
            Ok(None) | Err(Unstill::Replaced) => return Err(Landing::Look),
            Err(Unstill::Vault(error)) => return Err(Landing::vault("read the vault", &error)),
        };
        let is_dead = self.token.is_dead(self.broker.renewals.clock().boot());
        let (failure, needs_login) = match why {
            Hopeless::Known => (None, true),
            Hopeless::NothingToSend => (
                Failure::new(
                    "expired",
                    "its token is over, and there is none to renew it with",
                )
                .into(),
                is_dead,
            ),
            Hopeless::AnswerLost => (
                Failure::new(
                    "answer_lost",
                    "the daemon was ended while it waited for the answer to a renewal; the old \
                     refresh token may be spent, and sending it again could end the whole login",
                )
                .into(),
                is_dead,
            ),
            Hopeless::Refused(failure) => {
                if self.why == Why::Rejected {
                    // neither the API nor the server wants it any more
                    self.token.condemn();
                }
                self.unmark_item(current).await;
                (failure.into(), true)
            }
        };
        if failure.is_some() {
            self.record_change(|record| {
                if needs_login {
                    record.state = ConnectionState::NeedsLogin;
                }
                if let Some(grant) = &mut record.grant {
                    grant.renews = false;
                }
            });
        }
        self.broker.refresh_runs().await;
        if failure.is_some() {
            self.broker.tell(Event::ConnectionChanged {
                provider: provider.clone(),
                connection: connection.clone(),
            });
        }
        Ok(Landing::GaveUp(failure))
    }

    /// The item that the token in memory is from.
    async fn first_look(&self) -> Result<StoredItem, Landing> {
        let read = || async {
            let item = self.broker.vault.get(&self.item_key()).await;
            let item = item.map_err(|error| Landing::vault("read the vault", &error))?;
            Ok(item.filter(|item| self.loaded.is_of(&item.secret)))
        };
        if let Some(item) = read().await? {
            return Ok(item);
        }
        // a login or a logout is about to publish the routes, or its doing so was cut short
        let _changing = self.broker.changing.lock().await;
        if let Some(item) = read().await? {
            return Ok(item);
        }
        let is_old = |loaded: std::sync::Arc<Loaded>| loaded.version == self.loaded.version;
        if self.broker.credentials.get(self.key).is_some_and(is_old) {
            self.broker.credentials.forget(&self.key.0, &self.key.1);
            self.broker.refresh_runs().await;
        }
        Err(Landing::Look)
    }

    /// The item as it is now, if it is still `basis`; `None` if it is gone. Under `changing` (RN3).
    async fn still(&self, basis: &StoredItem) -> Result<Option<StoredItem>, Unstill> {
        let found = self.broker.vault.get(&self.item_key()).await;
        let Some(current) = found.map_err(Unstill::Vault)? else {
            return Ok(None);
        };
        if is_same(basis, &current) {
            Ok(Some(current))
        } else {
            Err(Unstill::Replaced)
        }
    }

    /// Marks the item: its refresh token is about to be sent.
    async fn mark(&self, basis: &StoredItem) -> Result<(), Landing> {
        let _changing = self.broker.changing.lock().await;
        let mut item = match self.still(basis).await {
            Ok(Some(item)) => item,
            Ok(None) | Err(Unstill::Replaced) => return Err(Landing::Look),
            Err(Unstill::Vault(error)) => return Err(Landing::vault("read the vault", &error)),
        };
        let since = self.broker.renewals.clock().wall();
        // before: a call that takes too long may be carried out all the same
        self.broker
            .renewals
            .lines()
            .entry(self.key.clone())
            .or_default()
            .notes(since);
        if let Some(grant) = &mut item.grant {
            grant.renewing_since = Some(since);
        }
        let stored = self.broker.vault.put(&self.item_key(), item).await;
        stored.map_err(|error| Landing::vault("write to the vault", &error))
    }

    /// Takes the mark away, because the end of what was sent is known.
    async fn unmark(&self, basis: &StoredItem) {
        let _changing = self.broker.changing.lock().await;
        if let Ok(Some(current)) = self.still(basis).await {
            self.unmark_item(current).await;
        }
    }

    /// The same of an item that was read. Under `changing`.
    async fn unmark_item(&self, mut item: StoredItem) {
        let Some(grant) = item.grant.as_mut() else {
            return;
        };
        if grant.renewing_since.take().is_none() {
            return;
        }
        if let Err(error) = self.broker.vault.put(&self.item_key(), item).await {
            // as long as this daemon lives it knows better
            let (provider, connection) = self.key;
            tracing::warn!(%provider, %connection, %error, "the mark of a renewal stays");
        }
    }

    /// Gives tokens back that came for a connection which a person has removed in the meantime.
    async fn give_back(
        &self,
        basis: &StoredItem,
        tokens: &Tokens,
        servers: &Servers,
        reach: Reach,
    ) {
        let (Some(grant), Some(refresh)) = (&basis.grant, &tokens.refresh) else {
            return;
        };
        let Some(url) = &grant.revocation_url else {
            return;
        };
        let client = grant.client.clone().map(Client::from);
        let request = revoke::request(refresh, revoke::Hint::Refresh, client.as_ref());
        let (provider, connection) = self.key;
        let told = match servers.send(url, reach, request).await {
            Ok(answer) => revoke::read(&answer),
            Err(error) => Err(error.to_string()),
        };
        if let Err(reason) = told {
            tracing::warn!(%provider, %connection, %reason, "tokens were not given back");
        }
    }

    fn record_change(&self, change: impl FnOnce(&mut ConnectionRecord)) {
        let (provider, connection) = self.key;
        if let Err(error) = self.broker.connections.update(provider, connection, change) {
            tracing::warn!(%provider, %connection, %error, "its record was not changed");
        }
    }

    fn record(&self) -> Option<ConnectionRecord> {
        self.broker.connections.find(&self.key.0, &self.key.1)
    }

    fn item_key(&self) -> ItemKey {
        ItemKey::Connection {
            provider: self.key.0.clone(),
            connection: self.key.1.clone(),
        }
    }

    async fn servers(&self) -> Result<Servers, Landing> {
        let settings = self.broker.upstream().await;
        settings
            .map(super::super::upstream::Settings::servers)
            .map_err(|error| Landing::failed("settings", error.message))
    }

    /// How far the server's name may lead.
    fn reach(&self, record: &ConnectionRecord, url: &str) -> Reach {
        let catalogue = self.broker.catalogue.load();
        let entry = catalogue.find(self.key.0.as_str());
        reach_of(entry, record.base_url.as_deref(), url)
    }
}

/// Why it is not known that an item is what it was.
enum Unstill {
    Replaced,
    Vault(VaultError),
}

/// Why tokens were not stored.
enum Unstored {
    /// The connection is gone.
    Gone,
    Replaced,
    Vault(VaultError),
}
