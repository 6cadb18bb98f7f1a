//! The account as the core sees it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    str::FromStr,
};

use credpin_core::{
    estate::{
        self, Destination, Estate, Instance, InstanceState, Interface, LivePolicy, LiveVersion,
        Nat, PrivateIpv4, Region, Route, RouteTable, Subnet, Target,
    },
    id::{Arn, RegionName, RoleName, SubnetId, VpcId},
    plan::Plan,
};

use super::{ACCOUNT, Fleet, Host, Role, Vpc, ZONES};

impl Fleet {
    /// The account, without any pin.
    ///
    /// # Panics
    /// If a VPC has no room for its hosts.
    pub fn estate(self) -> Estate {
        let regions = (0..self.regions).map(|number| {
            let name: RegionName = id(Self::region_name(number));
            (name, region(self, number))
        });
        let roles = self.roles().map(|it| (id::<RoleName>(it.name()), role(it)));
        Estate {
            account: Some(id(ACCOUNT)),
            regions: regions.collect(),
            roles: roles.collect(),
            ..Estate::default()
        }
    }
}

/// Puts the pins that `plan` calls for into force, as if they had been for long.
///
/// # Panics
/// If the plan is another account's.
pub fn pinned(estate: &mut Estate, plan: &Plan) {
    for planned in &plan.roles {
        let role = estate.roles.get_mut(&planned.role);
        let role = role.expect("the plan is this account's");
        for pin in planned.pin.iter().flat_map(|pin| &pin.policies) {
            let version = LiveVersion {
                id: id("v1"),
                default: true,
                created: "2026-01-01T00:00:00Z".parse().ok(),
                text: Some(pin.document.sealed().to_json()),
            };
            let policy = LivePolicy {
                name: pin.policy.clone(),
                arn: pin.arn.clone(),
                released: false,
                versions: vec![version],
            };
            role.attached.insert(pin.arn.clone());
            estate.policies.insert(pin.policy.clone(), policy);
        }
    }
    estate.customer_policies = estate.policies.len();
}

/// Puts another NAT gateway's address in the place of one, in every `each`th VPC of `fleet`.
pub fn move_gateways(estate: &mut Estate, fleet: Fleet, each: usize) {
    for number in (0..fleet.vpcs).step_by(each) {
        let vpc = Vpc { fleet, number };
        let region = estate
            .regions
            .get_mut(Fleet::region_name(vpc.region()).as_str());
        let nat = region.and_then(|it| it.nat_gateways.get_mut(vpc.own("nat", 0).as_str()));
        if let Some(nat) = nat {
            // Behind all those that there are.
            nat.public_ipv4 = vec![Fleet::public((fleet.vpcs + number) * ZONES)];
        }
    }
}

fn region(fleet: Fleet, number: usize) -> Region {
    let mut region = Region::default();
    for vpc in fleet.vpcs(number) {
        let shared = Shared::of(vpc);
        for table in tables(vpc, &shared) {
            region.route_tables.insert(table.id.clone(), table);
        }
        for zone in 0..ZONES {
            for is_public in [false, true] {
                let subnet = subnet(vpc, &shared, zone, is_public);
                region.subnets.insert(subnet.id.clone(), subnet);
            }
            let nat = nat(vpc, zone);
            region.nat_gateways.insert(nat.id.clone(), nat);
            for interface in interfaces(vpc, &shared, zone) {
                region.interfaces.insert(interface.id.clone(), interface);
            }
        }
    }
    let mut vpcs: BTreeMap<usize, Shared> = BTreeMap::new();
    let mut profiles = BTreeMap::new();
    let instances = fleet.hosts(number).map(|host| {
        let vpc = host.vpc();
        let shared = vpcs.entry(vpc.number).or_insert_with(|| Shared::of(vpc));
        let profile = profiles
            .entry(host.role.number)
            .or_insert_with(|| id(host.role.profile()));
        let instance = instance(host, shared, profile);
        (instance.id.clone(), instance)
    });
    region.instances = instances.collect();
    region
}

/// Ids that many things of a VPC name.
struct Shared {
    vpc: VpcId,
    /// The private subnets, then the public ones.
    subnets: Vec<SubnetId>,
}

impl Shared {
    fn of(vpc: Vpc) -> Self {
        let subnets = [false, true]
            .into_iter()
            .flat_map(|is_public| (0..ZONES).map(move |zone| id(vpc.subnet(zone, is_public))));
        Self {
            vpc: id(vpc.id()),
            subnets: subnets.collect(),
        }
    }

    fn subnet(&self, zone: usize, is_public: bool) -> SubnetId {
        self.subnets[zone + if is_public { ZONES } else { 0 }].clone()
    }
}

fn subnet(vpc: Vpc, shared: &Shared, zone: usize, is_public: bool) -> Subnet {
    Subnet {
        id: shared.subnet(zone, is_public),
        vpc: shared.vpc.clone(),
        ipv4: Some(id(vpc.subnet_ipv4(zone, is_public))),
        ipv6: Vec::new(),
        maps_public_ipv4: is_public,
        assigns_ipv6: false,
    }
}

/// The main table, the one of the public subnets, and one of each private subnet.
fn tables(vpc: Vpc, shared: &Shared) -> Vec<RouteTable> {
    let to = |text: &str, target: Target| Route {
        destination: match id(text) {
            ipnet::IpNet::V4(net) => Destination::V4(net),
            ipnet::IpNet::V6(net) => Destination::V6(net),
        },
        target,
    };
    let local = || to(&format!("10.{}.0.0/16", vpc.network()), Target::Local);
    let table = |which: usize, subnets: BTreeSet<_>, mut routes: Vec<Route>| {
        routes.insert(0, local());
        RouteTable {
            id: id(vpc.own("rtb", which)),
            vpc: shared.vpc.clone(),
            main: which == 0,
            subnets,
            routes,
        }
    };
    let public = (0..ZONES).map(|zone| shared.subnet(zone, true)).collect();
    let out = vec![to("0.0.0.0/0", Target::InternetGateway)];
    let mut tables = vec![table(0, [].into(), Vec::new()), table(1, public, out)];
    for zone in 0..ZONES {
        let routes = vec![
            to("0.0.0.0/0", Target::Nat(id(vpc.own("nat", zone)))),
            to("::/0", Target::EgressOnlyGateway),
            Route {
                destination: Destination::PrefixList("pl-6da54004".to_owned()),
                target: Target::GatewayEndpoint,
            },
        ];
        tables.push(table(2 + zone, [shared.subnet(zone, false)].into(), routes));
    }
    tables
}

fn nat(vpc: Vpc, zone: usize) -> Nat {
    Nat {
        id: id(vpc.own("nat", zone)),
        subnet: Some(id(vpc.subnet(zone, true))),
        public: true,
        public_ipv4: vec![vpc.nat_public(zone)],
        private_ipv4: vec![vpc.nat_private(zone)],
        grows: false,
        route_table: None,
        appliance: None,
    }
}

/// Those of the NAT gateway and of the endpoint of a zone.
fn interfaces(vpc: Vpc, shared: &Shared, zone: usize) -> [Interface; 2] {
    let interface = |is_public, private, public| Interface {
        id: id(vpc.interface(zone, is_public)),
        vpc: shared.vpc.clone(),
        subnet: shared.subnet(zone, is_public),
        ipv4: vec![PrivateIpv4 { private, public }],
        ipv6: Vec::new(),
        ipv4_prefixes: Vec::new(),
        ipv6_prefixes: Vec::new(),
    };
    let nat = interface(true, vpc.nat_private(zone), Some(vpc.nat_public(zone)));
    [nat, interface(false, vpc.endpoint_private(zone), None)]
}

fn role(role: Role) -> estate::Role {
    estate::Role {
        name: id(role.name()),
        id: role.id(),
        arn: id(role.arn()),
        path: "/".to_owned(),
        tags: BTreeMap::new(),
        trusted: BTreeSet::new(),
        trusted_services: ["ec2.amazonaws.com".to_owned()].into(),
        trusted_providers: BTreeSet::new(),
        profiles: [id(role.profile())].into(),
        attached: BTreeSet::new(),
        last_used: None,
    }
}

fn instance(host: Host, shared: &Shared, profile: &Arn) -> Instance {
    let subnet = || shared.subnet(host.zone(), host.is_public());
    let primary = PrivateIpv4 {
        private: host.private(false),
        public: host.public(),
    };
    let second = host.second_private().map(|private| PrivateIpv4 {
        private,
        public: None,
    });
    let interface = Interface {
        id: id(host.interface()),
        vpc: shared.vpc.clone(),
        subnet: subnet(),
        ipv4: [primary].into_iter().chain(second).collect(),
        ipv6: host.ipv6().into_iter().collect(),
        ipv4_prefixes: Vec::new(),
        ipv6_prefixes: Vec::new(),
    };
    Instance {
        id: id(host.id()),
        state: InstanceState::Running,
        profile: Some(profile.clone()),
        vpc: shared.vpc.clone(),
        subnet: subnet(),
        primary_ipv4: Some(primary.private),
        interfaces: vec![interface],
    }
}

fn id<T>(text: impl AsRef<str>) -> T
where
    T: FromStr,
    T::Err: fmt::Debug,
{
    text.as_ref()
        .parse()
        .expect("the generator writes what it should")
}
