//! Prefixes in order, found by an address.
//!
//! An account has hundreds of thousands, and is asked millions of times. So their first addresses lie by
//! themselves, close together, and that is all that a search looks at.

use std::net::IpAddr;

use ipnet::IpNet;

/// Prefixes in order: IPv4 first, then by their first address, the wider ones before those within them.
#[derive(Debug, Default)]
pub(super) struct Sorted {
    nets: Vec<IpNet>,
    /// First addresses, of each family.
    ipv4: Vec<u32>,
    ipv6: Vec<u128>,
}

impl Sorted {
    /// `nets` are in order.
    pub(super) fn new(nets: Vec<IpNet>) -> Self {
        let mut sorted = Self::default();
        for net in &nets {
            match net.network() {
                IpAddr::V4(first) => sorted.ipv4.push(first.into()),
                IpAddr::V6(first) => sorted.ipv6.push(first.into()),
            }
        }
        sorted.nets = nets;
        sorted
    }

    /// The place of the first that begins at `address` or behind it.
    fn place(&self, address: IpAddr) -> usize {
        match address {
            IpAddr::V4(address) => {
                let address = address.into();
                self.ipv4.partition_point(|first| *first < address)
            }
            IpAddr::V6(address) => {
                let address = address.into();
                let behind = self.ipv6.partition_point(|first| *first < address);
                self.ipv4.len() + behind
            }
        }
    }

    /// The places of those that begin within `net`.
    pub(super) fn beginning_in(&self, net: &IpNet) -> std::ops::Range<usize> {
        let from = self.place(net.network());
        let last = net.broadcast();
        let behind = self.nets[from..].iter();
        let count = behind.take_while(|it| it.network() <= last).count();
        from..from + count
    }

    /// Those that overlap `net`, where none lies within another.
    pub(super) fn overlapping(&self, net: &IpNet) -> impl Iterator<Item = &IpNet> {
        let within = self.beginning_in(net);
        let before = within.start.checked_sub(1).map(|place| &self.nets[place]);
        let around = before.filter(|before| before.contains(net));
        around.into_iter().chain(&self.nets[within])
    }
}
