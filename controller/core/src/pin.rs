//! The pin: a footprint written as statements that deny everything outside of it.
//!
//! | statement | denies |
//! | --- | --- |
//! | `PublicVpc…`, one per VPC | from the internet, tokens of that VPC, but from its egress |
//! | `PublicGroup…Vpc…` | the same for some of its hosts, which the former then leaves out |
//! | `PublicOther` | from the internet, tokens of every other VPC |
//! | `EndpointVpc` | through an endpoint, but in the token's own VPC or a hub |
//! | `EndpointIpv4`, `EndpointIpv6` | through an endpoint, but from an address of the host |
//! | `Derived`, where asked for | sessions named like an instance's that EC2 did not deliver |
//! | `SelfDefence`, where asked for | calls that would change the pin, or the role, from anywhere |
//! | `ChainedPublic`, `ChainedEndpoint`, where asked for | sessions that were made by assuming the role, but from where those are who may |
//! | `ChainedSelfDefence` | what `SelfDefence` does, of such sessions |
//!
//! Each statement compares a property of the *credential* (where it was delivered) with one of the
//! *network* (where it is used). Comparing the credential's side with a literal would only say where
//! it was issued, and a stolen token passes that everywhere.
//!
//! All but `Derived` and `Chained…` look only at credentials that EC2 delivered, and all but the `…SelfDefence` not at calls that a service makes on
//! the caller's behalf, for which AWS shows no usable network key.

use std::{
    collections::BTreeSet,
    net::{Ipv4Addr, Ipv6Addr},
    sync::{Arc, LazyLock},
};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::{
    footprint::{Footprint, Group},
    id::{Arn, VpcId},
    plan::POLICY_PATH,
    policy::{Actions, Document, Statement, Test, Text},
    prefix::joined,
    request::Key,
    settings::Settings,
};

mod admitted;
mod chained;
mod cover;
mod divide;
mod fit;
mod pack;
mod size;

pub use admitted::{Admitted, Public};
pub(crate) use chained::{Listed, chained_vpcs, is_named_chained, widened};
pub use chained::{chained, is_chained};
pub use cover::Cover;
pub(crate) use cover::is_too_wide;
pub use fit::{Fitted, fit};
pub use pack::{Room, pack};

/// Data planes that a caller reaches inside its VPC or by a protocol of their own, where AWS shows
/// no network key that a pin could use (AWS's example data-perimeter policies list them). They are
/// open to a thief; the threat model says so. `dax:*Item` stands for all item operations.
pub const EXEMPT_ACTIONS: [&str; 12] = [
    "dax:*Item",
    "dax:Query",
    "dax:Scan",
    "elasticache:Connect",
    "elasticfilesystem:client*",
    "es:ES*",
    "kafka-cluster:*",
    "memorydb:Connect",
    "neptune-db:*",
    "rds-db:connect",
    "s3-outposts:*",
    "vpc-lattice-svcs:*",
];

/// Every IPv4 address, in halves: some evaluators get a prefix of length 0 wrong.
const ANY_IPV4: [IpNet; 2] = [
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::UNSPECIFIED, 1)),
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(128, 0, 0, 0), 1)),
];

/// Every IPv6 address.
const ANY_IPV6: [IpNet; 2] = [
    IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::UNSPECIFIED, 1)),
    IpNet::V6(Ipv6Net::new_assert(
        Ipv6Addr::new(0x8000, 0, 0, 0, 0, 0, 0, 0),
        1,
    )),
];

/// The pin of a footprint as one document, whatever its size. Equal footprints give equal documents.
pub fn of(footprint: &Footprint, settings: &Settings) -> Document {
    let statements = statements(footprint, settings);
    Document { statements }
}

/// The statements of a footprint's pin. Each stands alone, in whatever document.
pub fn statements(footprint: &Footprint, settings: &Settings) -> Vec<Statement> {
    let mut statements: Vec<Statement> = footprint
        .egress
        .iter()
        .flat_map(|(vpc, egress)| match footprint.groups.get(vpc) {
            Some(groups) => public_groups(vpc, groups),
            None => vec![public_vpc(vpc, egress, [])],
        })
        .collect();
    statements.extend(common_statements(footprint, settings));
    statements
}

/// The statements that are about all VPCs alike.
fn common_statements(footprint: &Footprint, settings: &Settings) -> Vec<Statement> {
    let hubs = settings.hub_vpcs.iter().flatten();
    let always = [
        public_other(footprint.egress.keys()),
        endpoint_vpc(hubs),
        endpoint_ipv4(&footprint.more_private_ipv4),
        endpoint_ipv6(&footprint.private_ipv6),
    ];
    let derived = settings.pin_derived.then(derived);
    let role = footprint.role.as_ref().filter(|_| settings.self_defence);
    let optional = derived.into_iter().chain(role.map(|role| {
        self_defence("SelfDefence", role).when(Key::SourceInstanceArn, Test::Null(false))
    }));
    always.into_iter().chain(optional).collect()
}

/// Sessions that are named as EC2 names an instance's and were not delivered by EC2: a console
/// session made from a token, for one. Whether AWS keeps EC2's keys in those is not documented.
fn derived() -> Statement {
    let named_so = Text::literal("*:i-*");
    statement_about_all("Derived")
        .when(Key::SourceInstanceArn, Test::Null(true))
        .when(Key::UserId, Test::StringLike(vec![named_so]))
        .when(Key::ViaAwsService, Test::BoolIfExists(false))
}

/// What takes a pin off, or changes what the role is: done to any policy under our path, or to the
/// role, by its sessions or by a service for them.
const CHANGES: [&str; 13] = [
    "iam:AttachRolePolicy",
    "iam:CreatePolicy*",
    "iam:DeletePolicy*",
    "iam:DeleteRole*",
    "iam:DetachRolePolicy",
    "iam:PutRole*",
    "iam:SetDefaultPolicyVersion",
    "iam:TagPolicy",
    "iam:TagRole",
    "iam:UntagPolicy",
    "iam:UntagRole",
    "iam:UpdateAssumeRolePolicy",
    "iam:UpdateRole*",
];

fn self_defence(sid: &str, role: &Arn) -> Statement {
    let (partition, account) = (role.partition(), role.account());
    let ours = format!("arn:{partition}:iam::{account}:policy{POLICY_PATH}*")
        .parse()
        .expect("it has the parts of an ARN");
    let changes = CHANGES.iter().map(ToString::to_string).collect();
    Statement::deny(sid, Actions::Only(changes)).on(vec![ours, role.clone()])
}

/// From the internet, tokens of each group only from its own egress. The last group has all tokens
/// of the VPC that the others do not select, those without an IPv4 address too: `NotIpAddress` is
/// true of a key that is absent.
fn public_groups(vpc: &VpcId, groups: &[Group]) -> Vec<Statement> {
    let Some((rest, groups)) = groups.split_last() else {
        return Vec::new();
    };
    let grouped = groups.iter().flat_map(|group| &group.private).copied();
    let rest = public_vpc(vpc, &rest.public, grouped);
    let groups = groups.iter().map(|group| public_group(vpc, group));
    groups.chain([rest]).collect()
}

/// From the internet, tokens of `vpc` only from its egress, but for those of hosts at `grouped`.
fn public_vpc(
    vpc: &VpcId,
    egress: &BTreeSet<IpNet>,
    grouped: impl IntoIterator<Item = Ipv4Net>,
) -> Statement {
    let grouped = joined(grouped.into_iter().map(IpNet::V4));
    let statement = from_the_internet(format!("Public{}", named(vpc))).when(
        Key::Ec2InstanceSourceVpc,
        Test::StringEquals(vec![Text::literal(vpc)]),
    );
    let statement = if grouped.is_empty() {
        statement
    } else {
        statement.when(
            Key::Ec2InstanceSourcePrivateIpv4,
            Test::NotIpAddress(grouped),
        )
    };
    only_from(statement, egress)
}

/// From the internet, tokens of a group only from its egress.
fn public_group(vpc: &VpcId, group: &Group) -> Statement {
    let private = joined(group.private.iter().copied().map(IpNet::V4));
    let sid = format!("PublicGroup{}{}", group.number, named(vpc));
    let statement = from_the_internet(sid)
        .when(
            Key::Ec2InstanceSourceVpc,
            Test::StringEquals(vec![Text::literal(vpc)]),
        )
        .when(Key::Ec2InstanceSourcePrivateIpv4, Test::IpAddress(private));
    only_from(statement, &group.public)
}

/// Without any egress there is no list at all, and every call from the internet is denied.
fn only_from(statement: Statement, egress: &BTreeSet<IpNet>) -> Statement {
    if egress.is_empty() {
        statement
    } else {
        statement.when(
            Key::SourceIp,
            Test::NotIpAddress(joined(egress.iter().copied())),
        )
    }
}

/// A VPC's id as a part of a statement's name: letters and digits.
fn named(vpc: &VpcId) -> String {
    vpc.as_str().split('-').map(capitalised).collect()
}

/// From the internet, tokens of no VPC that has a group.
fn public_other<'a>(vpcs: impl Iterator<Item = &'a VpcId>) -> Statement {
    let vpcs = vpcs.map(Text::literal).collect();
    from_the_internet("PublicOther").when(Key::Ec2InstanceSourceVpc, Test::StringNotEquals(vpcs))
}

/// Through an endpoint, only in the token's own VPC, or in a hub.
fn endpoint_vpc<'a>(hubs: impl Iterator<Item = &'a VpcId>) -> Statement {
    let own = Text::variable(Key::Ec2InstanceSourceVpc);
    let homes = [own].into_iter().chain(hubs.map(Text::literal)).collect();
    through_an_endpoint("EndpointVpc").when(Key::SourceVpc, Test::StringNotEquals(homes))
}

/// Through an endpoint over IPv4, only from the host's primary address or one of `more`.
fn endpoint_ipv4(more: &BTreeSet<Ipv4Net>) -> Statement {
    let statement = through_an_endpoint("EndpointIpv4")
        .when(Key::VpcSourceIp, Test::IpAddress(ANY_IPV4.to_vec()))
        .when(
            Key::Ec2InstanceSourcePrivateIpv4,
            Test::StringNotEquals(vec![Text::variable(Key::VpcSourceIp)]),
        );
    unless_from(statement, more.iter().copied().map(IpNet::V4))
}

/// Through an endpoint over IPv6, only from `addresses`: no key tells the IPv6 address of the host
/// that a credential was delivered to.
fn endpoint_ipv6(addresses: &BTreeSet<Ipv6Net>) -> Statement {
    let statement = through_an_endpoint("EndpointIpv6")
        .when(Key::VpcSourceIp, Test::IpAddress(ANY_IPV6.to_vec()));
    unless_from(statement, addresses.iter().copied().map(IpNet::V6))
}

fn unless_from(statement: Statement, addresses: impl Iterator<Item = IpNet>) -> Statement {
    let addresses = joined(addresses);
    if addresses.is_empty() {
        statement
    } else {
        statement.when(Key::VpcSourceIp, Test::NotIpAddress(addresses))
    }
}

fn from_the_internet(sid: impl Into<String>) -> Statement {
    pinned(sid).when(Key::SourceVpc, Test::Null(true))
}

fn through_an_endpoint(sid: impl Into<String>) -> Statement {
    pinned(sid).when(Key::SourceVpc, Test::Null(false))
}

/// What every statement of a pin has: it denies only calls signed with a credential that EC2
/// delivered, and not those that a service makes for the caller.
fn pinned(sid: impl Into<String>) -> Statement {
    statement_about_all(sid)
        .when(Key::SourceInstanceArn, Test::Null(false))
        .when(Key::ViaAwsService, Test::BoolIfExists(false))
}

/// All calls but of the exempt data planes.
fn statement_about_all(sid: impl Into<String>) -> Statement {
    // One list for all the statements that there are: an account has tens of thousands.
    static NOT_EXEMPT: LazyLock<Arc<Actions>> = LazyLock::new(|| {
        let exempt = EXEMPT_ACTIONS.iter().map(ToString::to_string);
        Actions::AllBut(exempt.collect()).into()
    });
    Statement::deny(sid, NOT_EXEMPT.clone())
}

fn capitalised(part: &str) -> String {
    let mut letters = part.chars();
    letters
        .next()
        .map(|first| first.to_ascii_uppercase().to_string() + letters.as_str())
        .unwrap_or_default()
}
