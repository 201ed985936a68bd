//! One connection of a child to one host, and what all its requests share.
//!
//! What can be made once per connection is made here, so that a request only clones handles.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use http::HeaderValue;
use http::uri::{Authority as UriAuthority, Scheme};

use super::{ProxyState, RunView};
use crate::routing::Authority;

/// A child's connection to `dialled`.
pub(super) struct Link {
    pub(super) state: Arc<ProxyState>,
    pub(super) run: Arc<RunView>,
    /// The authority of the `CONNECT`, or of the absolute-form request.
    pub(super) dialled: Authority,
    /// The name in the child's TLS hello.
    pub(super) sni: Option<Box<str>>,
    /// Whether what the child asks for is `https`.
    pub(super) scheme: Scheme,
    /// `dialled` as the upstream's URI names it: without the scheme's own port.
    pub(super) authority: UriAuthority,
    /// The same as a `Host` header.
    pub(super) host_header: HeaderValue,
    /// `dialled` as the audit log names it.
    pub(super) host_text: Arc<str>,
    activity: Activity,
}

#[derive(Default)]
struct Activity {
    begun: AtomicU64,
    open: AtomicUsize,
}

impl Link {
    /// A link to `dialled`, or `None` if an HTTP library cannot write that name.
    pub(super) fn new(
        state: Arc<ProxyState>,
        run: Arc<RunView>,
        dialled: Authority,
        sni: Option<Box<str>>,
        scheme: Scheme,
    ) -> Option<Self> {
        let own_port = if scheme == Scheme::HTTPS { 443 } else { 80 };
        let with_port = dialled.to_string();
        let text = if dialled.port == own_port {
            with_port
                .rsplit_once(':')
                .map_or(with_port.as_str(), |(host, _)| host)
        } else {
            with_port.as_str()
        };
        let authority: UriAuthority = text.parse().ok()?;
        let host_header = HeaderValue::from_str(text).ok()?;
        let host_text = text.into();
        let activity = Activity::default();
        Some(Self {
            state,
            run,
            dialled,
            sni,
            scheme,
            authority,
            host_header,
            host_text,
            activity,
        })
    }

    /// Counts a request in until the guard is dropped.
    pub(super) fn enter(self: &Arc<Self>) -> Busy {
        self.activity.begun.fetch_add(1, Ordering::Relaxed);
        self.activity.open.fetch_add(1, Ordering::Relaxed);
        Busy(Arc::clone(self))
    }

    /// Whether no request is under way now.
    pub(super) fn is_quiet(&self) -> bool {
        self.activity.open.load(Ordering::Relaxed) == 0
    }

    /// Number of requests so far.
    pub(super) fn begun(&self) -> u64 {
        self.activity.begun.load(Ordering::Relaxed)
    }
}

/// A request under way on a link: from its head to the end of its answer's body.
pub(super) struct Busy(pub(super) Arc<Link>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.activity.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("dialled", &self.host_text)
            .finish_non_exhaustive()
    }
}
