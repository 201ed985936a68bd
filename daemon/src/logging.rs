//! The daemon's own log: an event and fields per line, on standard error.
//!
//! Fields have the same name everywhere (`peer.pid`, `run`, `connection`, `host`, `error`). No
//! secret is ever a field: types that hold one print nothing.

use tracing::Level;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::{fmt, registry};

/// Starts logging. `AUTHSOME_LOG` takes a filter such as `debug` or `authsomed::proxy=trace`;
/// `info` without it. Lines below `debug` of the libraries stay out unless they are named.
pub fn start() {
    let lines = fmt::layer().with_writer(std::io::stderr).with_ansi(false);
    let wanted = filter(std::env::var("AUTHSOME_LOG").ok().as_deref());
    // a second call, as tests make, keeps the first
    drop(tracing::subscriber::set_global_default(
        registry().with(lines).with(wanted),
    ));
}

/// The filter that was asked for; the usual one where that makes no sense.
fn filter(asked: Option<&str>) -> Targets {
    asked
        .filter(|asked| !asked.trim().is_empty())
        .and_then(|asked| asked.parse().ok())
        .unwrap_or_else(|| Targets::new().with_default(Level::INFO))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_names_a_level_or_modules() {
        let of = |asked| {
            let filter = filter(asked);
            ["authsomed::proxy", "hyper"].map(|target| {
                [Level::INFO, Level::DEBUG, Level::TRACE]
                    .map(|level| filter.would_enable(target, &level))
            })
        };
        let usual = [[true, false, false]; 2];
        assert_eq!(of(None), usual);
        assert_eq!(of(Some("")), usual);
        assert_eq!(of(Some("proxy=loud")), usual);
        assert_eq!(of(Some("debug")), [[true, true, false]; 2]);
        let named = [[true; 3], [false; 3]];
        assert_eq!(of(Some("authsomed::proxy=trace")), named);
        let both = [[true; 3], [true, false, false]];
        assert_eq!(of(Some("info,authsomed::proxy=trace")), both);
    }
}
