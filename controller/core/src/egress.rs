//! Where traffic of a subnet leaves towards AWS, read from its routes.
//!
//! The union over every active route that may carry such traffic: which route a packet takes
//! depends on what the caller's DNS answered, and a pin must admit them all. What a route table
//! cannot tell is [`Unknown`], and holds the role until the config answers for it (DESIGN §7).

use std::{collections::BTreeSet, fmt, net::Ipv4Addr};

use ipnet::IpNet;
use serde::Serialize;

use crate::{
    estate::Interface,
    id::{InstanceId, NatId, RouteTableId, SubnetId, VpcId},
};

mod destination;
mod walk;
mod ways;

pub use destination::is_private;
pub use ways::Ways;

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
    /// Prefixes of the subnet itself that lists have in place of its hosts' own addresses, where the
    /// config wants that.
    pub listed_whole: BTreeSet<IpNet>,
    /// Private addresses of NAT gateways and instances on the way to endpoints, which see these
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
    /// An instance shows no interface with its address: where it leaves is anybody's guess.
    NoInterface(InstanceId),
    /// An instance has an interface in another VPC, whose endpoints it may use.
    OtherVpc(InstanceId, VpcId),
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

/// Public IPv4 addresses that an interface's private ones are mapped to.
pub fn public_ipv4(interface: &Interface) -> impl Iterator<Item = Ipv4Addr> {
    interface.ipv4.iter().filter_map(|pair| pair.public)
}

impl Egress {
    /// Public prefixes that a list has for any host of the subnet, one that is yet to come too.
    pub fn common(&self) -> BTreeSet<IpNet> {
        let own_v6 = self
            .listed_whole
            .iter()
            .filter(|net| self.own_v6 && matches!(net, IpNet::V6(_)));
        self.shared.iter().chain(own_v6).copied().collect()
    }

    /// What lists have for `net`, addresses of a host of the subnet.
    pub fn listed(&self, net: IpNet) -> IpNet {
        let mut whole = self.listed_whole.iter().copied();
        whole.find(|whole| whole.contains(&net)).unwrap_or(net)
    }

    fn cannot_tell(&mut self, subnet: &SubnetId, reason: Reason, answer: Answer) {
        self.unknown.insert(Unknown {
            subnet: subnet.clone(),
            reason,
            answer,
        });
    }
}

impl Unknown {
    /// Of a subnet that something is in, and that the view of EC2 does not have.
    pub(crate) fn not_seen(subnet: &SubnetId) -> Self {
        Self {
            subnet: subnet.clone(),
            reason: Reason::SubnetNotSeen,
            answer: Answer::LookAgain,
        }
    }
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let subnet = &self.subnet;
        match &self.reason {
            Reason::SubnetNotSeen => write!(f, "{subnet} was not seen"),
            Reason::NoRouteTable => write!(f, "no route table serves {subnet}"),
            Reason::NoInterface(instance) => {
                write!(
                    f,
                    "{instance} in {subnet} shows no interface with its address"
                )
            }
            Reason::OtherVpc(instance, vpc) => {
                return write!(
                    f,
                    "{instance} has an interface in {subnet} of {vpc}, and may use that VPC's \
                     endpoints; if so, hub-vpcs = [\"{vpc}\"] admits them for everybody"
                );
            }
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
