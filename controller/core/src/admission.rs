//! Which hosts the pin in force admits, for hosts to read: those of whole subnets, those to come too,
//! and beside them single ones.
//!
//! It asks the evaluator, as the proof does, of the documents that are in force: what a plan would
//! like to be is no help to a host that starts now. What cannot be told is left out, and such a host
//! waits in vain.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use credpin_ledger::{Admission, AdmittedInstance, AdmittedSubnet, Prefix};
use ipnet::{IpNet, Ipv4Net};
use jiff::Timestamp;

use crate::{
    credential::Credential,
    estate::Role,
    evaluate,
    footprint::{Footprint, Host, Place},
    id::{InstanceId, VpcId},
    pin::{Admitted, is_chained},
    policy::Document,
    position::Position,
    settings::Settings,
    verify,
};

/// What is admitted of a role whose policies are `documents`: all of those that any part of IAM may
/// see. None are no pin.
pub fn of(
    role: &Role,
    footprint: &Footprint,
    documents: &[&Document],
    places: &BTreeMap<VpcId, Vec<Place>>,
    settings: &Settings,
    made: Timestamp,
) -> Admission {
    let (account, name) = (role.arn.account().to_owned(), role.name.to_string());
    // What is about sessions that others make is no pin of its hosts' tokens.
    let mut statements = documents.iter().flat_map(|document| &document.statements);
    let is_pinned = statements.any(|statement| !is_chained(statement));
    let mut admission = Admission::new(account, name, is_pinned, made);
    if !is_pinned {
        return admission;
    }
    let pin = Pin { role, documents };
    // Statements name the VPCs that a role lives in, also while it has no host.
    let vpcs: BTreeSet<VpcId> = Admitted::by(documents).vpcs().cloned().collect();
    let places = vpcs
        .iter()
        .flat_map(|vpc| places.get(vpc).into_iter().flatten());
    let admitted: Vec<&Place> = places
        .filter(|place| pin.admits_any_host_of(place))
        .collect();
    admission.subnets = admitted
        .iter()
        .map(|place| AdmittedSubnet {
            subnet: place.launch.subnet.to_string(),
            public_ipv4: !place.own_v4,
            more: pin.whole(place).map(prefix).collect(),
        })
        .collect();
    // Where some leave cannot be told, nor can it be of any: a proof is as good as the model.
    if footprint.unknown.is_empty() {
        let broken = verify::locked_out(role, footprint, settings, documents);
        let denied: BTreeSet<InstanceId> = broken.into_iter().map(|it| it.instance).collect();
        let hosts = footprint.hosts.iter();
        admission.instances = hosts
            .filter(|host| !denied.contains(&host.instance))
            .filter(|host| !admitted.iter().any(|place| place.covers(host)))
            .map(|host| AdmittedInstance {
                instance: host.instance.to_string(),
                addresses: host
                    .public
                    .iter()
                    .copied()
                    .chain(host.private())
                    .map(prefix)
                    .collect(),
            })
            .collect();
    }
    admission
}

/// A role's documents, to be asked.
struct Pin<'a> {
    role: &'a Role,
    documents: &'a [&'a Document],
}

impl Pin<'_> {
    /// Whether any host of the subnet is admitted that has one private address and no IPv6: at either
    /// end of the subnet, by each way out and through endpoints.
    fn admits_any_host_of(&self, place: &Place) -> bool {
        let public = place.launch.public.iter().flat_map(verify::ends).collect();
        let hosts = newcomers(place);
        hosts.iter().all(|host| {
            let own = host.primary_ipv4.map(IpAddr::V4).into_iter().collect();
            self.admits(host, &public, &own)
        })
    }

    /// Prefixes of the subnet that are admitted as a whole, of which any host may have addresses.
    fn whole(&self, place: &Place) -> impl Iterator<Item = IpNet> {
        let hosts = newcomers(place);
        place.launch.private.iter().copied().filter(move |net| {
            let inside = verify::ends(net);
            let leaves = place.own_v6 && matches!(net, IpNet::V6(_));
            let public = if leaves { inside.clone() } else { [].into() };
            hosts.iter().all(|host| self.admits(host, &public, &inside))
        })
    }

    fn admits(&self, host: &Host, public: &BTreeSet<IpAddr>, inside: &BTreeSet<IpAddr>) -> bool {
        let credential = Credential::of(self.role, host);
        let endpoint = |address: &IpAddr| Position::Endpoint {
            vpc: host.vpc.clone(),
            address: *address,
        };
        let public = public.iter().copied().map(Position::Internet);
        let mut positions = public.chain(inside.iter().map(endpoint));
        positions.all(|position| {
            let request = credential.used_from(&position, verify::ANY_ACTION);
            evaluate::denied_by(self.documents.iter().copied(), &request).is_none()
        })
    }
}

/// Hosts that may be launched in a subnet, for all of them: at its first and its last address.
fn newcomers(place: &Place) -> Vec<Host> {
    let launch = &place.launch;
    let addresses = match launch.ipv4 {
        Some(net) => vec![Some(net.network()), Some(net.broadcast())],
        None => vec![None],
    };
    let host = |primary_ipv4| Host {
        instance: verify::newcomer(),
        region: launch.region.clone(),
        vpc: launch.vpc.clone(),
        primary_ipv4,
        public: launch.public.clone().into(),
        more_private_ipv4: [].into(),
        private_ipv6: BTreeSet::new(),
    };
    addresses.into_iter().map(host).collect()
}

impl Place {
    /// Whether `host` is one that needs no word of its own: in the subnet, with one address.
    fn covers(&self, host: &Host) -> bool {
        let in_subnet = |net: Ipv4Net| host.primary_ipv4.is_some_and(|own| net.contains(&own));
        host.vpc == self.launch.vpc
            && self.launch.ipv4.is_some_and(in_subnet)
            && host.more_private_ipv4.is_empty()
            && host.private_ipv6.is_empty()
            && host.public.is_subset(&self.launch.public)
    }
}

fn prefix(net: IpNet) -> Prefix {
    net.to_string().parse().expect("a prefix is written as one")
}
