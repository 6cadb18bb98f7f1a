//! A subnet's routes, followed through what translates addresses.

use std::{iter, net::Ipv4Addr};

use ipnet::{IpNet, Ipv4Net};

use super::{
    Answer, Egress, Reason, Unknown,
    destination::{covers_public_v4, covers_public_v6, leads_out_of_a_nat, overlap, within},
    public_ipv4,
    ways::Ways,
};
use crate::{
    estate::{Destination, Interface, Nat, Route, RouteTable, Subnet, Target},
    id::{InterfaceId, SubnetId},
    settings::{Lists, Settings},
};

/// A look at every way out of one subnet.
pub(super) struct Walk<'a> {
    ways: &'a Ways<'a>,
    settings: &'a Settings,
    /// Whose egress is asked.
    subnet: &'a Subnet,
}

/// A route in its table, with the part of its destination that is of interest.
struct Hop<'a> {
    table: &'a RouteTable,
    route: &'a Route,
    to: &'a Destination,
}

/// A translator of addresses that traffic has passed: a NAT gateway or instance.
struct Passed<'a> {
    /// Its id, by which a loop is noticed.
    id: &'a str,
    /// What is seen as the source from here on.
    private_ipv4: Vec<Ipv4Addr>,
    /// The route that led to it.
    hop: &'a Hop<'a>,
    before: Option<&'a Passed<'a>>,
}

impl<'a> Walk<'a> {
    /// Where traffic of a subnet leaves.
    pub(super) fn of_subnet(ways: &'a Ways<'a>, id: &SubnetId, settings: &'a Settings) -> Egress {
        let mut egress = Egress::default();
        let Some(subnet) = ways.region.subnets.get(id) else {
            egress.unknown.insert(Unknown::not_seen(id));
            return egress;
        };
        if let Some(prefixes) = settings.stated_egress(&subnet.vpc, id) {
            egress.stated = true;
            egress.shared.extend(prefixes);
        }
        let walk = Walk {
            ways,
            settings,
            subnet,
        };
        walk.tables(ways.tables_of(subnet), None, &mut egress);
        if settings.ipv6_lists == Lists::Subnets {
            let prefixes = subnet.ipv6.iter().copied().map(IpNet::V6);
            egress.listed_whole.extend(prefixes);
        }
        if settings.private_ipv4_lists == Lists::Subnets {
            let prefix = subnet.ipv4.map(IpNet::V4);
            egress.listed_whole.extend(prefix);
        }
        egress
    }

    fn tables(&self, tables: &[&RouteTable], passed: Option<&Passed<'_>>, egress: &mut Egress) {
        if tables.is_empty() {
            egress.cannot_tell(&self.subnet.id, Reason::NoRouteTable, Answer::LookAgain);
        }
        for table in tables {
            for route in &table.routes {
                let to = match passed {
                    None => Some(route.destination.clone()),
                    Some(passed) => passed.narrow(&route.destination),
                };
                if let Some(to) = to {
                    let hop = Hop {
                        table,
                        route,
                        to: &to,
                    };
                    self.hop(&hop, passed, egress);
                }
            }
        }
    }

    fn hop(&self, hop: &Hop<'_>, passed: Option<&Passed<'_>>, egress: &mut Egress) {
        match &hop.route.target {
            // Endpoints of the VPC: they see the host, or what translated its address last.
            Target::Local | Target::GatewayEndpoint => {
                egress
                    .nat_private
                    .extend(passed.iter().flat_map(|passed| &passed.private_ipv4));
            }
            // A translator leaves by public addresses of its own, counted where it was passed.
            Target::InternetGateway | Target::EgressOnlyGateway if passed.is_some() => {}
            Target::InternetGateway => {
                egress.own_v4 |= covers_public_v4(hop.to);
                egress.own_v6 |= covers_public_v6(hop.to);
            }
            Target::EgressOnlyGateway => egress.own_v6 |= covers_public_v6(hop.to),
            Target::Nat(id) => match self.ways.region.nat_gateways.get(id) {
                Some(nat) => self.nat(nat, hop, passed, egress),
                None => self.opaque(
                    hop,
                    format!("NAT gateway {id}, which was not seen"),
                    passed,
                    egress,
                ),
            },
            Target::Interface(id) => self.interface(id, hop, passed, egress),
            Target::Opaque(via) => self.opaque(hop, via.clone(), passed, egress),
        }
    }

    fn nat(&self, nat: &Nat, hop: &Hop<'_>, passed: Option<&Passed<'_>>, egress: &mut Egress) {
        let id = nat.id.as_str();
        if is_passed(id, passed) {
            return;
        }
        if nat.public && leads_out_of_a_nat(hop.to) {
            egress
                .shared
                .extend(nat.public_ipv4.iter().copied().map(host_net));
            if nat.grows {
                egress.growing.insert(nat.id.clone());
            }
        }
        let private_ipv4 = nat.private_ipv4.clone();
        let beyond = Passed {
            id,
            private_ipv4,
            hop,
            before: passed,
        };
        if let Some(appliance) = &nat.appliance {
            self.opaque(hop, format!("{id} with {appliance}"), Some(&beyond), egress);
        }
        // Beyond the gateway routes of its own decide: a private one leads on to networks that are
        // not seen from here, and so does a public one where it is routed there.
        let subnet = nat
            .subnet
            .as_ref()
            .and_then(|id| self.ways.region.subnets.get(id));
        let table = nat
            .route_table
            .as_ref()
            .and_then(|id| self.ways.region.route_tables.get(id));
        match (subnet, table) {
            (Some(subnet), _) => {
                self.tables(self.ways.tables_of(subnet), Some(&beyond), egress);
            }
            (None, Some(table)) => self.tables(&[table], Some(&beyond), egress),
            (None, None) => {
                let via = format!("NAT gateway {id}, whose own routes were not seen");
                self.opaque(hop, via, Some(&beyond), egress);
            }
        }
    }

    /// A NAT instance, with all of its arms: it leaves by the public addresses of any. Without one
    /// it is an appliance that routes on, nobody sees where to.
    fn interface(
        &self,
        id: &InterfaceId,
        hop: &Hop<'_>,
        passed: Option<&Passed<'_>>,
        egress: &mut Egress,
    ) {
        if is_passed(id.as_str(), passed) {
            return;
        }
        let arms = self.ways.arms(id);
        let through = |private_ipv4| Passed {
            id: id.as_str(),
            private_ipv4,
            hop,
            before: passed,
        };
        let public: Vec<Ipv4Addr> = arms.iter().copied().flat_map(public_ipv4).collect();
        let translates = covers_public_v4(hop.to) && !covers_public_v6(hop.to);
        if !translates || public.is_empty() {
            let any = arms.iter().copied().flat_map(private_ipv4).collect();
            self.opaque(hop, format!("interface {id}"), Some(&through(any)), egress);
            return;
        }
        egress.shared.extend(public.into_iter().map(host_net));
        for arm in arms {
            if let Some(subnet) = self.ways.region.subnets.get(&arm.subnet) {
                let beyond = through(private_ipv4(arm).collect());
                self.tables(self.ways.tables_of(subnet), Some(&beyond), egress);
            }
        }
    }

    /// A route whose far end is not seen: a proxy, or endpoints of a hub, may lie beyond.
    fn opaque(&self, hop: &Hop<'_>, via: String, passed: Option<&Passed<'_>>, egress: &mut Egress) {
        let hubs = self.settings.hub_vpcs.as_ref();
        if hubs.is_some_and(|hubs| !hubs.is_empty()) {
            egress
                .nat_private
                .extend(passed.iter().flat_map(|passed| &passed.private_ipv4));
        }
        let egress_unsaid =
            !egress.stated && (covers_public_v4(hop.to) || covers_public_v6(hop.to));
        let answer = match (hubs.is_none(), egress_unsaid) {
            (false, false) => return,
            (true, false) => Answer::HubVpcs,
            (false, true) => Answer::Egress,
            (true, true) => Answer::HubVpcsAndEgress,
        };
        let reason = Reason::Route {
            table: hop.table.id.clone(),
            destination: hop.route.destination.to_string(),
            via,
        };
        egress.cannot_tell(&self.subnet.id, reason, answer);
    }
}

impl Passed<'_> {
    /// The part of `next` that traffic sent through here can be for: none where a more specific
    /// route takes it elsewhere before it gets here.
    fn narrow(&self, next: &Destination) -> Option<Destination> {
        if matches!(self.hop.to, Destination::V6(_)) {
            // What enters as NAT64 leaves as IPv4, and the IPv4 routes before never saw it.
            return overlap(&Destination::V4(Ipv4Net::default()), next);
        }
        let narrow = overlap(self.hop.to, next)?;
        let taken_before = self.hop.table.routes.iter().any(|route| {
            route.destination != *self.hop.to
                && within(&route.destination, self.hop.to)
                && within(&narrow, &route.destination)
        });
        (!taken_before).then_some(narrow)
    }
}

fn is_passed(id: &str, passed: Option<&Passed<'_>>) -> bool {
    iter::successors(passed, |passed| passed.before).any(|passed| passed.id == id)
}

fn private_ipv4(interface: &Interface) -> impl Iterator<Item = Ipv4Addr> {
    interface.ipv4.iter().map(|pair| pair.private)
}

fn host_net(address: Ipv4Addr) -> IpNet {
    IpNet::V4(Ipv4Net::from(address))
}
