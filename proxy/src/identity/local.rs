//! Whether an address is a network namespace's own (`proc_pid_net(5)`: `fib_trie`, `ipv6_route`).
//!
//! To list a namespace's connections the kernel goes through those of the whole host, some
//! milliseconds each time; its routes are few lines. So they say where it is worth to look.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Looks for one address among the local routes of a namespace, a line at a time.
pub(crate) struct Local {
    wanted: IpAddr,
    /// The prefix that the lines of `fib_trie` are about now.
    prefix: Option<Ipv4Addr>,
}

/// `RTF_LOCAL` of `linux/ipv6_route.h`.
const RTF_LOCAL: u32 = 0x8000_0000;

impl Local {
    pub(crate) fn new(wanted: IpAddr) -> Self {
        Self {
            wanted,
            prefix: None,
        }
    }

    /// The file that has them, below `/proc/PID`.
    pub(crate) fn file(&self) -> &'static str {
        match self.wanted {
            IpAddr::V4(_) => "net/fib_trie",
            IpAddr::V6(_) => "net/ipv6_route",
        }
    }

    /// Whether this line of it says that the address is local there.
    pub(crate) fn says(&mut self, line: &str) -> bool {
        match self.wanted {
            IpAddr::V4(wanted) => self.trie_says(line, wanted),
            IpAddr::V6(wanted) => route_says(line, wanted).unwrap_or(false),
        }
    }

    /// `|-- 10.9.0.2`, and on the lines below it `/32 host LOCAL`.
    fn trie_says(&mut self, line: &str, wanted: Ipv4Addr) -> bool {
        let line = line.trim();
        if let Some(prefix) = line.strip_prefix("|-- ") {
            self.prefix = prefix.parse().ok();
            return false;
        }
        let leaf = line.strip_prefix('/').and_then(|line| {
            let (length, kind) = line.split_once(' ')?;
            kind.ends_with(" LOCAL").then_some(())?;
            length.parse::<u32>().ok().filter(|length| *length <= 32)
        });
        let Some((prefix, length)) = self.prefix.zip(leaf) else {
            return false;
        };
        let mask = u32::MAX.checked_shl(32 - length).unwrap_or(0);
        u32::from(prefix) & mask == u32::from(wanted) & mask
    }
}

/// Destination and its prefix's length, both hexadecimal; source, next hop, metric, counts; flags.
fn route_says(line: &str, wanted: Ipv6Addr) -> Option<bool> {
    let mut fields = line.split_ascii_whitespace();
    let destination = u128::from_str_radix(fields.next()?, 16).ok()?;
    let length = u32::from_str_radix(fields.next()?, 16).ok()?;
    let flags = u32::from_str_radix(fields.nth(6)?, 16).ok()?;
    let mask = u128::MAX
        .checked_shl(128_u32.checked_sub(length)?)
        .unwrap_or(0);
    Some(flags & RTF_LOCAL != 0 && destination & mask == u128::from(wanted) & mask)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;

    use super::*;

    fn is_local(text: &str, wanted: &str) -> bool {
        let mut local = Local::new(wanted.parse().unwrap());
        text.lines().any(|line| local.says(line))
    }

    /// As the kernel prints it.
    const TRIE: &str = "Main:
  +-- 0.0.0.0/1 2 0 2
     +-- 10.0.0.0/10 2 0 2
        +-- 10.9.0.0/24 2 0 2
           |-- 10.9.0.0
              /24 link UNICAST
           |-- 10.9.0.2
              /32 host LOCAL
           |-- 10.9.0.255
              /32 link BROADCAST
        |-- 10.44.0.0
           /16 host LOCAL
";
    const ROUTES: &str = "\
fd990000000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00200200       lo
fd880000000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000400 00000001 00000000 80000001       lo
fd990000000000000000000000000002 80 00000000000000000000000000000000 00 00000000000000000000000000000000 00000000 00000003 00000000 80200001       lo
00000000000000000000000000000000 00 00000000000000000000000000000000 00 00000000000000000000000000000000 ffffffff 00000001 00000000 00200200       lo
";

    #[test]
    fn an_address_is_local_if_a_route_says_so() {
        for (address, expected) in [
            ("10.9.0.2", true),
            ("10.9.0.3", false),
            ("10.9.0.255", false),
            ("10.44.7.1", true),
            ("10.45.0.1", false),
        ] {
            assert_eq!(is_local(TRIE, address), expected, "{address}");
        }
        for (address, expected) in [
            ("fd99::2", true),
            ("fd99::3", false),
            ("fd88::ffff:1", true),
            ("fd88:0:0:1::1", false),
        ] {
            assert_eq!(is_local(ROUTES, address), expected, "{address}");
        }
    }

    #[test]
    fn the_kernels_own_lines_are_read() {
        for (ours, nobodys) in [("127.0.0.1", "192.0.2.1"), ("::1", "2001:db8::1")] {
            let file = Local::new(ours.parse().unwrap()).file();
            let text = fs::read_to_string(format!("/proc/self/{file}")).unwrap();
            assert!(is_local(&text, ours), "{text}");
            assert!(!is_local(&text, nobodys), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_line_makes_it_panic(
            lines in prop::collection::vec("( ?([0-9a-f./|-]{0,32}|LOCAL|host)){0,11}", 0..4),
        ) {
            for wanted in ["10.9.0.2", "fd99::2"] {
                is_local(&lines.join("\n"), wanted);
            }
        }
    }
}
