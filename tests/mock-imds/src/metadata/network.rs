//! `network/`: each interface by its MAC address.

use crate::host::{Host, Interface};
use crate::tree::Directory;

pub(super) fn network(host: &Host) -> Directory {
    let macs = std::iter::once(&host.interface)
        .chain(&host.secondary_interfaces)
        .enumerate()
        .fold(Directory::default(), |macs, (device, card)| {
            macs.directory(&card.mac, interface(host, device, card))
        });
    Directory::default().directory("interfaces", Directory::default().directory("macs", macs))
}

fn interface(host: &Host, device: usize, card: &Interface) -> Directory {
    let associations = card
        .public_ipv4s
        .iter()
        .zip(&card.private_ipv4s)
        .fold(Directory::default(), |all, (public, private)| {
            all.text(&public.to_string(), private.to_string())
        });
    let private_name = card.private_ipv4s.first().map(|&ip| host.private_name(ip));
    let public_name = card.public_ipv4s.first().map(|&ip| host.public_name(ip));
    Directory::default()
        .text("device-number", device.to_string())
        .text("interface-id", &card.interface_id)
        .directory("ipv4-associations", associations)
        .lines("ipv4-prefix", &card.ipv4_prefixes)
        .lines("ipv6-prefix", &card.ipv6_prefixes)
        .lines("ipv6s", &card.ipv6s)
        .maybe("local-hostname", private_name)
        .lines("local-ipv4s", &card.private_ipv4s)
        .text("mac", &card.mac)
        .text("network-card", card.network_card.to_string())
        .text("owner-id", &host.account)
        .maybe("public-hostname", public_name)
        .lines("public-ipv4s", &card.public_ipv4s)
        .lines("security-group-ids", &card.security_group_ids)
        .lines("security-groups", &card.security_groups)
        .text("subnet-id", &card.subnet_id)
        .text("subnet-ipv4-cidr-block", &card.subnet_ipv4_cidr)
        .lines("subnet-ipv6-cidr-blocks", &card.subnet_ipv6_cidrs)
        .text("vpc-id", &card.vpc_id)
        .maybe("vpc-ipv4-cidr-block", card.vpc_ipv4_cidrs.first())
        .lines("vpc-ipv4-cidr-blocks", &card.vpc_ipv4_cidrs)
        .lines("vpc-ipv6-cidr-blocks", &card.vpc_ipv6_cidrs)
}
