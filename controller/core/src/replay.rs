//! Which real calls a plan's pins would have denied.
//!
//! ```text
//!  Event ──▶ is it of an instance's credential, or of a session that somebody made by assuming a role, and has that role
//!              │ a pin for such?
//!              │ the requests that it may have been ──▶ evaluate ──▶ all pass | all denied | unknown
//!              ▼
//!            Replay: per role how many of each, and in groups what was denied or unknown
//! ```
//!
//! CloudTrail holds no condition keys. What can be derived is: the address, the endpoint's VPC, the
//! service that called on somebody's behalf, where the credential was delivered. What cannot is left
//! open: the pins are asked about every value that it may have had, and a call passes, or is denied,
//! only where that makes no difference. Calls that CloudTrail does not record are unseen
//! ([`Replay::unseen`]): neither they nor unknown ones ever count as passing.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
    sync::Arc,
};

use serde::Serialize;

use crate::{
    cloudtrail::{Event, Fold},
    egress::is_private,
    evaluate,
    footprint::Host,
    id::{AccountId, RoleName, VpcId},
    lineage::{Homes, Place, Shared, Use, pool::Pool, short},
    pin::{Listed, chained_vpcs, is_chained},
    policy::Document,
    request::{Key, Request},
};

mod groups;
mod makers;
#[cfg(test)]
mod tests;
mod triage;

use groups::Groups;
pub use triage::{Cause, Denials, Denied, triage};

/// The pins that are replayed against, and what is known of where calls come from.
#[derive(Clone, Debug, Default)]
pub struct Pins {
    /// The account that they are of.
    pub account: Option<AccountId>,
    /// By role.
    pub roles: BTreeMap<RoleName, PinnedRole>,
    /// VPC endpoints, hosts and hubs.
    pub homes: Homes,
}

/// A role with its pin.
#[derive(Clone, Debug, Default)]
pub struct PinnedRole {
    /// What the pin says.
    pub documents: Vec<Document>,
    /// Its live hosts.
    pub hosts: Vec<Host>,
}

/// History, run against pins.
#[derive(Debug)]
pub struct Replay {
    pins: Arc<Pins>,
    roles: BTreeMap<RoleName, Figures>,
    groups: Groups,
    recorded: BTreeSet<&'static str>,
    pool: Pool,
    /// What became of calls of which all that bears on it was the same.
    known: HashMap<String, Known>,
    line: String,
}

/// A role's calls, by what becomes of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Figures {
    /// All that were made with its instances' credentials.
    pub calls: u64,
    /// Would pass.
    pub pass: u64,
    /// Made by a service on a host's behalf, which pins leave alone.
    pub by_service: u64,
    /// Were denied anyway.
    pub denied_already: u64,
    /// Would be denied.
    pub denied: u64,
    /// Cannot be told.
    pub unknown: u64,
}

/// Calls that have the same fate for the same reason.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Group {
    /// The role.
    pub role: RoleName,
    /// What becomes of them.
    pub fate: Fate,
    /// From where.
    pub place: Place,
    /// The service that was called.
    pub service: Shared,
    /// The program that called, by its own word.
    pub caller: Shared,
    /// The statement that denies them, or what is not known.
    pub reason: Shared,
}

/// What is not a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// The pin would deny it.
    Denied,
    /// It cannot be told.
    Unknown,
}

/// How often, and one of the instances.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Found {
    /// How often.
    #[serde(rename = "use")]
    pub uses: Use,
    /// The first in order of the instances whose credentials were used.
    pub instance: Shared,
}

/// What becomes of a call.
#[derive(Debug)]
enum Outcome {
    Pass,
    Denied(String),
    Unknown(&'static str),
}

/// An outcome that is remembered.
#[derive(Clone, Copy, Debug)]
enum Known {
    Pass,
    /// With the place of the group that such calls are in.
    Grouped(Fate, usize),
}

/// Outcomes that are remembered.
const KNOWN: usize = 1 << 16;

/// Services with calls that a trail leaves out unless it is told to take in data events (CloudTrail
/// User Guide, "Logging data events"), each with what those are.
const DATA_EVENTS: [(&str, &str); 8] = [
    ("bedrock", "model invocations"),
    ("dynamodb", "items"),
    ("kinesis", "records"),
    ("lambda", "invocations"),
    ("s3", "objects"),
    ("sns", "messages published"),
    ("sqs", "messages"),
    ("states", "executions"),
];

impl Replay {
    /// Nothing replayed yet.
    pub fn new(pins: Arc<Pins>) -> Self {
        Self {
            pins,
            roles: BTreeMap::new(),
            groups: Groups::default(),
            recorded: BTreeSet::new(),
            pool: Pool::default(),
            known: HashMap::new(),
            line: String::new(),
        }
    }

    /// Every role that has a pin, with its figures.
    pub fn roles(&self) -> impl Iterator<Item = (&RoleName, Figures)> {
        let of = |role| self.roles.get(role).copied().unwrap_or_default();
        self.pins.roles.keys().map(move |role| (role, of(role)))
    }

    /// What would be denied and what is unknown.
    pub fn groups(&self) -> impl Iterator<Item = (&Group, &Found)> {
        self.groups.iter()
    }

    /// Whether there were more groups than are kept.
    pub fn has_more(&self) -> bool {
        self.groups.has_more()
    }

    /// Addresses that a role's own calls came from and its pin's egress does not contain, with how
    /// often: the model of egress is wrong about them, or somebody else has the token.
    pub fn strange_addresses(&self) -> BTreeMap<(&RoleName, &Shared), Found> {
        let mut addresses: BTreeMap<_, Found> = BTreeMap::new();
        for (group, found) in self.groups.iter() {
            if group.fate == Fate::Denied && group.place.endpoint.is_none() {
                let key = (&group.role, &group.place.address);
                match addresses.get_mut(&key) {
                    Some(known) => known.merge(found),
                    None => drop(addresses.insert(key, found.clone())),
                }
            }
        }
        addresses
    }

    /// Whether the role's pin is about sessions that others make by assuming it, and their calls were looked at.
    pub fn looks_at_sessions_of_others(&self, role: &RoleName) -> bool {
        let role = self.pins.roles.get(role);
        role.is_some_and(PinnedRole::has_chained)
    }

    /// Services whose data events the trail does not have, each with what is unseen of it.
    pub fn unseen(&self) -> Vec<(&'static str, &'static str)> {
        let is_unseen = |(service, _): &(&str, &str)| !self.recorded.contains(service);
        DATA_EVENTS.into_iter().filter(is_unseen).collect()
    }

    /// All roles' figures together.
    pub fn total(&self) -> Figures {
        let mut total = Figures::default();
        for figures in self.roles.values() {
            total.merge(figures);
        }
        total
    }

    /// Puts a call into its group, and gives the place of that.
    fn found(
        &mut self,
        event: &Event<'_>,
        role: &RoleName,
        instance: &str,
        fate: Fate,
        why: &str,
    ) -> usize {
        let pool = &mut self.pool;
        let address = event.source_ip_address.as_deref().unwrap_or("no address");
        let group = Group {
            role: role.clone(),
            fate,
            place: Place::new(pool, address, event.vpc_endpoint_id.as_deref()),
            service: pool.get(short(event.service().unwrap_or("no service"))),
            caller: pool.get(short(
                event.user_agent.as_deref().unwrap_or("no user agent"),
            )),
            reason: pool.get(why),
        };
        let mut found = Found {
            uses: Use::default(),
            instance: pool.get(short(instance)),
        };
        found.uses.add(event.time(), false);
        self.groups.keep(group, found)
    }

    /// What becomes of a call, which is counted in its group.
    fn outcome(
        &mut self,
        event: &Event<'_>,
        name: &RoleName,
        role: &PinnedRole,
        instance: &str,
    ) -> Known {
        let identity = &event.user_identity;
        self.line.clear();
        for part in [
            &identity.principal_id,
            &identity.session_context.ec2_role_delivery,
            &identity.session_context.ec2_issued_in_vpc,
            &event.source_ip_address,
            &event.vpc_endpoint_id,
            &event.event_source,
            &event.event_name,
            &event.user_agent,
        ] {
            self.line.push_str(part.as_deref().unwrap_or_default());
            self.line.push('\n');
        }
        self.line.push_str(name.as_str());
        if let Some(known) = self.known.get(&self.line) {
            if let Known::Grouped(_, place) = known {
                self.groups.again(*place, event.time());
            }
            return *known;
        }
        let outcome = decide(event, role, instance, &self.pins.homes);
        if self.known.len() >= KNOWN || self.groups.renumbers() {
            self.known.clear();
        }
        let mut grouped = |fate, why: &str| {
            let place = self.found(event, name, instance, fate, why);
            Known::Grouped(fate, place)
        };
        let known = match outcome {
            Outcome::Pass => Known::Pass,
            Outcome::Denied(statement) => grouped(Fate::Denied, &statement),
            Outcome::Unknown(why) => grouped(Fate::Unknown, why),
        };
        self.known.insert(self.line.clone(), known);
        known
    }
}

impl Fold for Replay {
    fn event(&mut self, event: &Event<'_>) {
        if event.event_category.as_deref() == Some("Data")
            && let Some(service) = event.service()
            && let Some((name, _)) = DATA_EVENTS.iter().find(|(name, _)| *name == service)
        {
            self.recorded.insert(name);
        }
        let pins = Arc::clone(&self.pins);
        let Some((name, role, instance)) = pins.role_of(event) else {
            return;
        };
        let mut figures = Figures {
            calls: 1,
            ..Figures::default()
        };
        if event.is_denied() {
            figures.denied_already = 1;
        } else if is_on_behalf(event) {
            figures.by_service = 1;
        } else {
            match self.outcome(event, name, role, instance) {
                Known::Pass => figures.pass = 1,
                Known::Grouped(Fate::Denied, _) => figures.denied = 1,
                Known::Grouped(Fate::Unknown, _) => figures.unknown = 1,
            }
        }
        match self.roles.get_mut(name) {
            Some(known) => known.merge(&figures),
            None => drop(self.roles.insert(name.clone(), figures)),
        }
    }

    fn merge(&mut self, other: Self) {
        for (role, figures) in other.roles {
            self.roles.entry(role).or_default().merge(&figures);
        }
        self.recorded.extend(other.recorded);
        self.groups.merge(other.groups);
    }
}

impl Pins {
    /// The pinned role whose session signed a call, and that session's name: an instance, or whatever who
    /// assumed the role called it.
    fn role_of<'a>(&self, event: &'a Event<'_>) -> Option<(&RoleName, &PinnedRole, &'a str)> {
        let identity = &event.user_identity;
        let session = identity.session_name()?;
        let issuer = &identity.session_context.session_issuer;
        if issuer.kind.as_deref().is_some_and(|kind| kind != "Role") {
            return None;
        }
        let ours = self.account.as_ref();
        let account = identity.account_id.as_deref();
        if ours.is_some_and(|ours| account.is_some_and(|account| account != ours.as_str())) {
            return None;
        }
        let (name, role) = self.roles.get_key_value(issuer.user_name.as_deref()?)?;
        let is_looked_at = identity.instance().is_some() || role.has_chained();
        is_looked_at.then_some((name, role, session))
    }
}

impl PinnedRole {
    /// Whether its pin is about sessions that others make by assuming it.
    fn has_chained(&self) -> bool {
        let mut statements = self.documents.iter().flat_map(|it| &it.statements);
        statements.any(is_chained)
    }

    /// VPCs whose endpoints such sessions may use.
    fn chained_vpcs(&self) -> impl Iterator<Item = String> {
        chained_vpcs(
            self.documents.iter().flat_map(|it| &it.statements),
            Listed::All,
        )
    }
}

/// Whether a service made the call on somebody's behalf: `aws:ViaAWSService` is true for it.
fn is_on_behalf(event: &Event<'_>) -> bool {
    let address = event.source_ip_address.as_deref().unwrap_or_default();
    event.is_by_service() || address.ends_with(".amazonaws.com")
}

/// What `role`'s pin makes of a call, whatever it may have been.
fn decide(event: &Event<'_>, role: &PinnedRole, instance: &str, homes: &Homes) -> Outcome {
    let host = role
        .hosts
        .iter()
        .find(|host| host.instance.as_str() == instance);
    let address = event.source_ip_address.as_deref().unwrap_or_default();
    let Ok(address) = address.parse::<IpAddr>() else {
        return Outcome::Unknown("it has no address");
    };
    if event.vpc_endpoint_id.is_none() && is_private(&address.into()) {
        return Outcome::Unknown("its address is private, and it names no endpoint");
    }
    let signed = sessions(event, role, host, instance);
    let mut denied_by = BTreeSet::new();
    let mut passes = false;
    for request in signed.requests {
        for request in placed(request, event, address, role, homes) {
            let documents = role.documents.iter();
            match evaluate::denied_by(documents, &request) {
                Some(statement) => drop(denied_by.insert(statement.sid.clone())),
                None => passes = true,
            }
        }
    }
    match (denied_by.into_iter().next(), passes) {
        (None, _) => Outcome::Pass,
        (Some(statement), false) => Outcome::Denied(statement),
        (Some(_), true) => Outcome::Unknown(signed.doubt),
    }
}

/// What a call may have been, as far as who made the session decides.
fn sessions(event: &Event<'_>, role: &PinnedRole, host: Option<&Host>, name: &str) -> Signed {
    let identity = &event.user_identity;
    let made = || Signed {
        requests: vec![made_by_hand(event)],
        doubt: UNKNOWN_ENDPOINT,
    };
    if identity.instance().is_none() {
        return made();
    }
    let mut signed = signed(event, role, host, name);
    // Who assumes a role may name the session as an instance.
    if role.has_chained() && identity.session_context.ec2_role_delivery.is_none() {
        signed.requests.extend(made().requests);
        signed.doubt = "whether EC2 delivered its credential is not on record";
    }
    signed
}

/// What a call may have been, as far as the credential decides.
struct Signed {
    requests: Vec<Request>,
    /// Why these may be decided differently.
    doubt: &'static str,
}

const UNKNOWN_ENDPOINT: &str = "its endpoint is none that is known";

/// A VPC and an address that are nobody's: ids of AWS are hexadecimal, and the address is of a block
/// for documentation.
const NO_VPC: &str = "vpc-0foreign";
const NO_ADDRESS: &str = "192.0.2.255";

/// A call by a session that EC2 did not deliver.
fn made_by_hand(event: &Event<'_>) -> Request {
    let identity = &event.user_identity;
    let session = &identity.session_context;
    let arn = session.session_issuer.arn.as_deref().unwrap_or_default();
    let action = format!(
        "{}:{}",
        event.service().unwrap_or_default(),
        event.event_name.as_deref().unwrap_or_default()
    );
    let request = Request::new(action)
        .with(Key::ViaAwsService, false)
        .with(Key::PrincipalArn, arn)
        .with(
            Key::UserId,
            identity.principal_id.as_deref().unwrap_or_default(),
        );
    match session.attributes.creation_date.as_deref() {
        Some(issued) => request.with(Key::TokenIssueTime, issued),
        None => request,
    }
}

fn signed(event: &Event<'_>, role: &PinnedRole, host: Option<&Host>, instance: &str) -> Signed {
    let identity = &event.user_identity;
    let session = &identity.session_context;
    let arn = session.session_issuer.arn.as_deref().unwrap_or_default();
    let partition = arn.split(':').nth(1).unwrap_or("aws");
    let account = identity.account_id.as_deref().unwrap_or_default();
    let region = host.map_or_else(
        || event.aws_region.as_deref().unwrap_or_default(),
        |host| host.region.as_str(),
    );
    let base = made_by_hand(event)
        .with(
            Key::SourceInstanceArn,
            format!("arn:{partition}:ec2:{region}:{account}:instance/{instance}"),
        )
        .with(
            Key::RoleDelivery,
            session.ec2_role_delivery.as_deref().unwrap_or("2.0"),
        );
    if let Some(host) = host {
        let request = base.with(Key::Ec2InstanceSourceVpc, &host.vpc);
        let requests = vec![match host.primary_ipv4 {
            Some(address) => request.with(Key::Ec2InstanceSourcePrivateIpv4, address),
            None => request,
        }];
        return Signed {
            requests,
            doubt: UNKNOWN_ENDPOINT,
        };
    }
    // A host that is gone: where it was may be on record, and what address it had is not.
    let vpcs: BTreeSet<String> = if let Some(vpc) = session.ec2_issued_in_vpc.as_deref() {
        [vpc.to_owned()].into()
    } else {
        let known = role.hosts.iter().map(|host| host.vpc.to_string());
        known.chain([NO_VPC.to_owned()]).collect()
    };
    let own = event.source_ip_address.as_deref().unwrap_or(NO_ADDRESS);
    let others = role.hosts.iter().filter_map(|host| host.primary_ipv4);
    let addresses: BTreeSet<String> = others
        .map(|address| address.to_string())
        .chain([own.to_owned(), NO_ADDRESS.to_owned()])
        .collect();
    let with_vpcs = vpcs
        .iter()
        .map(|vpc| base.clone().with(Key::Ec2InstanceSourceVpc, vpc));
    let requests = with_vpcs
        .flat_map(|request| {
            let key = Key::Ec2InstanceSourcePrivateIpv4;
            let all = addresses.iter();
            all.map(move |address| request.clone().with(key, address))
        })
        .collect();
    Signed {
        requests,
        doubt: "its instance is gone",
    }
}

/// `request` from where the call came.
fn placed(
    request: Request,
    event: &Event<'_>,
    address: IpAddr,
    role: &PinnedRole,
    homes: &Homes,
) -> Vec<Request> {
    let Some(endpoint) = event.vpc_endpoint_id.as_deref() else {
        return vec![request.with(Key::SourceIp, address)];
    };
    let request = request
        .with(Key::VpcSourceIp, address)
        .with(Key::SourceVpce, endpoint);
    let in_vpc = |vpc: &str| request.clone().with(Key::SourceVpc, vpc);
    if let Some(vpc) = homes.vpc_of(endpoint) {
        return vec![in_vpc(vpc.as_str())];
    }
    // Of another account, shared with this one; or a stranger's.
    let own = request.value(Key::Ec2InstanceSourceVpc);
    let of_callers: Vec<String> = match own {
        Some(_) => Vec::new(),
        None => role.chained_vpcs().collect(),
    };
    let callers = of_callers.iter().map(String::as_str);
    let hubs = homes.hubs().iter().map(VpcId::as_str);
    let known = hubs.chain(callers).chain(own);
    let vpcs: BTreeSet<&str> = known.chain([NO_VPC]).collect();
    vpcs.into_iter().map(in_vpc).collect()
}

impl Figures {
    fn merge(&mut self, other: &Self) {
        self.calls += other.calls;
        self.pass += other.pass;
        self.by_service += other.by_service;
        self.denied_already += other.denied_already;
        self.denied += other.denied;
        self.unknown += other.unknown;
    }
}

impl Found {
    fn merge(&mut self, other: &Self) {
        self.uses.merge(&other.uses);
        if other.instance < self.instance {
            self.instance = other.instance.clone();
        }
    }
}
