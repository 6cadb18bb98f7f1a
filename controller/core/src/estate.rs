//! What was seen of an account: its hosts and how their traffic leaves, its roles and our policies.
//!
//! Plain data in the order of ids, so that the same account always reads the same. Only what bears
//! on pins is kept.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::{Ipv4Addr, Ipv6Addr},
};

use ipnet::{Ipv4Net, Ipv6Net};
use jiff::Timestamp;
use serde::Serialize;

use crate::{
    id::{
        AccountId, Arn, InstanceId, InterfaceId, NatId, PolicyName, RegionName, RoleName,
        RouteTableId, SubnetId, VersionId, VpcId,
    },
    plan::POLICY_PATH,
};

/// Versions that a managed policy can have.
const VERSIONS_QUOTA: usize = 5;

/// One account as it was seen, with what could not be seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Estate {
    /// The account, where anything in it told.
    pub account: Option<AccountId>,
    /// Regions that were looked at.
    pub regions: BTreeMap<RegionName, Region>,
    /// Every role of the account.
    pub roles: BTreeMap<RoleName, Role>,
    /// Every managed policy under our path, by name, whether or not it is attached.
    pub policies: BTreeMap<PolicyName, LivePolicy>,
    /// Customer managed policies of the account, ours among them.
    pub customer_policies: usize,
    /// Names of the policies under [`crate::cut::CUT_PATH`], which say when each ends.
    pub cuts: BTreeSet<PolicyName>,
    /// What did not answer. A role is never narrowed over a gap (invariant 4).
    pub gaps: BTreeSet<Gap>,
}

/// Something that could not be seen.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Gap {
    /// Where: a region, or none for the account's IAM.
    pub region: Option<RegionName>,
    /// What was asked, as `DescribeInstances`.
    pub what: String,
    /// Why there is no answer, in a line.
    pub why: String,
}

/// One region of the account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Region {
    /// Instances in any state but terminated.
    pub instances: BTreeMap<InstanceId, Instance>,
    /// Interfaces of NAT gateways, of endpoints, of nothing: all that no instance has.
    pub interfaces: BTreeMap<InterfaceId, Interface>,
    /// Subnets, those shared by other accounts included.
    pub subnets: BTreeMap<SubnetId, Subnet>,
    /// Route tables.
    pub route_tables: BTreeMap<RouteTableId, RouteTable>,
    /// NAT gateways that are not deleted or failed.
    pub nat_gateways: BTreeMap<NatId, Nat>,
}

/// An EC2 instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// Its id.
    pub id: InstanceId,
    /// Its lifecycle state.
    pub state: InstanceState,
    /// ARN of its instance profile.
    pub profile: Option<Arn>,
    /// Its VPC (none in states without one).
    pub vpc: VpcId,
    /// The subnet of its primary interface.
    pub subnet: SubnetId,
    /// `aws:Ec2InstanceSourcePrivateIPv4` of its credentials: the primary interface's primary
    /// private IPv4 address. None on IPv6-only instances.
    pub primary_ipv4: Option<Ipv4Addr>,
    /// Its interfaces, the primary one first.
    pub interfaces: Vec<Interface>,
}

/// Lifecycle of an instance, as far as its credentials go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum InstanceState {
    /// About to run.
    Pending,
    /// Running.
    Running,
    /// Going to terminate; its processes may still call.
    ShuttingDown,
    /// Going to stop; its processes may still call.
    Stopping,
    /// Stopped: comes back with its private addresses and its elastic ones.
    Stopped,
}

/// A network interface with its addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its id.
    pub id: InterfaceId,
    /// Its VPC: an instance can have interfaces in others than its own.
    pub vpc: VpcId,
    /// Its subnet.
    pub subnet: SubnetId,
    /// Private IPv4 addresses, the primary one first, each with the public address mapped to it.
    pub ipv4: Vec<PrivateIpv4>,
    /// IPv6 addresses.
    pub ipv6: Vec<Ipv6Addr>,
    /// IPv4 prefixes delegated to the interface (EKS pods).
    pub ipv4_prefixes: Vec<Ipv4Net>,
    /// IPv6 prefixes delegated to the interface.
    pub ipv6_prefixes: Vec<Ipv6Net>,
}

/// A private IPv4 address and the public one that EC2 maps it to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrivateIpv4 {
    /// The private address.
    pub private: Ipv4Addr,
    /// The public, elastic or carrier address.
    pub public: Option<Ipv4Addr>,
}

/// A subnet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subnet {
    /// Its id.
    pub id: SubnetId,
    /// Its VPC.
    pub vpc: VpcId,
    /// Its IPv4 prefix: private addresses of the hosts in it; an IPv6-only subnet has none.
    pub ipv4: Option<Ipv4Net>,
    /// Its IPv6 prefixes, most often one /64.
    pub ipv6: Vec<Ipv6Net>,
    /// Whether instances launched here are given a public IPv4 address unless they say otherwise.
    pub maps_public_ipv4: bool,
    /// Whether instances launched here are given an IPv6 address unless they say otherwise.
    pub assigns_ipv6: bool,
}

/// A route table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteTable {
    /// Its id.
    pub id: RouteTableId,
    /// Its VPC.
    pub vpc: VpcId,
    /// Whether it is the VPC's main table, which serves subnets without one of their own.
    pub main: bool,
    /// Subnets that name it.
    pub subnets: BTreeSet<SubnetId>,
    /// Its active routes; blackholes carry nothing and are left out.
    pub routes: Vec<Route>,
}

/// An active route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Where to.
    pub destination: Destination,
    /// By way of what.
    pub target: Target,
}

/// What a route leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// An IPv4 prefix.
    V4(Ipv4Net),
    /// An IPv6 prefix.
    V6(Ipv6Net),
    /// A managed prefix list; what is in it is not known.
    PrefixList(String),
}

/// The way a route takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// The VPC itself.
    Local,
    /// An internet gateway, or the carrier gateway of a Wavelength zone: a host leaves with its own
    /// public address.
    InternetGateway,
    /// An egress-only internet gateway: a host leaves with its own IPv6 address.
    EgressOnlyGateway,
    /// A NAT gateway.
    Nat(NatId),
    /// An interface: a NAT instance or an appliance.
    Interface(InterfaceId),
    /// A gateway endpoint (S3, DynamoDB): AWS sees the VPC and the private address.
    GatewayEndpoint,
    /// Anything whose far end is not seen from here: transit gateway, peering, VPN, appliance, or
    /// what a later AWS invents. The text names it, as `transit gateway tgw-0abc`.
    Opaque(String),
}

/// A NAT gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nat {
    /// Its id.
    pub id: NatId,
    /// Its subnet; a regional gateway has none.
    pub subnet: Option<SubnetId>,
    /// Whether it leads to the internet. A private one leads where its subnet's routes lead.
    pub public: bool,
    /// Its public addresses, secondary ones too.
    pub public_ipv4: Vec<Ipv4Addr>,
    /// Its private addresses.
    pub private_ipv4: Vec<Ipv4Addr>,
    /// Whether it takes further addresses by itself as it grows (a regional gateway).
    pub grows: bool,
    /// The route table of a regional gateway, which has no subnet whose routes would decide.
    pub route_table: Option<RouteTableId>,
    /// An appliance that its traffic passes, as text; where that leaves is not seen from here.
    pub appliance: Option<String>,
}

/// An IAM role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    /// Its name.
    pub name: RoleName,
    /// Its unique id (`AROA…`).
    pub id: String,
    /// Its ARN.
    pub arn: Arn,
    /// Its path, as `/` or `/aws-service-role/ec2.amazonaws.com/`.
    pub path: String,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// AWS principals that its trust policy lets assume it: ARNs, account ids, `*`.
    pub trusted: BTreeSet<String>,
    /// Services that it lets assume it, as `ec2.amazonaws.com`.
    pub trusted_services: BTreeSet<String>,
    /// Identity providers whose users it lets assume it: ARNs, names of hosts, `*` where it may be any.
    pub trusted_providers: BTreeSet<String>,
    /// ARNs of the instance profiles that hold it.
    pub profiles: BTreeSet<Arn>,
    /// ARNs of its attached managed policies.
    pub attached: BTreeSet<Arn>,
    /// When AWS last saw it used, by whatever, where it did of late (IAM API reference, `RoleLastUsed`).
    pub last_used: Option<Timestamp>,
}

/// A managed policy under our path as it is in IAM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LivePolicy {
    /// Its name.
    pub name: PolicyName,
    /// Its ARN.
    pub arn: Arn,
    /// Whether an operator released it (tag `credpin:released`): it is then not put back.
    pub released: bool,
    /// Its versions, oldest first.
    pub versions: Vec<LiveVersion>,
}

/// A version of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveVersion {
    /// Its id.
    pub id: VersionId,
    /// Whether it is the one in force.
    pub default: bool,
    /// When it was made, where that is known.
    pub created: Option<Timestamp>,
    /// Its text (JSON), where it was read.
    pub text: Option<String>,
}

impl Estate {
    /// Every instance of the account with its region, in the order of regions and ids.
    pub fn instances(&self) -> impl Iterator<Item = (&RegionName, &Instance)> {
        self.regions
            .iter()
            .flat_map(|(name, region)| region.instances.values().map(move |i| (name, i)))
    }

    /// The live policy with this ARN.
    pub fn policy(&self, arn: &Arn) -> Option<&LivePolicy> {
        self.policies.values().find(|policy| policy.arn == *arn)
    }
}

impl Role {
    /// Whether its own sessions may assume it: it is trusted itself, or everybody of its account is
    /// to whom a policy gives that, and what policies give is not looked at.
    pub fn may_assume_itself(&self) -> bool {
        let (partition, account) = (self.arn.partition(), self.arn.account());
        let root = format!("arn:{partition}:iam::{account}:root");
        [self.arn.as_str(), &self.id, account, &root, "*"]
            .iter()
            .any(|principal| self.trusted.contains(*principal))
    }
}

impl Region {
    /// All interfaces, those of instances and the others.
    pub fn all_interfaces(&self) -> impl Iterator<Item = &Interface> {
        let of_instances = self.instances.values().flat_map(|it| &it.interfaces);
        of_instances.chain(self.interfaces.values())
    }
}

impl Role {
    /// Whether a policy under our path is attached.
    pub fn has_pin(&self) -> bool {
        let ours = format!("policy{POLICY_PATH}");
        self.attached
            .iter()
            .any(|arn| arn.resource().starts_with(&ours))
    }
}

impl LivePolicy {
    /// The version in force.
    pub fn in_force(&self) -> Option<&LiveVersion> {
        self.versions.iter().find(|version| version.default)
    }

    /// Whether an operator went back to an earlier version: credpin puts each version in force as
    /// it makes it, so the newest is in force unless somebody chose otherwise.
    pub fn is_rolled_back(&self) -> bool {
        let newest = self
            .versions
            .iter()
            .max_by_key(|version| version.id.number());
        newest.is_some_and(|newest| !newest.default)
    }

    /// The version before the one in force that says something else.
    pub fn previous(&self) -> Option<&LiveVersion> {
        self.earlier().first().copied()
    }

    /// Versions before the one in force that say something else, newest first (a call that was
    /// retried leaves two that say the same).
    pub fn earlier(&self) -> Vec<&LiveVersion> {
        let Some(current) = self.in_force() else {
            return Vec::new();
        };
        let older = self.versions.iter().filter(|version| {
            version.id.number() < current.id.number() && version.text != current.text
        });
        let mut older: Vec<&LiveVersion> = older.collect();
        older.sort_by_key(|version| std::cmp::Reverse(version.id.number()));
        older
    }

    /// The policy once a version that says `text` was made and put in force, as IAM numbers them.
    pub(crate) fn put_in_force(&mut self, text: String) {
        let numbers = self.versions.iter().map(|version| version.id.number());
        let next = numbers.max().unwrap_or(0) + 1;
        for version in &mut self.versions {
            version.default = false;
        }
        self.versions.push(LiveVersion {
            id: VersionId::of_number(next),
            default: true,
            created: None,
            text: Some(text),
        });
    }

    /// The version to delete before another can be made: the oldest that is not in force, where the
    /// policy has as many as it can have (five; IAM User Guide, "IAM and STS quotas"). Of five it is
    /// never the previous one.
    pub fn version_to_prune(&self) -> Option<VersionId> {
        if self.versions.len() < VERSIONS_QUOTA {
            return None;
        }
        let spare = self.versions.iter().filter(|version| !version.default);
        spare
            .min_by_key(|version| version.id.number())
            .map(|version| version.id.clone())
    }
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.region {
            Some(region) => write!(f, "{} in {region}: {}", self.what, self.why),
            None => write!(f, "{}: {}", self.what, self.why),
        }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Destination::V4(net) => net.fmt(f),
            Destination::V6(net) => net.fmt(f),
            Destination::PrefixList(id) => f.write_str(id),
        }
    }
}
