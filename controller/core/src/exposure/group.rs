//! What tokens of one VPC that the same statements select are open to.

use ipnet::IpNet;

use super::{
    Hosts, OfInstance,
    hosts::{common, each_once, overlaps_any},
};
use crate::{footprint::Host, id::VpcId, pin::Admitted, prefix::joined};

/// Tokens of one VPC that the same statements select.
pub(super) struct Group<'a> {
    fleet: &'a Hosts,
    /// Admitted from the internet.
    public: Vec<IpNet>,
    /// Admitted through an endpoint, beside a token's own address.
    private: &'a [IpNet],
    /// Crowds at a position that is admitted to all of these tokens, in order.
    crowds: Vec<usize>,
    /// Their hosts, and single hosts of other crowds.
    hosts: usize,
    v4: u64,
    v6: u64,
    endpoints: usize,
}

impl<'a> Group<'a> {
    /// Those of `vpc` that the statements of these numbers select. `private` is what is admitted
    /// through endpoints, joined.
    pub(super) fn new(
        vpc: &VpcId,
        selecting: &[usize],
        admitted: &Admitted,
        private: &'a [IpNet],
        fleet: &'a Hosts,
    ) -> Self {
        let public = selecting
            .iter()
            .map(|number| admitted.public[*number].from.clone())
            .reduce(|some, others| both(&some, &others))
            .unwrap_or_else(everywhere);
        let public = joined(public);
        let endpoints = admitted.hubs.iter().filter(|hub| *hub != vpc).count();
        let leaving = public.iter().flat_map(|net| fleet.crowds_leaving_from(net));
        // In a hub every host may be met, at home only those of the VPC.
        let (crowds, single) = if endpoints > 0 {
            let sharing = private.iter().flat_map(|net| fleet.sharing(net));
            let crowds = each_once(leaving.chain(sharing));
            let inside = private.iter().flat_map(|net| fleet.inside(net));
            let single = inside.filter(|crowd| crowds.binary_search(crowd).is_err());
            let single = single.count();
            (crowds, single)
        } else {
            let of_vpc = || fleet.of_vpc(vpc);
            let sharing = of_vpc().filter(|crowd| fleet.shares(*crowd, private));
            let crowds = each_once(leaving.chain(sharing));
            let others = of_vpc().filter(|crowd| crowds.binary_search(crowd).is_err());
            let single = others.map(|crowd| fleet.inside_of(crowd, private)).sum();
            (crowds, single)
        };
        let whole: usize = crowds.iter().map(|crowd| fleet.size_of(*crowd)).sum();
        let (v4, v6) = fleet.beyond(&public);
        Self {
            fleet,
            public,
            private,
            crowds,
            hosts: whole + single,
            v4,
            v6,
            endpoints,
        }
    }

    /// What the token of `host`, one of the fleet, is open to.
    pub(super) fn of(&self, host: &Host) -> OfInstance {
        let mut leaves_by = host.public.iter();
        let itself = leaves_by.any(|net| overlaps_any(&self.public, net))
            || host.private().any(|net| overlaps_any(self.private, &net));
        let (at_the_same, is_among) = self.at_the_same(host);
        let all = self.hosts + at_the_same;
        OfInstance {
            instance: host.instance.clone(),
            hosts: (all - usize::from(itself || is_among)) as u64,
            v4: self.v4,
            v6: self.v6,
            endpoints: self.endpoints as u64,
        }
    }

    /// Hosts that are met in a hub at the token's own address, and nowhere else that is admitted; and
    /// whether its own host was looked for there too: it is then one of them, or one of the others.
    fn at_the_same(&self, host: &Host) -> (usize, bool) {
        let address = host.primary_ipv4.filter(|_| self.endpoints > 0);
        let Some(net) = address.map(|address| IpNet::V4(address.into())) else {
            return (0, false);
        };
        if overlaps_any(self.private, &net) {
            return (0, true);
        }
        let fleet = self.fleet;
        let is_new = |crowd: &usize| self.crowds.binary_search(crowd).is_err();
        let sharing = each_once(fleet.sharing(&net).filter(is_new));
        let not_listed =
            |crowd: &usize| fleet.size_of(*crowd) - fleet.inside_of(*crowd, self.private);
        let inside = fleet.inside(&net).filter(is_new);
        let inside = inside.filter(|crowd| sharing.binary_search(crowd).is_err());
        let inside = inside.count();
        (sharing.iter().map(not_listed).sum::<usize>() + inside, true)
    }
}

/// What lies in a prefix of each of two lists.
fn both(some: &[IpNet], others: &[IpNet]) -> Vec<IpNet> {
    some.iter()
        .flat_map(|a| others.iter().filter_map(move |b| common(a, b)))
        .collect()
}

/// Every address: what is admitted where no statement says otherwise.
fn everywhere() -> Vec<IpNet> {
    vec![
        IpNet::V4(ipnet::Ipv4Net::default()),
        IpNet::V6(ipnet::Ipv6Net::default()),
    ]
}
