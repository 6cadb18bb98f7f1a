//! Where traffic of a subnet leaves towards AWS, read from its routes.
//!
//! The union over every active route that may carry such traffic: which route a packet takes
//! depends on what the caller's DNS answered, and a pin must admit them all. What a route table
//! cannot tell is [`Unknown`], and holds the role until the config answers for it (DESIGN §7).

use std::{collections::BTreeSet, fmt, net::Ipv4Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::Serialize;

use crate::{
    estate::{Destination, Interface, Nat, Region, Route, RouteTable, Subnet, Target},
    id::{NatId, RouteTableId, SubnetId},
    settings::Settings,
};

/// Where traffic of a subnet leaves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Egress {
    /// Public prefixes that every host of the subnet leaves from: NAT gateways and instances, and
    /// what the config states.
    pub shared: BTreeSet<IpNet>,
    /// A host leaves with its own public IPv4 addresses.
    pub own_v4: bool,
    /// A host leaves with its own IPv6 addresses.
    pub own_v6: bool,
    /// Private addresses of NAT gateways on the way to endpoints of other VPCs, which see these
    /// instead of the host's.
    pub nat_private: BTreeSet<Ipv4Addr>,
    /// NAT gateways that take further addresses by themselves.
    pub growing: BTreeSet<NatId>,
    /// The config states this subnet's egress.
    pub stated: bool,
    /// What could not be told.
    pub unknown: BTreeSet<Unknown>,
}

/// Something about a subnet's egress that its routes do not tell.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Unknown {
    /// The subnet.
    pub subnet: SubnetId,
    /// What stands in the way.
    pub reason: Reason,
    /// What the operator can do about it.
    pub answer: Answer,
}

/// Why egress is unknown.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The subnet itself was not seen.
    SubnetNotSeen,
    /// No route table serves it.
    NoRouteTable,
    /// A route leads where its far end is not seen from here.
    Route {
        /// The table.
        table: RouteTableId,
        /// Where the route leads to, as text.
        destination: String,
        /// What by, as `transit gateway tgw-0abc`.
        via: String,
    },
}

/// What would settle an [`Unknown`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// Say which VPCs have endpoints for everybody: `hub-vpcs`, be it `[]`.
    HubVpcs,
    /// State the prefixes: `[[egress]]`.
    Egress,
    /// Both.
    HubVpcsAndEgress,
    /// Nothing in the config: the view is incomplete or the VPC is.
    LookAgain,
}

/// Where traffic of `subnet` leaves.
pub fn of_subnet(region: &Region, id: &SubnetId, settings: &Settings) -> Egress {
    let mut egress = Egress::default();
    let Some(subnet) = region.subnets.get(id) else {
        egress.cannot_tell(id, Reason::SubnetNotSeen, Answer::LookAgain);
        return egress;
    };
    if let Some(prefixes) = settings.stated_egress(&subnet.vpc, id) {
        egress.stated = true;
        egress.shared.extend(prefixes);
    }
    let walk = Walk {
        region,
        settings,
        subnet,
    };
    walk.subnet(subnet, None, &mut egress);
    egress
}

/// Public IPv4 addresses that an interface's private ones are mapped to.
pub fn public_ipv4(interface: &Interface) -> impl Iterator<Item = Ipv4Addr> {
    interface.ipv4.iter().filter_map(|pair| pair.public)
}

/// One subnet's routes, followed through NAT gateways.
struct Walk<'a> {
    region: &'a Region,
    settings: &'a Settings,
    /// Whose egress is asked.
    subnet: &'a Subnet,
}

impl Walk<'_> {
    /// Adds what the routes of `at` lead to: for all traffic, or for what a NAT gateway passed on.
    fn subnet(&self, at: &Subnet, reached: Option<&Reached<'_>>, egress: &mut Egress) {
        let Some(table) = self.region.route_table(at) else {
            egress.cannot_tell(&self.subnet.id, Reason::NoRouteTable, Answer::LookAgain);
            return;
        };
        for route in &table.routes {
            let to = match reached {
                None => Some(route.destination.clone()),
                Some(reached) => reached.narrow(&route.destination),
            };
            let Some(to) = to else { continue };
            let hop = Hop {
                table,
                route,
                to: &to,
            };
            self.hop(&hop, reached, egress);
        }
    }

    fn hop(&self, hop: &Hop<'_>, reached: Option<&Reached<'_>>, egress: &mut Egress) {
        match &hop.route.target {
            Target::Local | Target::GatewayEndpoint => {}
            // Behind a NAT gateway it is the gateway that leaves, by addresses counted with it.
            Target::InternetGateway | Target::EgressOnlyGateway if reached.is_some() => {}
            Target::InternetGateway => {
                egress.own_v4 |= covers_public_v4(hop.to);
                egress.own_v6 |= covers_public_v6(hop.to);
            }
            Target::EgressOnlyGateway => egress.own_v6 |= covers_public_v6(hop.to),
            Target::Nat(id) => match self.region.nat_gateways.get(id) {
                Some(nat) => self.nat(nat, hop, reached, egress),
                None => self.opaque(
                    hop,
                    format!("NAT gateway {id}, which was not seen"),
                    reached,
                    egress,
                ),
            },
            Target::Interface(id) => {
                let interface = self.region.interfaces.get(id);
                let public: Vec<Ipv4Addr> = interface.into_iter().flat_map(public_ipv4).collect();
                let translates = covers_public_v4(hop.to) && !covers_public_v6(hop.to);
                if translates && !public.is_empty() {
                    egress.shared.extend(public.into_iter().map(host_net));
                } else {
                    self.opaque(hop, format!("interface {id}"), reached, egress);
                }
            }
            Target::Opaque(via) => self.opaque(hop, via.clone(), reached, egress),
        }
    }

    fn nat(&self, nat: &Nat, hop: &Hop<'_>, reached: Option<&Reached<'_>>, egress: &mut Egress) {
        if reached.is_some_and(|reached| reached.nats().any(|earlier| earlier.id == nat.id)) {
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
        // Beyond the gateway its own subnet's routes decide: a private gateway leads on to networks
        // not seen from here, and so does a public one where its subnet routes there.
        if let Some(next) = nat
            .subnet
            .as_ref()
            .and_then(|id| self.region.subnets.get(id))
        {
            let beyond = Reached {
                nat,
                hop,
                before: reached,
            };
            self.subnet(next, Some(&beyond), egress);
        }
    }

    /// A route whose far end is not seen: a proxy, or endpoints of a hub, may lie beyond.
    fn opaque(
        &self,
        hop: &Hop<'_>,
        via: String,
        reached: Option<&Reached<'_>>,
        egress: &mut Egress,
    ) {
        if self
            .settings
            .hub_vpcs
            .as_ref()
            .is_some_and(|hubs| !hubs.is_empty())
        {
            let nats = reached.into_iter().flat_map(Reached::nats);
            egress
                .nat_private
                .extend(nats.flat_map(|nat| &nat.private_ipv4));
        }
        let hubs_unsaid = self.settings.hub_vpcs.is_none();
        let egress_unsaid =
            !egress.stated && (covers_public_v4(hop.to) || covers_public_v6(hop.to));
        let answer = match (hubs_unsaid, egress_unsaid) {
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

/// A route in its table, with the part of its destination that is of interest.
struct Hop<'a> {
    table: &'a RouteTable,
    route: &'a Route,
    to: &'a Destination,
}

/// Where traffic is once it has passed a NAT gateway.
struct Reached<'a> {
    nat: &'a Nat,
    hop: &'a Hop<'a>,
    before: Option<&'a Reached<'a>>,
}

impl<'a> Reached<'a> {
    /// The NAT gateways passed, the last one first.
    fn nats(&'a self) -> impl Iterator<Item = &'a Nat> {
        std::iter::successors(Some(self), |reached| reached.before).map(|reached| reached.nat)
    }

    /// The part of `next` that traffic sent through here can be for: none where a more specific
    /// route takes it elsewhere before it gets here.
    fn narrow(&self, next: &Destination) -> Option<Destination> {
        let to = match self.hop.to {
            // What enters a NAT gateway as NAT64 leaves it as IPv4.
            Destination::V6(_) => Destination::V4(Ipv4Net::default()),
            to => to.clone(),
        };
        let narrow = overlap(&to, next)?;
        let taken_before = self.hop.table.routes.iter().any(|route| {
            within(&route.destination, &to)
                && route.destination != to
                && within(&narrow, &route.destination)
        });
        (!taken_before).then_some(narrow)
    }
}

/// What two destinations share. What is in a prefix list is not known: it may share all.
fn overlap(a: &Destination, b: &Destination) -> Option<Destination> {
    match (a, b) {
        (Destination::PrefixList(_), other) | (other, Destination::PrefixList(_)) => {
            Some(other.clone())
        }
        _ if within(a, b) => Some(a.clone()),
        _ if within(b, a) => Some(b.clone()),
        _ => None,
    }
}

/// Whether `inner` is known to lie in `outer`.
fn within(inner: &Destination, outer: &Destination) -> bool {
    match (inner, outer) {
        (Destination::V4(inner), Destination::V4(outer)) => outer.contains(inner),
        (Destination::V6(inner), Destination::V6(outer)) => outer.contains(inner),
        _ => false,
    }
}

impl Egress {
    fn cannot_tell(&mut self, subnet: &SubnetId, reason: Reason, answer: Answer) {
        self.unknown.insert(Unknown {
            subnet: subnet.clone(),
            reason,
            answer,
        });
    }
}

fn host_net(address: Ipv4Addr) -> IpNet {
    IpNet::V4(Ipv4Net::from(address))
}

/// Ranges that are never a public source or destination: RFC 1918, 6598 and 3927.
const PRIVATE_V4: [Ipv4Net; 5] = [
    Ipv4Net::new_assert(Ipv4Addr::new(10, 0, 0, 0), 8),
    Ipv4Net::new_assert(Ipv4Addr::new(172, 16, 0, 0), 12),
    Ipv4Net::new_assert(Ipv4Addr::new(192, 168, 0, 0), 16),
    Ipv4Net::new_assert(Ipv4Addr::new(100, 64, 0, 0), 10),
    Ipv4Net::new_assert(Ipv4Addr::new(169, 254, 0, 0), 16),
];

/// Unique local and link-local addresses (RFC 4193, 4291).
const PRIVATE_V6: [Ipv6Net; 2] = [
    Ipv6Net::new_assert(std::net::Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7),
    Ipv6Net::new_assert(std::net::Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10),
];

/// IPv4 seen through IPv6 (RFC 6052): a NAT gateway turns it back into IPv4.
const NAT64: Ipv6Net =
    Ipv6Net::new_assert(std::net::Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96);

/// Whether a prefix lies wholly in private ranges, and so can never be an `aws:SourceIp`.
pub fn is_private(net: &IpNet) -> bool {
    match net {
        IpNet::V4(net) => PRIVATE_V4.iter().any(|private| private.contains(net)),
        IpNet::V6(net) => PRIVATE_V6.iter().any(|private| private.contains(net)),
    }
}

fn covers_public_v4(to: &Destination) -> bool {
    match to {
        Destination::V4(net) => !is_private(&IpNet::V4(*net)),
        Destination::V6(_) => false,
        Destination::PrefixList(_) => true,
    }
}

fn covers_public_v6(to: &Destination) -> bool {
    match to {
        Destination::V4(_) => false,
        Destination::V6(net) => !is_private(&IpNet::V6(*net)) && !NAT64.contains(net),
        Destination::PrefixList(_) => true,
    }
}

/// Whether a NAT gateway turns traffic to `to` into public IPv4: it translates IPv4, and IPv6 within
/// the NAT64 prefix.
fn leads_out_of_a_nat(to: &Destination) -> bool {
    match to {
        Destination::V6(net) => NAT64.contains(net) || net.contains(&NAT64),
        other => covers_public_v4(other),
    }
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let subnet = &self.subnet;
        match &self.reason {
            Reason::SubnetNotSeen => write!(f, "{subnet} was not seen"),
            Reason::NoRouteTable => write!(f, "no route table serves {subnet}"),
            Reason::Route {
                table,
                destination,
                via,
            } => write!(
                f,
                "{subnet} routes {destination} to {via} ({table}), which may lead out unseen"
            ),
        }?;
        match self.answer {
            Answer::HubVpcs => write!(
                f,
                "; say whose endpoints lie there: hub-vpcs = [\"vpc-…\"], or [] if none do"
            ),
            Answer::Egress => write!(
                f,
                "; state where that traffic leaves: [[egress]] subnet = \"{subnet}\""
            ),
            Answer::HubVpcsAndEgress => write!(
                f,
                "; state where that traffic leaves ([[egress]] subnet = \"{subnet}\") and whose endpoints lie there (hub-vpcs, or [])"
            ),
            Answer::LookAgain => write!(f, "; the view of EC2 is incomplete"),
        }
    }
}
