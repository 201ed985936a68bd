//! Ports for the proxy: free, on loopback, and below the range of outgoing connections.
//!
//! A port from inside `ip_local_port_range` can be lost to anybody's outgoing connection while
//! the daemon restarts; one from below stays free and can be bound again at once.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::ops::Range;

/// Below this, ports are known services or need privileges.
const LOWEST: u16 = 10_240;

/// Where the range of outgoing connections begins when the kernel does not say (its default).
const EPHEMERAL: u16 = 32_768;

/// How often a port is drawn before we give up. With half the range taken, 64 draws fail once in
/// 10^19.
const DRAWS: usize = 64;

/// Binds a free port.
pub fn bind_free() -> io::Result<TcpListener> {
    let range = range();
    let mut last = io::Error::from(io::ErrorKind::AddrInUse);
    for _ in 0..DRAWS {
        match bind(draw(&range)?) {
            Ok(listener) => return Ok(listener),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Binds `port` on loopback. The standard library sets `SO_REUSEADDR`, so a port with old
/// connections in their last state binds at once.
pub fn bind(port: u16) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn range() -> Range<u16> {
    let lowest_ephemeral = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range")
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

fn draw(range: &Range<u16>) -> io::Result<u16> {
    let mut bytes = [0; 4];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    let span = u32::from(range.end - range.start);
    let offset = u16::try_from(u32::from_ne_bytes(bytes) % span).unwrap_or(0);
    Ok(range.start + offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_free_below_the_outgoing_range_and_binds_again_at_once() {
        let listener = bind_free().unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(range().contains(&port));
        assert!(bind(port).is_err(), "taken while held");
        drop(listener);
        bind(port).unwrap();
    }
}
