//! The login page: forms on the loopback interface, each of which takes the secrets of one login, and
//! the address to which authorization servers send the browser back.
//!
//! 1. [`Pages::offer`] makes a one-time address, `http://127.0.0.1:7998/login/TOKEN`, and starts the
//!    server if it does not run ([`server`]).
//! 2. The browser gets the form ([`page`]), the person pastes what it asks for, the form comes back
//!    and is judged ([`form`], [`fields`]). What does not look right is answered with the reason, and
//!    the address stays good.
//! 3. What does is sent to whoever offered the form, whose answer the page shows. Once it is stored
//!    the address is dead.
//! 4. [`Pages::await_callback`] waits for an authorization server's answer, at
//!    `http://127.0.0.1:7998/callback/PROVIDER` ([`callback`]). What is for no waiting login changes
//!    nothing. What is for one takes it out, is handed on, and the browser is led to a one-time
//!    page that shows what became of it ([`results`]).
//! 5. The server ends with the last waiting login, and with the last result that was shown.
//!
//! Invariants:
//! - P1 Nothing is answered to a request whose `Host` is not the literal address (threat O1).
//! - P2 A form is taken only from its own page: one-time path, one-time field, own `Origin` (O2).
//! - P3 A secret is never in an address of ours, a page, a log or an error, and is wiped where it
//!   passed. The code in a callback's address is the server's doing: it is never logged, and gone
//!   from the browser's address bar before anything is shown (O10).
//! - P4 No port is open while no login waits: ten seconds longer at most, for a result.
//! - P5 A callback counts once, for the login whose state it bears, whatever came before it (O3).
//!
//! Not here: the hidden prompt of the terminal, which is the client's; what an answer is worth
//! (`oauth/callback.rs`).

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use authsome_proto::response::LoginAsks;
use authsome_proto::{ConnectionName, LoginId, ProviderName, Secret};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::sync::{mpsc, oneshot};

mod callback;
mod fields;
mod form;
mod page;
mod results;
mod server;
mod waiting;

use crate::oauth::callback::Callback;
use crate::oauth::pkce;
use crate::sys::port_holder;

use server::Running;
use waiting::{Shared, Stage, Waiting};

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
    /// A page that leads on to this address of the authorization server. The form is over; what comes
    /// back from there is waited for only if [`Pages::await_callback`] was called before.
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
    pub async fn offer(
        &self,
        id: LoginId,
        form: LoginForm,
        port: Port,
        sink: mpsc::Sender<Submitted>,
    ) -> Result<Offered, OfferError> {
        let path = random_token()?;
        let stage = Stage::Form {
            path: path.clone(),
            field: random_token()?,
            is_storing: false,
        };
        let running = self
            .enter(Waiting::new(id, form, stage, sink), port)
            .await?;
        let url = format!("{}{}{path}", running.own.origin, form::PATH_PREFIX);
        let moved_from = (running.port != self.0.port).then_some(self.0.port);
        Ok(Offered { url, moved_from })
    }

    /// Waits for the answer of an authorization server on behalf of `id`, instead of the form that it
    /// may have shown so far; `form` gives the words of the pages. Only on the configured port.
    ///
    /// `sink` gets one [`Submission::Callback`] at most and is closed behind it. A second call waits
    /// anew, for another state.
    pub async fn await_callback(
        &self,
        id: LoginId,
        form: LoginForm,
        awaited: Awaited,
        sink: mpsc::Sender<Submitted>,
    ) -> Result<(), OfferError> {
        let waiting = Waiting::new(id, form, Stage::Callback(awaited), sink);
        self.enter(waiting, Port::Configured).await.map(drop)
    }

    /// Where the authorization server of `provider` sends the browser back to: an address of its
    /// own for each provider, so that one server's answer never stands in for another's (threat O4),
    /// and always the same, because people register it.
    pub fn redirect_uri(&self, provider: &ProviderName) -> String {
        format!(
            "{}{}",
            form::Own::new(self.0.port).origin,
            callback::path_of(provider)
        )
    }

    /// Ends the form of `id`, or its waiting; nothing happens when it is over already. What became of
    /// a callback that came in is shown all the same.
    pub fn withdraw(&self, id: &LoginId) {
        let now = Instant::now();
        self.0.lock().end(now, |waiting| waiting.id == *id);
    }

    /// Lets a login wait, and returns the server that it waits at.
    async fn enter(&self, waiting: Waiting, port: Port) -> Result<Running, OfferError> {
        let error = loop {
            let closing = {
                let mut state = self.0.lock();
                match state.closing() {
                    Some(closing) => closing,
                    None => match server::running(&self.0, &mut state, port) {
                        Ok(running) => {
                            state.put(waiting);
                            return Ok(running);
                        }
                        Err(error) => break error,
                    },
                }
            };
            // a server of ours that ended just now may hold the port for a moment still
            closing.cancelled().await;
        };
        Err(match error {
            OfferError::Taken { port, .. } => {
                let holder = tokio::task::spawn_blocking(move || port_holder::of(port)).await;
                let holder = holder.ok().flatten();
                OfferError::Taken { port, holder }
            }
            other => other,
        })
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
