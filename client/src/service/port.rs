//! The proxy's port of a service: chosen once, then kept.
//!
//! From below the range of outgoing connections, as the daemon chooses: a port inside it can be
//! anybody's while nobody listens.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;

/// Below this, ports are known services or need privileges.
const LOWEST: u16 = 10_240;

/// Where the range of outgoing connections begins when the kernel does not say (its default).
const EPHEMERAL: u16 = 32_768;

/// How often a port is drawn before we give up. With half the range taken, 64 draws fail once in
/// 10^19.
const DRAWS: usize = 64;

/// What there is to choose from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Known {
    /// The port of the daemon that runs.
    pub(crate) daemon: Option<u16>,
    /// Whether living runs were told that port.
    pub(crate) has_runs: bool,
    /// The port in the service's files.
    pub(crate) installed: Option<u16>,
    /// Whether the manager listens on that one.
    pub(crate) listens: bool,
}

/// The port to install; `is_free` says whether nobody listens on one, `draw` makes one up.
pub(crate) fn choose(
    known: Known,
    is_free: impl Fn(u16) -> bool,
    mut draw: impl FnMut() -> u16,
) -> Option<u16> {
    if known.has_runs && known.daemon.is_some() {
        // they know no other
        return known.daemon;
    }
    let kept = known
        .installed
        .filter(|port| known.listens || known.daemon == Some(*port) || is_free(*port));
    kept.or(known.daemon)
        .or_else(|| (0..DRAWS).map(|_| draw()).find(|port| is_free(*port)))
}

/// Whether nobody listens on `port` of 127.0.0.1.
pub(crate) fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// A port from below the range of outgoing connections.
pub(crate) fn draw() -> u16 {
    let range = range();
    let span = u64::from(range.end - range.start);
    // the keys of the standard library's hash tables are random
    let random = RandomState::new().build_hasher().finish();
    range.start + u16::try_from(random % span).unwrap_or(0)
}

fn range() -> Range<u16> {
    let lowest_ephemeral = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range")
        .ok()
        .and_then(|text| text.split_ascii_whitespace().next()?.parse().ok())
        .unwrap_or(EPHEMERAL);
    // a machine that was told to use nearly all ports for outgoing connections leaves no room
    if lowest_ephemeral > LOWEST + 1024 {
        LOWEST..lowest_ephemeral
    } else {
        LOWEST..EPHEMERAL
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Known = Known {
        daemon: None,
        has_runs: false,
        installed: None,
        listens: false,
    };

    #[test]
    fn living_runs_keep_their_port_whatever_is_installed() {
        let known = Known {
            daemon: Some(1),
            has_runs: true,
            installed: Some(2),
            listens: true,
        };
        assert_eq!(choose(known, |_| false, || 9), Some(1));
    }

    #[test]
    fn an_installed_port_stays_unless_it_is_anothers() {
        let installed = Known {
            installed: Some(2),
            ..NONE
        };
        assert_eq!(choose(installed, |_| true, || 9), Some(2));
        assert_eq!(choose(installed, |port| port == 9, || 9), Some(9));
        // taken, but by the manager itself or by the daemon that is about to be stopped
        let listens = Known {
            listens: true,
            ..installed
        };
        assert_eq!(choose(listens, |_| false, || 9), Some(2));
        let held = Known {
            daemon: Some(2),
            ..installed
        };
        assert_eq!(choose(held, |_| false, || 9), Some(2));
    }

    #[test]
    fn the_running_daemons_port_is_next_and_then_a_free_one() {
        let running = Known {
            daemon: Some(1),
            ..NONE
        };
        assert_eq!(choose(running, |_| false, || 9), Some(1));
        let mut draws = 10..;
        let chosen = choose(NONE, |port| port == 13, || draws.next().unwrap());
        assert_eq!(chosen, Some(13));
        assert_eq!(choose(NONE, |_| false, || 9), None);
    }

    #[test]
    fn a_drawn_port_is_below_the_range_of_outgoing_connections() {
        let drawn: Vec<u16> = (0..100).map(|_| draw()).collect();
        assert!(drawn.iter().all(|port| range().contains(port)), "{drawn:?}");
        assert!(drawn.iter().any(|port| port != &drawn[0]), "{drawn:?}");
        let held = TcpListener::bind("127.0.0.1:0").unwrap();
        assert!(!is_free(held.local_addr().unwrap().port()));
    }
}
