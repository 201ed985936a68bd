//! The login page: a form on the loopback interface that takes one key for one login.
//!
//! 1. [`Pages::offer`] makes a one-time address, `http://127.0.0.1:7998/login/TOKEN`, and starts the
//!    server if it does not run ([`server`]).
//! 2. The browser gets the form ([`page`]), the person pastes the key, the form comes back and is
//!    judged ([`form`]). A key that does not look right is answered with the hint, and the address
//!    stays good.
//! 3. A key that does is sent to whoever offered the form, whose answer the page shows. Once it is
//!    stored the address is dead. The server ends with the last waiting login.
//!
//! Invariants:
//! - P1 Nothing is answered to a request whose `Host` is not the literal address (threat O1).
//! - P2 A form is taken only from its own page: one-time path, one-time field, own `Origin` (O2).
//! - P3 The key is never in an address, a page, a log or an error, and is wiped where it passed.
//! - P4 No port is open while no login waits.
//!
//! Not here: the hidden prompt of the terminal, which is the client's; the OAuth callback.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use authsome_proto::response::LoginAsks;
use authsome_proto::{ConnectionName, LoginId, ProviderName, Secret};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::sync::{mpsc, oneshot};

mod form;
mod page;
mod server;

use crate::oauth::callback::Callback;
use crate::oauth::pkce;

use form::Waiting;
use server::Running;

/// How long an address works. Longer ones keep a port open that nobody needs; shorter ones would
/// not let a person make an account and a key first.
pub const WAIT_MAX: Duration = Duration::from_secs(600);

/// Whether a text can be a key of the provider.
pub type KeyPattern = Arc<dyn Fn(&str) -> bool + Send + Sync>;

/// What a form asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// A key that goes out with requests.
    ApiKey,
    /// A secret by which webhooks are verified.
    SigningSecret {
        /// The local program that gets those that are good.
        forward: String,
    },
    /// An OAuth client, which a person makes at the provider.
    Client {
        /// What to enter there as redirect URI, to be copied; some flows have none.
        redirect_uri: Option<String>,
        /// Its id, if only the secret is asked for.
        id: Option<String>,
        /// Whether it must have a secret.
        secret_needed: bool,
    },
    /// The JSON key file of a service account.
    ServiceAccount,
    /// Cookies of a website where the person is logged in.
    Cookies {
        /// Where to log in.
        entry_url: String,
        /// Their names, one field each.
        names: Vec<String>,
        /// How many of them, from the first, may not be empty.
        needed: usize,
    },
}

impl Asked {
    /// The same as clients are told.
    pub fn as_wire(&self) -> LoginAsks {
        match self.clone() {
            Self::ApiKey => LoginAsks::ApiKey,
            Self::SigningSecret { .. } => LoginAsks::SigningSecret,
            Self::Client {
                redirect_uri,
                id,
                secret_needed,
            } => LoginAsks::Client {
                redirect_uri,
                id,
                secret_needed,
            },
            Self::ServiceAccount => LoginAsks::ServiceAccount,
            Self::Cookies {
                entry_url,
                names,
                needed,
            } => LoginAsks::Cookies {
                entry_url,
                names,
                needed: u32::try_from(needed).unwrap_or(u32::MAX),
            },
        }
    }
}

/// What came in for a login.
#[derive(Debug)]
pub enum Submission {
    /// A key, a signing secret, a service account's file.
    Secret(Secret),
    /// An OAuth client.
    Client {
        /// Its id.
        id: String,
        /// Its secret, if it has one.
        secret: Option<Secret>,
    },
    /// Cookies by name; those that were left empty are not in it.
    Cookies(Vec<(String, Secret)>),
    /// What the authorization server sent the browser back with: never one that is foreign.
    Callback(Callback),
}

/// What the browser shows after a submission that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown {
    /// That the login is done.
    Done,
    /// A page that leads on to this address of the authorization server.
    GoOn {
        /// The address.
        url: String,
    },
}

/// An answer that is waited for at the redirect address.
#[derive(Debug)]
pub struct Awaited {
    /// Which provider's address ([`Pages::redirect_uri`]).
    pub provider: ProviderName,
    /// What makes it ours.
    pub state: pkce::State,
    /// The server's name, where it is known.
    pub issuer: Option<String>,
    /// Whether the server names itself in every answer.
    pub issuer_is_named: bool,
}

/// Which port a login's pages need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Port {
    /// The configured one, or a free one where that is taken.
    Any,
    /// The configured one: it stands in a redirect address that is registered at a provider.
    Configured,
}

/// What the form shows and checks.
#[derive(Clone)]
pub struct LoginForm {
    /// What it asks for.
    pub asked: Asked,
    /// The provider's or the scheme's name for people.
    pub display_name: String,
    /// The connection that the login makes, or the name of the webhook.
    pub connection: ConnectionName,
    /// The variable in which programs will find the placeholder.
    pub variable: Option<String>,
    /// The hosts that the key will be sent to.
    pub hosts: Vec<String>,
    /// Where to get a key; only `https` ones are shown.
    pub key_urls: Vec<String>,
    /// What a key looks like, in words.
    pub hint: Option<String>,
    /// What a key looks like.
    pub pattern: Option<KeyPattern>,
    /// Whether a key is there already and gets replaced.
    pub rotate: bool,
}

impl fmt::Debug for LoginForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoginForm")
            .field("asked", &self.asked)
            .field("connection", &self.connection)
            .field("rotate", &self.rotate)
            .finish_non_exhaustive()
    }
}

/// Something that came in, for whoever offered the form or waits for a callback.
#[derive(Debug)]
pub struct Submitted {
    /// What it is.
    pub submission: Submission,
    /// To be told what became of it; an `Err` is shown on the page, and a form stays open.
    pub answer: oneshot::Sender<Result<Shown, String>>,
}

/// An address that waits for a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offered {
    /// The address to open. It is a secret of this login: whoever has it can submit a key.
    pub url: String,
    /// The configured port, if another program has it and the form moved to a free one.
    pub moved_from: Option<u16>,
}

/// Why there is no form.
#[derive(Debug, thiserror::Error)]
pub enum OfferError {
    /// No port of the loopback interface could be had.
    #[error("cannot open the login page on 127.0.0.1, port {port}")]
    Listen {
        /// The port.
        port: u16,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The configured port is another program's, and nothing but it will do.
    #[error("port {port} of 127.0.0.1 is taken{}", .holder.as_ref().map_or_else(String::new, |holder| format!(" by {holder}")))]
    Taken {
        /// The port.
        port: u16,
        /// The program that has it, where the system tells: name and process id.
        holder: Option<String>,
    },
    /// The kernel gave no random bytes.
    #[error("cannot make an unguessable address: {0}")]
    Random(getrandom::Error),
}

/// The login page; cheap to clone.
#[derive(Debug, Clone)]
pub struct Pages(Arc<Shared>);

/// What the server and its users share.
#[derive(Debug)]
struct Shared {
    /// The configured port.
    port: u16,
    /// Never held across an await.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<Waiting>,
    /// The server, while it runs. It runs if and only if something waits.
    running: Option<Running>,
}

impl Pages {
    /// Pages on `port` of the loopback interface, or on a free one when that is taken.
    pub fn new(port: u16) -> Self {
        Self(Arc::new(Shared {
            port,
            state: Mutex::default(),
        }))
    }

    /// Opens a form and returns its address; keys go to `sink`, and when `sink` closes or
    /// [`WAIT_MAX`] is over, so is the form. `sink`'s other end sees the end of the form as the end
    /// of its channel.
    #[expect(
        clippy::unused_async,
        reason = "must run inside the runtime, and callers may not block"
    )]
    pub async fn offer(
        &self,
        id: LoginId,
        form: LoginForm,
        _port: Port,
        sink: mpsc::Sender<Submitted>,
    ) -> Result<Offered, OfferError> {
        let waiting = Waiting {
            id,
            form: Arc::new(form),
            path: random_token()?,
            field: random_token()?,
            sink,
            deadline: Instant::now() + WAIT_MAX,
            is_storing: false,
        };
        let mut state = self.0.lock();
        let running = match &state.running {
            Some(running) => running.clone(),
            None => server::start(&self.0).map_err(|source| OfferError::Listen {
                port: self.0.port,
                source,
            })?,
        };
        let url = format!(
            "{}{}{}",
            running.own.origin,
            form::PATH_PREFIX,
            waiting.path
        );
        let moved_from = (running.port != self.0.port).then_some(self.0.port);
        state.running = Some(running);
        state.waiting.push(waiting);
        Ok(Offered { url, moved_from })
    }

    /// Waits for the answer of an authorization server on behalf of `id`, instead of the form that it
    /// may have shown so far; `form` gives the words of the pages. Only on the configured port.
    #[expect(
        clippy::unused_async,
        reason = "must run inside the runtime, and callers may not block"
    )]
    pub async fn await_callback(
        &self,
        id: LoginId,
        form: LoginForm,
        awaited: Awaited,
        sink: mpsc::Sender<Submitted>,
    ) -> Result<(), OfferError> {
        drop((id, form, awaited, sink));
        todo!()
    }

    /// Where the authorization server of `provider` sends the browser back to: an address of its
    /// own for each provider, so that one server's answer never stands in for another's (threat O4),
    /// and always the same, because people register it.
    pub fn redirect_uri(&self, provider: &ProviderName) -> String {
        format!("http://127.0.0.1:{}/callback/{provider}", self.0.port)
    }

    /// Ends the form of `id`; nothing happens when it is over already.
    pub fn withdraw(&self, id: &LoginId) {
        self.0.lock().end(|waiting| waiting.id == *id);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // a panic while it was held leaves whole entries, never half of one
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Ends the forms that `is_over` says, and the server with the last of them.
    fn end(&mut self, is_over: impl Fn(&Waiting) -> bool) {
        self.waiting.retain(|waiting| !is_over(waiting));
        if self.waiting.is_empty()
            && let Some(running) = self.running.take()
        {
            running.stop.cancel();
        }
    }
}

/// 256 random bits in characters that need no escaping in an address.
fn random_token() -> Result<Box<str>, OfferError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(OfferError::Random)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes).into())
}

#[cfg(test)]
mod tests;
