//! An account of any size, the same one for the same seed.
//!
//! ```text
//!  Fleet ──▶ Vpc, Role, Host (plan of the account) ──▶ memory::estate: the core's types
//!                                                  └─▶ files::write: what the AWS CLI prints
//! ```
//!
//! Each VPC has three zones with a public and a private subnet, a NAT gateway in each zone, a gateway
//! endpoint and an interface endpoint. Each role has its hosts in one VPC, spread over the zones. Of a
//! hundred roles, about 80 have hosts behind NAT gateways with one private address each; the others
//! are of one of four [kinds](Kind).

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::trail::Dice;

mod files;
mod memory;

pub use memory::{move_gateways, pinned};

/// The account that everything is in.
pub const ACCOUNT: &str = "111122223333";
/// Zones of each VPC.
const ZONES: usize = 3;
/// Public addresses that there are: 198.18.0.0/15, which is for benchmarks (RFC 2544).
const PUBLIC: u64 = 1 << 17;

/// How large the account is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fleet {
    /// Instances, all of them running.
    pub instances: usize,
    /// Roles, each with as many instances as the others.
    pub roles: usize,
    /// VPCs, shared out to the regions.
    pub vpcs: usize,
    /// Regions.
    pub regions: usize,
    /// What the rest is made of.
    pub seed: u64,
}

/// How the hosts of a role are set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// In private subnets, with one private address each.
    Private,
    /// In public subnets, each with a public address of its own.
    Public,
    /// In private subnets, each with an IPv6 address too.
    DualStack,
    /// In private subnets, each with a second private address.
    TwoAddresses,
    /// In private subnets of two VPCs of a region.
    TwoVpcs,
}

/// A VPC.
#[derive(Clone, Copy, Debug)]
struct Vpc {
    fleet: Fleet,
    number: usize,
}

/// A role.
#[derive(Clone, Copy, Debug)]
struct Role {
    fleet: Fleet,
    number: usize,
}

/// An instance: one of a role's.
#[derive(Clone, Copy, Debug)]
struct Host {
    role: Role,
    /// Which of the account's.
    number: usize,
    /// Which of the role's.
    place: usize,
}

impl Fleet {
    fn vpcs(self, region: usize) -> impl Iterator<Item = Vpc> {
        (region..self.vpcs)
            .step_by(self.regions)
            .map(move |number| Vpc {
                fleet: self,
                number,
            })
    }

    fn roles(self) -> impl Iterator<Item = Role> {
        (0..self.roles).map(move |number| Role {
            fleet: self,
            number,
        })
    }

    /// The instances of a region.
    fn hosts(self, region: usize) -> impl Iterator<Item = Host> {
        let roles = self.roles();
        let here = roles.filter(move |role| role.vpc(0).region() == region);
        here.flat_map(move |role| {
            (role.number..self.instances)
                .step_by(self.roles)
                .enumerate()
                .map(move |(place, number)| Host {
                    role,
                    number,
                    place,
                })
        })
    }

    /// As `eu-west-1`.
    fn region_name(number: usize) -> String {
        format!("eu-west-{}", number + 1)
    }

    /// A number that is this thing's own, and looks random.
    fn random(self, what: &str, number: usize) -> u64 {
        let mut dice = Dice::new(self.seed ^ number as u64);
        let name = what.bytes().fold(0, |sum: u64, byte| {
            sum.wrapping_mul(257).wrapping_add(byte.into())
        });
        Dice::new(dice.roll() ^ name).roll()
    }

    /// An id as EC2 makes them: `what`, and seventeen hexadecimal digits.
    fn id(self, what: &str, number: usize) -> String {
        format!("{what}-0{:016x}", self.random(what, number))
    }

    /// A public address: every number has another one, as long as there are any.
    fn public(number: usize) -> Ipv4Addr {
        // An odd factor goes through all of them, and keeps neighbours apart.
        let scattered = (number as u64).wrapping_mul(0x9e37) % PUBLIC;
        let first = u32::from(Ipv4Addr::new(198, 18, 0, 0));
        Ipv4Addr::from(first + u32::try_from(scattered).expect("it is below PUBLIC"))
    }
}

impl Vpc {
    fn region(self) -> usize {
        self.number % self.fleet.regions
    }

    fn id(self) -> String {
        self.fleet.id("vpc", self.number)
    }

    /// One of the things that a VPC has a few of.
    fn own(self, what: &str, which: usize) -> String {
        self.fleet.id(what, self.number * 16 + which)
    }

    /// The second byte of its addresses. There are more VPCs than networks, as there are in real life.
    fn network(self) -> u8 {
        u8::try_from(self.number % 200).expect("it is below 200")
    }

    fn subnet(self, zone: usize, is_public: bool) -> String {
        self.own("subnet", zone + if is_public { ZONES } else { 0 })
    }

    /// The interface of the NAT gateway in a public subnet, of the endpoint in a private one. What is
    /// named so is no instance's.
    fn interface(self, zone: usize, is_public: bool) -> String {
        let which = zone + if is_public { ZONES } else { 0 };
        self.fleet
            .id("eni", usize::MAX - (self.number * 16 + which))
    }

    /// The private subnets are /20, the public ones /20 behind them.
    fn subnet_ipv4(self, zone: usize, is_public: bool) -> String {
        let third = 16 * (zone + 1 + if is_public { ZONES } else { 0 });
        format!("10.{}.{third}.0/20", self.network())
    }

    fn nat_public(self, zone: usize) -> Ipv4Addr {
        Fleet::public(self.number * ZONES + zone)
    }

    /// Where the interface of the NAT gateway is in its public subnet.
    fn nat_private(self, zone: usize) -> Ipv4Addr {
        Ipv4Addr::new(10, self.network(), zone_byte(zone + ZONES), 9)
    }

    /// Where the interface endpoint is in the private subnet.
    fn endpoint_private(self, zone: usize) -> Ipv4Addr {
        Ipv4Addr::new(10, self.network(), zone_byte(zone), 9)
    }
}

/// The third byte of the first address of a /20.
fn zone_byte(zone: usize) -> u8 {
    u8::try_from(16 * (zone + 1)).expect("six subnets of 16 numbers each")
}

impl Role {
    fn kind(self) -> Kind {
        match self.fleet.random("kind", self.number) % 20 {
            0 => Kind::Public,
            1 => Kind::DualStack,
            2 => Kind::TwoAddresses,
            3 => Kind::TwoVpcs,
            _ => Kind::Private,
        }
    }

    fn name(self) -> String {
        format!("service-{:05}", self.number)
    }

    fn id(self) -> String {
        format!("AROA{:016X}", self.fleet.random("role", self.number))
    }

    fn arn(self) -> String {
        format!("arn:aws:iam::{ACCOUNT}:role/{}", self.name())
    }

    fn profile(self) -> String {
        format!("arn:aws:iam::{ACCOUNT}:instance-profile/{}", self.name())
    }

    /// The VPC of one of its hosts.
    fn vpc(self, place: usize) -> Vpc {
        let home = self.number % self.fleet.vpcs;
        let next = home + self.fleet.regions;
        let goes_on = self.kind() == Kind::TwoVpcs && place % 2 == 1 && next < self.fleet.vpcs;
        Vpc {
            fleet: self.fleet,
            number: if goes_on { next } else { home },
        }
    }
}

impl Host {
    fn vpc(self) -> Vpc {
        self.role.vpc(self.place)
    }

    fn zone(self) -> usize {
        self.place % ZONES
    }

    fn is_public(self) -> bool {
        self.role.kind() == Kind::Public
    }

    fn id(self) -> String {
        self.role.fleet.id("i", self.number)
    }

    fn interface(self) -> String {
        self.role.fleet.id("eni", self.number)
    }

    fn subnet(self) -> String {
        self.vpc().subnet(self.zone(), self.is_public())
    }

    /// Where it is in its subnet: behind the hosts of the roles before in the same VPC, hosts of roles
    /// that are at home there at even numbers. Second addresses are in the second half.
    fn private(self, second: bool) -> Ipv4Addr {
        let Role { fleet, number } = self.role;
        let before = number / fleet.vpcs * fleet.instances.div_ceil(fleet.roles);
        let is_guest = self.vpc().number != number % fleet.vpcs;
        let place = 16 + 2 * (before + self.place) + usize::from(is_guest);
        assert!(place < 2048, "a VPC has room for a thousand hosts");
        let place = place + if second { 2048 } else { 0 };
        let third = zone_byte(self.zone() + if self.is_public() { ZONES } else { 0 });
        let first = u32::from(Ipv4Addr::new(10, self.vpc().network(), third, 0));
        Ipv4Addr::from(first + u32::try_from(place).expect("it is below 4096"))
    }

    fn second_private(self) -> Option<Ipv4Addr> {
        (self.role.kind() == Kind::TwoAddresses).then(|| self.private(true))
    }

    fn public(self) -> Option<Ipv4Addr> {
        // Behind the gateways, and those that take their place.
        let before = self.role.fleet.vpcs * ZONES * 2;
        self.is_public()
            .then(|| Fleet::public(before + self.number))
    }

    fn ipv6(self) -> Option<Ipv6Addr> {
        let vpc = u16::try_from(self.vpc().number).unwrap_or(u16::MAX);
        let zone = u16::from(zone_byte(self.zone()));
        let bits = self.role.fleet.random("ipv6", self.number).to_be_bytes();
        let part = |at: usize| u16::from_be_bytes([bits[at], bits[at + 1]]);
        (self.role.kind() == Kind::DualStack)
            .then(|| Ipv6Addr::new(0x2001, 0xdb8, vpc, zone, part(0), part(2), part(4), part(6)))
    }
}
