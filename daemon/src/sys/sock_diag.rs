//! Whose socket is at the other end of a loopback connection: the kernel's word.
//!
//! One `NETLINK_SOCK_DIAG` request (`sock_diag(7)`) for the exact pair of addresses; it takes about
//! 2 µs however many connections there are. Safe code only: the messages are built and read as
//! bytes.
//!
//! Not here: macOS, which has no such question; there a run's own port stays closed.

use std::io;
use std::net::SocketAddr;

/// The user who owns the socket at `peer`, which is connected to ours at `local`; `None` if there
/// is no such socket any more.
#[cfg(target_os = "linux")]
pub fn owner_of(local: SocketAddr, peer: SocketAddr) -> io::Result<Option<u32>> {
    use std::os::fd::AsRawFd;

    use nix::sys::socket::{
        AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, setsockopt, socket,
        sockopt,
    };
    use nix::sys::time::TimeVal;

    // the kernel answers at once; the limit only keeps a surprise from hanging a thread
    const ANSWER_TIMEOUT: TimeVal = TimeVal::new(1, 0);

    let socket = socket(
        AddressFamily::Netlink,
        SockType::Datagram,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkSockDiag,
    )?;
    setsockopt(&socket, sockopt::ReceiveTimeout, &ANSWER_TIMEOUT)?;
    send(
        socket.as_raw_fd(),
        &message::request(peer, local),
        MsgFlags::empty(),
    )?;
    let mut answer = [0_u8; 512];
    let len = recv(socket.as_raw_fd(), &mut answer, MsgFlags::empty())?;
    message::owner(answer.get(..len).unwrap_or_default())
}

/// There is no such question on this system.
#[cfg(not(target_os = "linux"))]
pub fn owner_of(_: SocketAddr, _: SocketAddr) -> io::Result<Option<u32>> {
    Err(io::Error::from(io::ErrorKind::Unsupported))
}

/// The bytes of `linux/netlink.h`, `linux/sock_diag.h` and `linux/inet_diag.h`.
#[cfg(any(target_os = "linux", test))]
mod message {
    use std::io;
    use std::net::{IpAddr, SocketAddr};

    const AF_INET: u8 = 2;
    const AF_INET6: u8 = 10;
    const IPPROTO_TCP: u8 = 6;
    const NLMSG_ERROR: u16 = 2;
    const NLM_F_REQUEST: u16 = 1;
    const SOCK_DIAG_BY_FAMILY: u16 = 20;
    const HEADER_LEN: usize = 16;
    const REQUEST_LEN: usize = HEADER_LEN + 56;
    const ENOENT: i32 = 2;
    /// Offsets in the answer: header, four bytes, the socket's identity, three counters.
    const UID_AT: usize = HEADER_LEN + 4 + 48 + 12;
    const INODE_AT: usize = UID_AT + 4;

    /// Asks for the TCP socket bound to `of` and connected to `to`.
    pub(super) fn request(of: SocketAddr, to: SocketAddr) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(REQUEST_LEN);
        bytes.extend_from_slice(&72_u32.to_ne_bytes()); // `REQUEST_LEN`
        bytes.extend_from_slice(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
        bytes.extend_from_slice(&NLM_F_REQUEST.to_ne_bytes());
        bytes.extend_from_slice(&1_u32.to_ne_bytes()); // sequence number
        bytes.extend_from_slice(&0_u32.to_ne_bytes()); // port: the kernel fills it in
        let family = if of.is_ipv4() { AF_INET } else { AF_INET6 };
        bytes.extend_from_slice(&[family, IPPROTO_TCP, 0, 0]);
        bytes.extend_from_slice(&u32::MAX.to_ne_bytes()); // any state
        bytes.extend_from_slice(&of.port().to_be_bytes());
        bytes.extend_from_slice(&to.port().to_be_bytes());
        push_ip(&mut bytes, of.ip());
        push_ip(&mut bytes, to.ip());
        bytes.extend_from_slice(&0_u32.to_ne_bytes()); // any interface
        bytes.extend_from_slice(&[0xff; 8]); // no cookie
        debug_assert_eq!(bytes.len(), REQUEST_LEN);
        bytes
    }

    /// The owner in the kernel's answer.
    pub(super) fn owner(answer: &[u8]) -> io::Result<Option<u32>> {
        let short = || io::Error::new(io::ErrorKind::InvalidData, "a short answer of the kernel");
        let kind = answer
            .get(4..6)
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or_else(short)?;
        match u16::from_ne_bytes(kind) {
            SOCK_DIAG_BY_FAMILY => {
                let inode = word(answer, INODE_AT).ok_or_else(short)?;
                let uid = word(answer, UID_AT).ok_or_else(short)?;
                // without an inode the socket is already closed, and its owner says nothing
                Ok((inode != 0).then_some(uid))
            }
            NLMSG_ERROR => {
                let error = word(answer, HEADER_LEN).ok_or_else(short)?.cast_signed();
                if error == -ENOENT {
                    return Ok(None);
                }
                Err(io::Error::from_raw_os_error(-error))
            }
            _ => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "not an answer to the question",
            )),
        }
    }

    fn push_ip(bytes: &mut Vec<u8>, ip: IpAddr) {
        match ip {
            IpAddr::V4(ip) => {
                bytes.extend_from_slice(&ip.octets());
                bytes.extend_from_slice(&[0; 12]);
            }
            IpAddr::V6(ip) => bytes.extend_from_slice(&ip.octets()),
        }
    }

    fn word(bytes: &[u8], at: usize) -> Option<u32> {
        bytes
            .get(at..at + 4)?
            .try_into()
            .ok()
            .map(u32::from_ne_bytes)
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    /// Threat L1.
    #[test]
    fn the_kernel_names_the_owner_of_a_living_socket_and_nobody_for_a_closed_one() {
        for bind in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(bind) else {
                continue;
            };
            let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (server, peer) = listener.accept().unwrap();
            let local = server.local_addr().unwrap();
            let me = nix::unistd::geteuid().as_raw();
            assert_eq!(owner_of(local, peer).unwrap(), Some(me), "{bind}");
            drop(client);
            assert_eq!(owner_of(local, peer).unwrap(), None, "{bind}: closed");
            let mut nobody = peer;
            nobody.set_port(1);
            assert_eq!(owner_of(local, nobody).unwrap(), None, "{bind}: never was");
        }
    }

    #[test]
    fn damaged_answers_are_errors() {
        assert!(message::owner(&[]).is_err());
        assert!(message::owner(&[0; 16]).is_err());
        let mut short = [0_u8; 40];
        short[4] = 20;
        assert!(message::owner(&short).is_err());
    }
}
