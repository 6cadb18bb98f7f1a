//! The client's own socket, asked of the kernel: whose it is, and in which cgroup it was made.
//!
//! One exact look-up by `sock_diag(7)`, no dump: it takes no capability and a few microseconds. The
//! message is 72 bytes each way, so it is written and read here rather than by three more crates.
//! The layouts are those of `linux/netlink.h` and `linux/inet_diag.h`.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::{Mutex, PoisonError};

use rustix::net::netlink::{self, SocketAddrNetlink};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, connect, recv, send, socket_with,
};

/// A client's connection as the client has it: from where, to where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tuple {
    source: SocketAddr,
    destination: SocketAddr,
}

/// What the kernel says of a socket that a process has open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Socket {
    /// The user that made it, as this process's user namespace counts.
    pub(crate) uid: u32,
    /// Its inode number, as in `/proc/PID/fd`.
    pub(crate) inode: u32,
    /// The cgroup (version 2) that it was made in, since Linux 5.9.
    pub(crate) cgroup: Option<u64>,
}

/// Answers which sockets there are in the network namespace of this process.
#[derive(Debug)]
pub(crate) struct Sockets(Mutex<Channel>);

#[derive(Debug)]
struct Channel {
    kernel: OwnedFd,
    sequence: u32,
}

/// `nlmsghdr`, then `inet_diag_req_v2` or `inet_diag_msg`.
const HEADER: usize = 16;
const REQUEST: u32 = 16 + 56;
const ANSWER: usize = HEADER + 72;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLM_F_REQUEST: u16 = 1;
const NLMSG_ERROR: u16 = 2;
const ENOENT: i32 = 2;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
const IPPROTO_TCP: u8 = 6;
const INET_DIAG_CGROUP_ID: u16 = 21;
/// A socket that is bound to no interface.
const UNBOUND: u32 = 0;
/// `lo`, in every network namespace (`LOOPBACK_IFINDEX` of `net/flow.h`).
const LOOPBACK: u32 = 1;

impl Tuple {
    /// Both ends as they are on the wire: a socket of IPv6 that speaks IPv4 is one of IPv4.
    pub(crate) fn new(source: SocketAddr, destination: SocketAddr) -> Self {
        let canonical = |end: SocketAddr| SocketAddr::new(end.ip().to_canonical(), end.port());
        Self {
            source: canonical(source),
            destination: canonical(destination),
        }
    }

    /// From where.
    pub(crate) fn source(self) -> SocketAddr {
        self.source
    }
}

impl Sockets {
    /// Opens the channel to the kernel.
    pub(crate) fn open() -> io::Result<Self> {
        Channel::open().map(|channel| Self(Mutex::new(channel)))
    }

    /// The socket whose connection is `tuple`, if a process of this network namespace has it open.
    /// A channel that fails is opened anew, once.
    pub(crate) fn find(&self, tuple: Tuple) -> io::Result<Option<Socket>> {
        // What a panic left in the channel has another sequence number.
        let mut channel = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match channel.find(tuple) {
            Err(_) => {
                *channel = Channel::open()?;
                channel.find(tuple)
            }
            answered => answered,
        }
    }
}

impl Channel {
    fn open() -> io::Result<Self> {
        let kernel = socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            Some(netlink::SOCK_DIAG),
        )?;
        // Connected to the kernel (port 0), it takes messages of nobody else.
        connect(&kernel, &SocketAddrNetlink::new(0, 0))?;
        Ok(Self {
            kernel,
            sequence: 0,
        })
    }

    /// The kernel does not find a socket that is bound to an interface (`SO_BINDTODEVICE`) but by
    /// that interface.
    fn find(&mut self, tuple: Tuple) -> io::Result<Option<Socket>> {
        match self.find_on(UNBOUND, tuple)? {
            None => self.find_on(LOOPBACK, tuple),
            found => Ok(found),
        }
    }

    fn find_on(&mut self, interface: u32, tuple: Tuple) -> io::Result<Option<Socket>> {
        self.sequence = self.sequence.wrapping_add(1);
        let sequence = self.sequence;
        let request = request(tuple, interface, sequence);
        send(&self.kernel, &request, SendFlags::empty())?;
        loop {
            let mut buffer = [0; 1024];
            // The kernel answers before `send` returns, so there is nothing to wait for.
            let (length, _) = recv(&self.kernel, &mut buffer[..], RecvFlags::DONTWAIT)?;
            match read(buffer.get(..length).unwrap_or_default(), sequence, tuple) {
                Reading::Socket(socket) => return Ok(Some(socket)),
                Reading::None => return Ok(None),
                Reading::Refused(code) => return Err(io::Error::from_raw_os_error(code)),
                Reading::Stale => {}
            }
        }
    }
}

fn request(tuple: Tuple, interface: u32, sequence: u32) -> [u8; REQUEST as usize] {
    let family = if tuple.source.is_ipv4() {
        AF_INET
    } else {
        AF_INET6
    };
    let mut out = [0; REQUEST as usize];
    let mut at = 0;
    let mut put = |bytes: &[u8]| {
        out[at..at + bytes.len()].copy_from_slice(bytes);
        at += bytes.len();
    };
    put(&REQUEST.to_ne_bytes());
    put(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    put(&NLM_F_REQUEST.to_ne_bytes());
    put(&sequence.to_ne_bytes());
    put(&[0; 4]); // The kernel knows our port.
    put(&[family, IPPROTO_TCP, 0, 0]);
    put(&u32::MAX.to_ne_bytes()); // In any state; what it must be is looked at in the answer.
    put(&tuple.source.port().to_be_bytes());
    put(&tuple.destination.port().to_be_bytes());
    put(&sixteen(tuple.source.ip()));
    put(&sixteen(tuple.destination.ip()));
    put(&interface.to_ne_bytes());
    put(&[u8::MAX; 8]); // INET_DIAG_NOCOOKIE
    out
}

fn sixteen(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(v4) => {
            let mut bytes = [0; 16];
            bytes[..4].copy_from_slice(&v4.octets());
            bytes
        }
        IpAddr::V6(v6) => v6.octets(),
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Reading {
    Socket(Socket),
    None,
    /// An `errno`.
    Refused(i32),
    /// An answer to another question, or none.
    Stale,
}

/// Reads the kernel's answer. Where no connection is `wanted`, the kernel goes on to look for a
/// listener on that port, whoever's; and a connection that its process has closed answers as root's
/// (uid 0) with no inode. Neither is the client.
fn read(message: &[u8], sequence: u32, wanted: Tuple) -> Reading {
    let field = |at| Some(u32::from_ne_bytes(array(message, at)?));
    let kind = array(message, 4).map(u16::from_ne_bytes);
    if field(8) != Some(sequence) {
        return Reading::Stale;
    }
    match kind {
        Some(SOCK_DIAG_BY_FAMILY) => socket(message, wanted).map_or(Reading::None, Reading::Socket),
        Some(NLMSG_ERROR) => match array(message, HEADER).map(i32::from_ne_bytes) {
            Some(code) if code == -ENOENT => Reading::None,
            Some(code) => Reading::Refused(code.wrapping_neg()),
            None => Reading::None,
        },
        _ => Reading::None,
    }
}

fn socket(message: &[u8], wanted: Tuple) -> Option<Socket> {
    let body = message.get(HEADER..)?;
    let family = *body.first()?;
    let port = |at| Some(u16::from_be_bytes(array(body, at)?));
    let address = |at| match family {
        AF_INET => Some(IpAddr::from(Ipv4Addr::from(array::<4>(body, at)?))),
        AF_INET6 => Some(IpAddr::from(Ipv6Addr::from(array::<16>(body, at)?))),
        _ => None,
    };
    let source = SocketAddr::new(address(8)?, port(4)?);
    let destination = SocketAddr::new(address(24)?, port(6)?);
    let inode = u32::from_ne_bytes(array(body, 68)?);
    if Tuple::new(source, destination) != wanted || inode == 0 {
        return None;
    }
    Some(Socket {
        uid: u32::from_ne_bytes(array(body, 64)?),
        inode,
        cgroup: cgroup(message.get(ANSWER..).unwrap_or_default()),
    })
}

/// The cgroup's id among the attributes.
fn cgroup(mut attributes: &[u8]) -> Option<u64> {
    loop {
        let length = usize::from(u16::from_ne_bytes(array(attributes, 0)?));
        let kind = u16::from_ne_bytes(array(attributes, 2)?);
        if kind == INET_DIAG_CGROUP_ID && length == 12 {
            return Some(u64::from_ne_bytes(array(attributes, 4)?));
        }
        // Padded to four bytes; one shorter than its own header would be read for ever.
        attributes = attributes.get(length.max(4).next_multiple_of(4)..)?;
    }
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use proptest::prelude::*;
    use rustix::process::getuid;

    use super::*;

    fn connection(listen: &str, to: &str) -> (TcpListener, TcpStream) {
        let listener = TcpListener::bind(listen).unwrap();
        let port = listener.local_addr().unwrap().port();
        let to: IpAddr = to.parse().unwrap();
        (listener, TcpStream::connect((to, port)).unwrap())
    }

    fn tuple(stream: &TcpStream) -> Tuple {
        Tuple::new(stream.local_addr().unwrap(), stream.peer_addr().unwrap())
    }

    /// The last is a client that speaks IPv4 through a socket of IPv6.
    #[test]
    fn a_clients_socket_is_found_in_both_families() {
        let sockets = Sockets::open().unwrap();
        for (listen, to) in [
            ("127.0.0.1:0", "127.0.0.1"),
            ("[::1]:0", "::1"),
            ("0.0.0.0:0", "::ffff:127.0.0.1"),
            ("[::]:0", "127.0.0.1"),
        ] {
            let (_listener, stream) = connection(listen, to);
            let found = sockets.find(tuple(&stream)).unwrap().expect(to);
            assert_eq!(found.uid, getuid().as_raw(), "{to}");
            let inode = rustix::fs::fstat(&stream).unwrap().st_ino;
            assert_eq!(u64::from(found.inode), inode, "{to}");
            assert!(found.cgroup.is_some(), "{to}");
        }
    }

    /// Else it would be nobody's, and have a share of connections of nobody's.
    #[test]
    fn a_clients_socket_is_found_though_it_is_bound_to_the_loopback() {
        let sockets = Sockets::open().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
        let stream = stream.unwrap();
        stream.bind_device(Some(b"lo")).unwrap();
        stream
            .connect(&listener.local_addr().unwrap().into())
            .unwrap();
        let found = sockets.find(tuple(&stream.into())).unwrap();
        assert_eq!(found.expect("it is open").uid, getuid().as_raw());
    }

    #[test]
    fn a_channel_that_fails_is_opened_anew() {
        let (no_kernel, _) = std::os::unix::net::UnixDatagram::pair().unwrap();
        let channel = Channel {
            kernel: no_kernel.into(),
            sequence: 0,
        };
        let sockets = Sockets(Mutex::new(channel));
        let (_listener, stream) = connection("127.0.0.1:0", "127.0.0.1");
        assert!(sockets.find(tuple(&stream)).unwrap().is_some());
    }

    /// Else who calls from elsewhere with a source port that a process of this host listens on would
    /// be taken for that process.
    #[test]
    fn a_listener_is_no_client() {
        let sockets = Sockets::open().unwrap();
        let listener = TcpListener::bind("0.0.0.0:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let source = SocketAddr::from(([127, 0, 0, 9], port));
        let nobody = Tuple::new(source, "127.0.0.1:9337".parse().unwrap());
        assert_eq!(sockets.find(nobody).unwrap(), None);
    }

    /// The kernel says uid 0 of it.
    #[test]
    fn a_closed_socket_is_nobodys() {
        let sockets = Sockets::open().unwrap();
        let (listener, stream) = connection("127.0.0.1:0", "127.0.0.1");
        let tuple = tuple(&stream);
        let accepted = listener.accept().unwrap();
        drop(stream);
        assert_eq!(sockets.find(tuple).unwrap(), None);
        drop(accepted);
        assert_eq!(sockets.find(tuple).unwrap(), None);
    }

    fn answer(attributes: &[u8]) -> Vec<u8> {
        let mut message = vec![0; ANSWER];
        message[4..6].copy_from_slice(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
        message[8..12].copy_from_slice(&7u32.to_ne_bytes());
        message[16] = AF_INET;
        message[20..24].copy_from_slice(&[0x9c, 0x40, 0, 80]);
        message[24..28].copy_from_slice(&[10, 0, 1, 5]);
        message[40..44].copy_from_slice(&[169, 254, 169, 254]);
        message[80..84].copy_from_slice(&1000u32.to_ne_bytes());
        message[84..88].copy_from_slice(&77u32.to_ne_bytes());
        message.extend(attributes);
        message
    }

    fn wanted() -> Tuple {
        let source = "10.0.1.5:40000".parse().unwrap();
        Tuple::new(source, "169.254.169.254:80".parse().unwrap())
    }

    #[test]
    fn an_answer_is_read_to_its_last_attribute() {
        let attributes = [
            &[5u8, 0, 8, 0, 1, 0, 0, 0][..],
            &[12, 0, 21, 0],
            &42u64.to_le_bytes(),
        ];
        let message = answer(&attributes.concat());
        let socket = Socket {
            uid: 1000,
            inode: 77,
            cgroup: Some(42),
        };
        if cfg!(target_endian = "little") {
            assert_eq!(read(&message, 7, wanted()), Reading::Socket(socket));
        }
        assert_eq!(read(&message, 8, wanted()), Reading::Stale);
        let mut closed = answer(&[]);
        closed[84..88].fill(0);
        assert_eq!(read(&closed, 7, wanted()), Reading::None);
        let mut other = answer(&[]);
        other[21] ^= 1;
        assert_eq!(read(&other, 7, wanted()), Reading::None);
    }

    proptest! {
        #[test]
        fn no_answer_makes_it_panic(
            cut in 0..ANSWER,
            attributes in prop::collection::vec(any::<u8>(), 0..64),
        ) {
            let message = answer(&attributes);
            let _ = read(&message, 7, wanted());
            prop_assert!(!matches!(read(&message[..cut], 7, wanted()), Reading::Socket(_)));
        }
    }
}
