//! Which addresses are never dialled, whatever name led to them.
//!
//! Invariants (threat D12): metadata services of clouds, never, for they hand out the machine's
//! identity to whoever asks; our own ports, never, tunnels included, for a request would come
//! round again. The address that was checked is the one that is dialled.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

/// Metadata services: AWS, Azure, Google and most others; AWS containers; Alibaba.
const METADATA_V4: [Ipv4Addr; 4] = [
    Ipv4Addr::new(169, 254, 169, 254),
    Ipv4Addr::new(169, 254, 170, 2),
    Ipv4Addr::new(169, 254, 170, 23),
    Ipv4Addr::new(100, 100, 100, 200),
];
/// The same over IPv6: AWS, AWS containers, Google.
const METADATA_V6: [Ipv6Addr; 3] = [
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23),
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
];

/// The loopback ports this daemon listens on. Cheap to clone; all clones are one set.
#[derive(Debug, Clone, Default)]
pub struct OwnPorts {
    /// Guards the set; asked once per outgoing connection, never held across an await.
    ports: Arc<Mutex<BTreeSet<u16>>>,
}

impl OwnPorts {
    /// Adds a port that is ours from now on.
    pub fn insert(&self, port: u16) {
        self.ports
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(port);
    }

    /// Removes a port that is ours no more.
    pub fn remove(&self, port: u16) {
        self.ports
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&port);
    }

    fn contains(&self, port: u16) -> bool {
        self.ports
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(&port)
    }
}

/// Why an address is not dialled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum AddressError {
    /// It is a port of this daemon.
    #[error("it is a port of authsome itself")]
    Loop,
    /// It belongs to a metadata service.
    #[error("it is a cloud's metadata service")]
    Metadata,
}

/// Whether `address` may be dialled.
pub(super) fn check(address: SocketAddr, own: &OwnPorts) -> Result<(), AddressError> {
    let ip = plain(address.ip());
    let metadata = match ip {
        IpAddr::V4(ip) => METADATA_V4.contains(&ip),
        IpAddr::V6(ip) => METADATA_V6.contains(&ip),
    };
    if metadata {
        return Err(AddressError::Metadata);
    }
    // the kernel takes the unspecified address for loopback
    if (ip.is_loopback() || ip.is_unspecified()) && own.contains(address.port()) {
        return Err(AddressError::Loop);
    }
    Ok(())
}

/// The IPv4 address inside a mapped (`::ffff:0:0/96`) or translated (RFC 6052, `64:ff9b::/96`) one.
fn plain(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V6(v6) => match v6.segments() {
            [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
                let [a, b] = high.to_be_bytes();
                let [c, d] = low.to_be_bytes();
                IpAddr::V4(Ipv4Addr::new(a, b, c, d))
            }
            _ => ip.to_canonical(),
        },
        IpAddr::V4(_) => ip,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Threat D12.
    #[test]
    fn metadata_services_and_our_own_ports_are_refused_in_every_spelling() {
        let own = OwnPorts::default();
        own.insert(4100);
        for (address, expected) in [
            ("169.254.169.254:80", Err(AddressError::Metadata)),
            ("[::ffff:169.254.169.254]:80", Err(AddressError::Metadata)),
            ("[64:ff9b::a9fe:a9fe]:80", Err(AddressError::Metadata)),
            ("[fd00:ec2::254]:80", Err(AddressError::Metadata)),
            ("100.100.100.200:443", Err(AddressError::Metadata)),
            ("127.0.0.1:4100", Err(AddressError::Loop)),
            ("127.9.9.9:4100", Err(AddressError::Loop)),
            ("[::1]:4100", Err(AddressError::Loop)),
            ("0.0.0.0:4100", Err(AddressError::Loop)),
            ("[::ffff:127.0.0.1]:4100", Err(AddressError::Loop)),
            ("127.0.0.1:4101", Ok(())),
            ("93.184.216.34:4100", Ok(())),
            ("169.254.1.1:80", Ok(())),
        ] {
            assert_eq!(check(address.parse().unwrap(), &own), expected, "{address}");
        }
        own.remove(4100);
        assert_eq!(check("127.0.0.1:4100".parse().unwrap(), &own), Ok(()));
    }
}
