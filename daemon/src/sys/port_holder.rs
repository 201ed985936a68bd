//! Which program listens on a port of this computer, for a message to a person.
//!
//! The kernel's tables name the socket by its inode, and the process that has it is the one with a
//! descriptor of it. Only our own user's processes let us look, so that another user's stays unnamed.
//!
//! Not here: macOS, where the same takes `libproc`; there every holder stays unnamed.

/// The program that listens on `port` of an IPv4 loopback address, or of all addresses, as
/// "`python3` (pid 1234)".
#[cfg(target_os = "linux")]
pub fn of(port: u16) -> Option<String> {
    use std::fs;

    let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
    let tables = tables.iter().filter_map(|it| fs::read_to_string(it).ok());
    let inode = tables
        .filter_map(|table| table::listener(&table, port))
        .next()?;
    let link = format!("socket:[{inode}]");
    let has_it = |pid: &u32| {
        // gone by now, or not to be looked into
        let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else {
            return false;
        };
        let mut targets = descriptors
            .flatten()
            .filter_map(|it| fs::read_link(it.path()).ok());
        targets.any(|target| target.as_os_str() == link.as_str())
    };
    let pid = super::processes::of_our_user()
        .ok()?
        .into_iter()
        .find(has_it)?;
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    // a program chooses its name
    let name = crate::errors::printable(name.trim_end_matches('\n')).replace('`', "'");
    Some(format!("`{name}` (pid {pid})"))
}

/// Nothing tells on this system.
#[cfg(not(target_os = "linux"))]
pub fn of(_: u16) -> Option<String> {
    None
}

/// `/proc/net/tcp` and `/proc/net/tcp6` (`proc_net_tcp(5)`).
#[cfg(any(target_os = "linux", test))]
mod table {
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

    /// `TCP_LISTEN`.
    const LISTENING: &str = "0A";

    /// The inode of the socket that keeps others from listening on `port` of `127.0.0.1`.
    pub(super) fn listener(table: &str, port: u16) -> Option<u64> {
        // below the heading: number, local address, remote address, state, six more, inode
        table.lines().skip(1).find_map(|line| {
            let mut columns = line.split_whitespace();
            let (address, local_port) = columns.nth(1)?.split_once(':')?;
            let is_it = u16::from_str_radix(local_port, 16).ok()? == port
                && columns.nth(1)? == LISTENING
                && is_in_the_way(parse(address)?);
            is_it.then(|| columns.nth(5)?.parse().ok()).flatten()
        })
    }

    fn is_in_the_way(address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_unspecified() || address == Ipv4Addr::LOCALHOST
    }

    /// Words of 32 bits in this machine's order, whose bytes are the address.
    fn parse(hex: &str) -> Option<IpAddr> {
        let word = |at: usize| {
            let word = u32::from_str_radix(hex.get(at..at + 8)?, 16).ok()?;
            Some(word.to_ne_bytes())
        };
        match hex.len() {
            8 => Some(Ipv4Addr::from(word(0)?).into()),
            32 => {
                let words = [word(0)?, word(8)?, word(16)?, word(24)?];
                let bytes: [u8; 16] = words.concat().try_into().ok()?;
                Some(Ipv6Addr::from(bytes).into())
            }
            _ => None,
        }
    }

    #[cfg(test)]
    #[cfg(target_endian = "little")]
    mod tests {
        use super::*;

        const V4: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F3E 0100007F:C350 01 00000000:00000000 00:00000000 00000000     0        0 11 1 0 100 0 0 10 0
   1: 0200A8C0:1F3E 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 12 1 0 100 0 0 10 0
   2: 0100007F:1F3E 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 13 1 0 100 0 0 10 0
   3: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 14 1 0 100 0 0 10 0
";
        const V6: &str = "  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000000000000000000001000000:1F3E 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 20 1 0 100 0 0 10 0
   1: 0000000000000000FFFF00000100007F:1F3E 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 21 1 0 100 0 0 10 0
   2: 00000000000000000000000000000000:0050 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 22 1 0 100 0 0 10 0
";

        #[test]
        fn what_listens_where_it_is_in_the_way_is_found() {
            // not the connection, not the one on another address
            assert_eq!(listener(V4, 7998), Some(13));
            assert_eq!(listener(V4, 80), Some(14));
            assert_eq!(listener(V4, 81), None);
            // not the one on `::1`
            assert_eq!(listener(V6, 7998), Some(21));
            assert_eq!(listener(V6, 80), Some(22));
        }

        #[test]
        fn damaged_tables_name_nobody() {
            for table in [
                "",
                "x",
                "x\n\n",
                "x\n0: 0100007F",
                "x\n0: zz:1F3E x 0A",
                "x\n0: 0100007F:1F3E x 0A",
            ] {
                assert_eq!(listener(table, 7998), None, "{table}");
            }
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn the_program_that_listens_is_named_until_it_stops() {
        for bind in ["127.0.0.1:0", "0.0.0.0:0", "[::]:0"] {
            let Ok(listener) = TcpListener::bind(bind) else {
                continue;
            };
            let port = listener.local_addr().unwrap().port();
            let holder = of(port).unwrap();
            let pid = format!("(pid {})", std::process::id());
            assert!(
                holder.starts_with('`') && holder.ends_with(&pid),
                "{bind}: {holder}"
            );
            drop(listener);
            assert_eq!(of(port), None, "{bind}");
        }
    }
}
