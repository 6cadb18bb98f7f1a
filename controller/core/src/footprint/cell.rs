//! What can be told of a token by the private address of its host.
//!
//! `aws:Ec2InstanceSourcePrivateIPv4` names the host's primary private address, and that lies in a
//! subnet. So the hosts of a subnet can be told from those of others by the subnet's prefix, and a
//! host with public addresses of its own by its address. A host that is launched tomorrow has an
//! address that nobody knows yet, in a subnet that is known: where it will leave decides which cell
//! it must fall into.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::{IpNet, Ipv4Net};

use super::{EgressOf, Footprint, Host};
use crate::{
    estate::{Instance, Subnet},
    id::{SubnetId, VpcId},
};

/// A part of a VPC with what its hosts leave by, those that are there and those to come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    /// Primary private addresses of its hosts; none for what is selected by no address.
    pub private: Option<Ipv4Net>,
    /// Public prefixes that they leave from.
    pub public: BTreeSet<IpNet>,
    /// Hosts of the role that are in it.
    pub hosts: usize,
}

/// A host of the role with what it is made from.
type Seen<'a> = (&'a Host, &'a Instance);

impl Footprint {
    /// Divides what `instances`, the latest of its hosts, are in: `homes` has the places of those in each
    /// subnet. They are of one region.
    pub(super) fn add_cells(
        &mut self,
        instances: &[&Instance],
        homes: BTreeMap<(&VpcId, &SubnetId), Vec<usize>>,
        of: &EgressOf<'_>,
    ) {
        let first = self.hosts.len() - instances.len();
        let mut by_vpc: BTreeMap<&VpcId, BTreeMap<&SubnetId, Vec<Seen<'_>>>> = BTreeMap::new();
        for ((vpc, subnet), places) in homes {
            let places = places.into_iter();
            let seen = places.map(|place| (&self.hosts[first + place], instances[place]));
            let of_vpc = by_vpc.entry(vpc).or_default();
            of_vpc.insert(subnet, seen.collect());
        }
        for (vpc, mut hosts) in by_vpc {
            let mut cells = Vec::new();
            for subnet in of.subnets_of(vpc) {
                let hosts = hosts.remove(&subnet.id).unwrap_or_default();
                cells_of(subnet, &hosts, of, &mut cells);
            }
            // Of a subnet that was not seen.
            cells.extend(hosts.values().flatten().map(|(host, instance)| Cell {
                private: None,
                public: of.listed(host, instance).collect(),
                hosts: 1,
            }));
            self.cells.entry(vpc.clone()).or_default().extend(cells);
        }
        for cells in self.cells.values_mut().filter(|cells| overlap(cells)) {
            for cell in cells {
                cell.private = None;
            }
        }
    }
}

/// One cell where all hosts of the subnet leave alike. Else each host is one, and what may yet come
/// is what the last group has to admit: the subnet's own egress, and that of any other subnet that
/// hosts here have an arm in.
fn cells_of(subnet: &Subnet, hosts: &[Seen<'_>], of: &EgressOf<'_>, cells: &mut Vec<Cell>) {
    let of_subnet = of.of_subnet(&subnet.id);
    let shared = of_subnet.egress.common();
    let is_inside = |host: &Host| {
        let (Some(net), Some(address)) = (subnet.ipv4, host.primary_ipv4) else {
            return false;
        };
        net.contains(&address)
    };
    // A host's own address may be one of a pool that all of them draw from.
    let is_shared = |net: &IpNet| shared.iter().any(|shared| shared.contains(net));
    let is_common = |host: &Host| host.public.identity() == of_subnet.shared.identity();
    let is_like_them = |host: &Host| is_common(host) || host.public.iter().all(is_shared);
    let leave_alike = hosts
        .iter()
        .all(|(host, _)| is_inside(host) && is_like_them(host));
    if let Some(net) = subnet.ipv4.filter(|_| leave_alike) {
        cells.push(Cell {
            private: Some(net),
            public: shared,
            hosts: hosts.len(),
        });
        return;
    }
    let mut to_come = shared.clone();
    for (host, instance) in hosts {
        let arms = instance.interfaces.iter();
        to_come.extend(arms.flat_map(|arm| of.of(&arm.subnet).common()));
        cells.push(Cell {
            private: host.primary_ipv4.map(Ipv4Net::from),
            public: of.listed(host, instance).collect(),
            hosts: 1,
        });
    }
    cells.push(Cell {
        private: None,
        public: to_come,
        hosts: 0,
    });
}

/// Whether an address lies in two cells. VPC ids are unique within a region only, so two regions may
/// have cells of one.
fn overlap(cells: &[Cell]) -> bool {
    let mut nets: Vec<Ipv4Net> = cells.iter().filter_map(|cell| cell.private).collect();
    nets.sort_unstable();
    nets.windows(2)
        .any(|pair| pair[0].contains(&pair[1].network()))
}
