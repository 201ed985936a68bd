//! The daemon's own log: an event and fields per line, on standard error.
//!
//! Fields have the same name everywhere (`peer.pid`, `run`, `connection`, `host`, `error`). No
//! secret is ever a field: types that hold one print nothing.

use tracing_subscriber::EnvFilter;

/// Starts logging. `AUTHSOME_LOG` takes a filter such as `debug` or `authsomed::proxy=trace`;
/// `info` without it. Lines below `debug` of the libraries stay out unless they are named.
pub fn start() {
    let filter = EnvFilter::try_from_env("AUTHSOME_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .finish();
    // a second call, as tests make, keeps the first
    drop(tracing::subscriber::set_global_default(subscriber));
}

/// An error with its causes on one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}
