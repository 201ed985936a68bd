//! Which addresses are never dialled, whatever name led to them.
//!
//! Invariants (threat D12): metadata services of clouds, never, for they hand out the machine's
//! identity to whoever asks; our own ports, never, tunnels included, for a request would come
//! round again. A host of a bundled definition is a server on the internet: where its name leads
//! into a private network, somebody has answered for it, and nothing is sent. The address that was
//! checked is the one that is dialled.

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
    /// It is in a private network, and the host is one of the internet.
    #[error(
        "it is in a private network; if that is right, name it under `[upstream.resolve]` in \
         config.toml"
    )]
    Private,
}

/// Which addresses a host may lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Also private ones: hosts that the user has named, and hosts without a credential.
    Anywhere,
    /// Those of the internet only.
    Public,
}

/// Whether `address` may be dialled.
pub(super) fn check(address: SocketAddr, reach: Reach, own: &OwnPorts) -> Result<(), AddressError> {
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
    if reach == Reach::Public && is_private(ip) {
        return Err(AddressError::Private);
    }
    Ok(())
}

/// Whether no server of the internet has this address (RFC 6890 and the IANA registries it began).
///
/// `198.18.0.0/15` is not among them: resolvers of VPN clients answer with it for every name.
fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, c, _] = ip.octets();
            ip.is_loopback()
                || ip.is_private()
                || ip.is_link_local()
                || ip.is_multicast()
                || a == 0
                || (a == 100 && (64..128).contains(&b))
                || (a, b, c) == (192, 0, 0)
                || a >= 240
        }
        IpAddr::V6(ip) => {
            ip.is_loopback()
                || ip.is_unspecified()
                || ip.is_multicast()
                || ip.is_unique_local()
                || ip.is_unicast_link_local()
                // translated for one network only (RFC 8215), and site-local (RFC 3879)
                || matches!(ip.segments(), [0x64, 0xff9b, 1, ..] | [0xfec0..=0xfeff, ..])
        }
    }
}

/// The IPv4 address inside a mapped (`::ffff:0:0/96`), translated (RFC 6052, `64:ff9b::/96`) or
/// 6to4 (RFC 3056, `2002::/16`) one.
fn plain(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V6(v6) => match v6.segments() {
            [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => {
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
            let check = check(address.parse().unwrap(), Reach::Anywhere, &own);
            assert_eq!(check, expected, "{address}");
        }
        own.remove(4100);
        let address = "127.0.0.1:4100".parse().unwrap();
        assert_eq!(check(address, Reach::Anywhere, &own), Ok(()));
    }

    /// Threat D12.
    #[test]
    fn a_host_of_the_internet_leads_to_no_private_address() {
        let own = OwnPorts::default();
        for private in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.255",
            "169.254.1.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.168.1.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "[::]",
            "[::1]",
            "[fc00::1]",
            "[fd12:3456::1]",
            "[fe80::1]",
            "[ff02::1]",
            "[::ffff:10.0.0.1]",
            "[::ffff:127.0.0.1]",
            "[64:ff9b::c0a8:101]",
            "[64:ff9b:1::c0a8:101]",
            "[fec0::1]",
            "[feff::1]",
            "[2002:c0a8:101::1]",
        ] {
            let address: SocketAddr = format!("{private}:443").parse().unwrap();
            let public = check(address, Reach::Public, &own);
            assert_eq!(public, Err(AddressError::Private), "{private}");
            assert_eq!(check(address, Reach::Anywhere, &own), Ok(()), "{private}");
        }
        for public in [
            "1.1.1.1",
            "100.63.255.255",
            "100.128.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "192.169.0.1",
            "198.18.0.1",
            "223.255.255.255",
            "[2606:4700::1111]",
            "[::ffff:1.1.1.1]",
            "[64:ff9b::101:101]",
            "[64:ff9b:2::101:101]",
        ] {
            let address: SocketAddr = format!("{public}:443").parse().unwrap();
            assert_eq!(check(address, Reach::Public, &own), Ok(()), "{public}");
        }
    }
}
