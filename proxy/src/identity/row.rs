//! A line of `/proc/PID/net/tcp` or `tcp6` (`proc_pid_net(5)`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::socket::Tuple;

/// A connection, as the end sees it that it is listed at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) tuple: Tuple,
    pub(crate) uid: u32,
    /// Zero if no process has the socket open.
    pub(crate) inode: u32,
}

impl Row {
    /// Reads one line; the heading is none.
    pub(crate) fn read(line: &str) -> Option<Self> {
        let mut fields = line.split_ascii_whitespace().skip(1);
        let tuple = Tuple::new(end(fields.next()?)?, end(fields.next()?)?);
        // st, tx_queue:rx_queue, tr:tm->when, retrnsmt, uid, timeout, inode
        let uid = fields.nth(4)?.parse().ok()?;
        let inode = fields.nth(1)?.parse().ok()?;
        Some(Self { tuple, uid, inode })
    }
}

/// `0100007F:2479`: words of 32 bits in the machine's own order, and a port in plain hexadecimal.
fn end(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let word = |at: usize| {
        let digits = address.get(at * 8..at * 8 + 8)?;
        Some(u32::from_str_radix(digits, 16).ok()?.to_ne_bytes())
    };
    let address = match address.len() {
        8 => IpAddr::from(Ipv4Addr::from(word(0)?)),
        32 => {
            let mut bytes = [0; 16];
            for at in 0..4 {
                bytes[at * 4..at * 4 + 4].copy_from_slice(&word(at)?);
            }
            IpAddr::from(Ipv6Addr::from(bytes))
        }
        _ => return None,
    };
    Some(SocketAddr::new(
        address,
        u16::from_str_radix(port, 16).ok()?,
    ))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::net::{TcpListener, TcpStream};

    use proptest::prelude::*;
    use rustix::process::getuid;

    use super::*;

    #[test]
    fn the_kernels_own_lines_are_read() {
        for (listen, to, table) in [
            ("127.0.0.1:0", "127.0.0.1", "tcp"),
            ("[::1]:0", "::1", "tcp6"),
            ("0.0.0.0:0", "::ffff:127.0.0.1", "tcp6"),
        ] {
            let listener = TcpListener::bind(listen).unwrap();
            let port = listener.local_addr().unwrap().port();
            let stream = TcpStream::connect((to.parse::<IpAddr>().unwrap(), port)).unwrap();
            let (source, destination) = (stream.local_addr().unwrap(), stream.peer_addr().unwrap());
            let inode = rustix::fs::fstat(&stream).unwrap().st_ino;
            let expected = Row {
                tuple: Tuple::new(source, destination),
                uid: getuid().as_raw(),
                inode: u32::try_from(inode).unwrap(),
            };
            let table = fs::read_to_string(format!("/proc/self/net/{table}")).unwrap();
            let rows: Vec<_> = table.lines().filter_map(Row::read).collect();
            assert!(rows.contains(&expected), "{to}: {table}");
            assert_eq!(rows.len(), table.lines().count() - 1);
        }
    }

    proptest! {
        #[test]
        fn no_line_makes_it_panic(line in "( ?[0-9A-Fé:]{0,40}){0,12}") {
            let _ = Row::read(&line);
        }
    }
}
