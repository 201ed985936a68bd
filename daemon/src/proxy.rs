//! The proxy: takes a run's connections, decides each request, fills the slot, forwards.
//!
//! 1. `accept` takes a connection, asks for the run's token before anything else and reads the
//!    `CONNECT` or absolute-form request.
//! 2. `connect` chooses: intercept (a host with a route), tunnel untouched, or refuse.
//! 3. `tls` shows the child a certificate of the run's own CA (`ca`, `leaf`).
//! 4. `forward` judges every request, empties and fills the slot ([`inject`]), tells the audit
//!    log (`trail`) and streams request and answer through `upstream`.
//!
//! Invariants:
//! - P1 Nothing happens for a caller without a living run's token (on a run's own port: without
//!   the kernel's word that the caller is ours). Threats L1, L1b.
//! - P2 A credential leaves only on a connection whose certificate was verified for the name that
//!   was decided on, after the audit log took the record. Threats D1, D2.
//! - P3 Bodies are streamed both ways, never collected.
//! - P4 What is shared by requests is a snapshot: the request path takes no lock of ours and calls
//!   nobody back. One exception, over a channel: a request whose access token is over, or was
//!   refused, asks for the next one and waits for it (`renewal`). Those whose token is good never do.
//!
//! Not here: which route applies (`routing`), where credentials come from (`vault`).

mod accept;
mod address;
mod body;
mod ca;
mod connect;
mod der;
mod dial;
mod forward;
pub mod inject;
mod leaf;
mod link;
pub mod renewal;
mod respond;
pub mod roots;
mod tls;
mod token;
mod trail;
mod tunnel;
mod upstream;
mod watch;
mod websocket;
mod wire;

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use arc_swap::ArcSwap;
use authsome_proto::{ConnectionName, ProviderName, RunId};
use tokio_util::sync::CancellationToken;

use crate::audit::Audit;
use crate::config::PlaceholderInBody;
use crate::policy::Limiter;
use crate::routing::{Filled, RefuseCode, RouteTable};
use crate::sys::locked::LockedBytes;

pub use accept::{serve, serve_direct};
pub use address::{OwnPorts, Reach};
pub use authsome_proto::request::Unmatched;
pub use ca::{CaError, RunCa};
pub use renewal::{Ask, Engine, NotRenewed, Renewal, Why};
pub use respond::refusal_words;
pub use roots::{LoadRootsError, TrustedRoots};
pub(crate) use upstream::connect_http1;
pub use upstream::{SettingsError, Upstream, UpstreamProxy, UpstreamSettings};

/// One stored credential in one version, ready for the wire. Shared by all runs that carry it.
pub struct Credential {
    /// What goes into the slot.
    pub filled: Filled,
    /// Connections that have carried this credential and none other (threat H10).
    pub upstream: Upstream,
    /// The provider, for the audit log.
    pub provider: ProviderName,
    /// The connection, for the audit log.
    pub connection: ConnectionName,
    /// When it was last put on the wire, in seconds since 1970; 0 if not since it was last asked.
    pub used: AtomicI64,
    /// When it ends, and who renews it; nothing of what lasts until a person replaces it.
    pub renewal: Option<Renewal>,
}

impl Credential {
    /// Whether it must not be sent any more.
    fn is_dead(&self) -> bool {
        self.renewal.as_ref().is_some_and(Renewal::is_dead)
    }

    fn names(&self) -> (&ProviderName, &ConnectionName) {
        (&self.provider, &self.connection)
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential")
            .field("provider", &self.provider)
            .field("connection", &self.connection)
            .finish_non_exhaustive()
    }
}

/// How often a credential may be used: a request takes a turn of each.
pub type Limits = Arc<[Arc<Limiter>]>;

/// What stands behind a route at this moment.
#[derive(Debug, Clone)]
pub enum RouteCredential {
    /// The definition gained this host after the credential was stored; nobody confirmed it (L12).
    HostUnconfirmed,
    /// The connection is gone, expired or was never made.
    LoginNeeded,
    /// The connection is limited to another region than this host's.
    OtherRegion,
    /// The credential is here, and how often it may be used.
    Ready(Arc<Credential>, Limits),
    /// The vault is locked, so the credential could not be read.
    VaultLocked,
}

impl RouteCredential {
    /// The credential with its limits, or why a request for it is refused.
    pub fn ready(&self) -> Result<(&Arc<Credential>, &Limits), RefuseCode> {
        match self {
            Self::HostUnconfirmed => Err(RefuseCode::HostUnconfirmed),
            Self::LoginNeeded => Err(RefuseCode::LoginNeeded),
            Self::OtherRegion => Err(RefuseCode::OtherRegion),
            Self::Ready(credential, limits) => Ok((credential, limits)),
            Self::VaultLocked => Err(RefuseCode::VaultLocked),
        }
    }
}

/// A living run as the proxy sees it.
pub struct RunView {
    /// The run, as in the user part of its proxy URL.
    pub id: RunId,
    /// Its token, as in the password part.
    pub token: LockedBytes,
    /// Its routes; swapped as a whole when a connection or a definition changes.
    pub table: ArcSwap<RouteTable<RouteCredential>>,
    /// Its certificate authority.
    pub ca: RunCa,
    /// What happens to hosts without a route.
    pub unmatched: Unmatched,
    /// The run's process.
    pub pid: u32,
    /// The run's program.
    pub program: Arc<str>,
    /// Cancelled when the run is over: its token is dead and its connections are closed.
    pub ended: CancellationToken,
    /// When it is over at the latest.
    pub deadline: Option<SystemTime>,
    /// Connections for requests that carry no credential.
    pub plain: Upstream,
    /// The clock that certificates are made by.
    pub clock: fn() -> SystemTime,
    /// Requests that got a credential.
    pub injected: AtomicU64,
    /// Requests refused.
    pub refused: AtomicU64,
}

impl RunView {
    /// Whether the run is over. The clock says so, too: a machine that slept wakes up with timers
    /// that are late, and a dead token must not open anything until they come.
    pub fn is_over(&self) -> bool {
        self.ended.is_cancelled()
            || self
                .deadline
                .is_some_and(|deadline| (self.clock)() >= deadline)
    }
}

impl fmt::Debug for RunView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunView")
            .field("id", &self.id)
            .field("pid", &self.pid)
            .finish_non_exhaustive()
    }
}

/// What all connections of the proxy share.
#[derive(Default)]
pub struct ProxyState {
    /// The living runs.
    pub runs: ArcSwap<HashMap<RunId, Arc<RunView>>>,
    /// The audit log. Its key comes from the vault, so it may be set after the port is open;
    /// until then no credential leaves.
    pub audit: OnceLock<Audit>,
    /// Whether bodies are left unread: `[proxy] placeholder_in_body = "pass"`.
    passes_bodies: AtomicBool,
    /// Number of the last request that was forwarded, for the audit log.
    requests: AtomicU64,
}

impl ProxyState {
    /// What happens from now on to bodies with a placeholder in them.
    pub fn set_placeholder_in_body(&self, how: PlaceholderInBody) {
        let passes = how == PlaceholderInBody::Pass;
        self.passes_bodies.store(passes, Ordering::Relaxed);
    }

    fn next_request(&self) -> u64 {
        self.requests.fetch_add(1, Ordering::Relaxed)
    }
}

impl fmt::Debug for ProxyState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProxyState")
            .field("runs", &self.runs.load().len())
            .finish_non_exhaustive()
    }
}
