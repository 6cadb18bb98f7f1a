//! Where sessions of a role come from that were made by assuming it.
//!
//! A session of `AssumeRole` is used where whoever assumed the role is. So the trust policies are followed
//! back: a role that may assume it brings the footprint of its own instances along, and then whoever may
//! assume that role comes in question. That ends at instances, whose egress is known, or at somebody of
//! whom nothing is known: a user, a service, another account. Those the operator has to answer for, but for roles of
//! other accounts of the same job, where these are [looked at](super::Elsewhere) too.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use ipnet::IpNet;
use serde::Serialize;

use super::{Assumers, assumers, elsewhere::Places};
use crate::{
    egress::Unknown,
    estate::{Estate, Role},
    footprint::{Footprint, Host, Launch, LaunchGap},
    id::{Arn, RoleName, VpcId},
    settings::{ChainedRule, Glob, Settings},
};

/// EC2 as a principal, in its partitions.
const EC2: [&str; 2] = ["ec2.amazonaws.com", "ec2.amazonaws.com.cn"];

/// Who may have a session of a role by assuming it, and where they call from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Callers {
    /// Roles whose instances may, be it by way of other roles.
    pub roles: BTreeSet<RoleName>,
    /// Live instances of these, shared with whatever else the same roles may assume.
    #[serde(skip)]
    hosts: Vec<Arc<[Host]>>,
    /// Subnets that more of them may be launched in.
    #[serde(skip)]
    pub launches: Vec<Launch>,
    /// Public prefixes that all of them leave from, and what the config adds.
    pub public: BTreeSet<IpNet>,
    /// VPCs whose endpoints they use, and what the config adds.
    pub vpcs: BTreeSet<VpcId>,
    /// Of these, what the config adds.
    #[serde(skip)]
    pub stated: Stated,
    /// Roles of other accounts of the job whose instances may.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub elsewhere: BTreeSet<Arn>,
    /// Of all prefixes and VPCs, those of their sessions.
    #[serde(skip)]
    pub(crate) of_elsewhere: Stated,
    /// Those of whom it is not known where they call from.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub strangers: BTreeSet<Stranger>,
    /// Roles that instances may have, and none has now.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub absent: BTreeSet<RoleName>,
    /// What could not be told about where the instances leave.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub unknown: BTreeSet<Unknown>,
    /// Why one that is launched now would be denied until the next run.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub launch_gaps: BTreeSet<LaunchGap>,
}

/// Where callers are, by the operator's word.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stated {
    /// Public prefixes.
    pub prefixes: BTreeSet<IpNet>,
    /// VPCs.
    pub vpcs: BTreeSet<VpcId>,
}

/// Somebody who may assume a role, and of whom it is not known where he calls from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Stranger {
    /// Who, as the trust policy says it.
    pub principal: String,
    /// What he is.
    pub kind: StrangerKind,
    /// The role that he may assume.
    pub role: RoleName,
    /// What stands for that role as a whole, where it is another one than the one that is to be pinned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by_way_of: Option<String>,
}

/// What a [`Stranger`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StrangerKind {
    /// A service of AWS.
    Service,
    /// All of the role's own account.
    Account,
    /// A user, somebody of another account or of an identity provider, or anybody.
    Principal,
}

/// Live instances, by their role.
pub(crate) type HostsOf<'a> = BTreeMap<&'a RoleName, Arc<[Host]>>;

/// Every role's trust policy, and what its instances' footprints are.
pub(crate) struct Chains<'a> {
    estate: &'a Estate,
    settings: &'a Settings,
    footprints: &'a BTreeMap<RoleName, Footprint>,
    by_id: BTreeMap<&'a str, &'a RoleName>,
}

impl<'a> Chains<'a> {
    pub(crate) fn new(
        estate: &'a Estate,
        settings: &'a Settings,
        footprints: &'a BTreeMap<RoleName, Footprint>,
    ) -> Self {
        Self {
            estate,
            settings,
            footprints,
            by_id: super::by_id(estate),
        }
    }

    /// The callers of `role`; `hosts` are those of roles that were met before. Its own instances are among
    /// them only where they may assume it, be it by way of another role.
    pub(crate) fn callers(&self, role: &Role, hosts: &mut HostsOf<'a>) -> Callers {
        let mut callers = Callers::default();
        let mut seen: BTreeSet<&RoleName> = BTreeSet::new();
        let mut rest = vec![role];
        while let Some(of) = rest.pop() {
            let said = self.settings.chained_rule(of);
            let mut by = assumers(of, self.estate, &self.by_id);
            let elsewhere = &self.settings.elsewhere;
            let is_said = |it: &str| said.is_some_and(|rule| rule.callers.contains(it));
            // Whom the config answers for it answers for.
            by.others.retain(|other| match elsewhere.places(other) {
                Some(places) if !is_said(other) => {
                    callers.add_elsewhere(places);
                    false
                }
                _ => true,
            });
            callers.stranger(of, role, &by, said, self.are_there(said));
            if let Some(rule) = said {
                callers.state(rule);
            }
            for next in self.next(&by, said) {
                if !seen.insert(&next.name) {
                    continue;
                }
                match self.footprints.get(&next.name) {
                    Some(footprint) => {
                        let hosts = hosts.entry(&next.name);
                        let hosts = hosts.or_insert_with(|| footprint.hosts.as_slice().into());
                        callers.add(&next.name, footprint, Arc::clone(hosts));
                    }
                    None if next.trusted_services.iter().any(|it| is_ec2(it)) => {
                        callers.absent.insert(next.name.clone());
                    }
                    None => {}
                }
                rest.push(next);
            }
        }
        callers
    }

    /// Whether each of the `assumed-by` names a role: a slip of the pen answers for nobody.
    fn are_there(&self, rule: Option<&ChainedRule>) -> bool {
        let globs = rule.map_or(&[][..], |rule| &rule.assumed_by);
        let is_there = |glob: &Glob| {
            let mut names = self.estate.roles.keys();
            names.any(|name| glob.matches(name.as_str()))
        };
        !globs.is_empty() && globs.iter().all(is_there)
    }

    /// The roles of the account that may assume a role, but for those that the config answers for.
    fn next(&self, by: &Assumers, rule: Option<&ChainedRule>) -> Vec<&'a Role> {
        let named = by
            .roles
            .iter()
            .filter_map(|name| self.estate.roles.get(name));
        // All roles are looked through only where one of them may be said.
        let globs = rule.map_or(&[][..], |rule| &rule.assumed_by);
        let is_asked = (by.account || by.anybody) && !globs.is_empty();
        let all = is_asked.then(|| self.estate.roles.values());
        let is_said = |role: &&Role| globs.iter().any(|glob| glob.matches(role.name.as_str()));
        let said = all.into_iter().flatten().filter(is_said);
        named
            .chain(said)
            .filter(|role| !rule.is_some_and(|rule| rule.callers.contains(role.arn.as_str())))
            .collect()
    }
}

/// Whether that is EC2, which delivers a role's credentials to its instances.
pub(crate) fn is_ec2(service: &str) -> bool {
    EC2.contains(&service)
}

impl Callers {
    /// Whether nothing at all is known of where they call from.
    pub fn is_empty(&self) -> bool {
        self.roles.is_empty() && self.public.is_empty() && self.vpcs.is_empty()
    }

    /// Live instances that may.
    pub fn hosts(&self) -> impl Iterator<Item = &Host> {
        self.hosts.iter().flat_map(|of_role| of_role.iter())
    }

    pub(super) fn add(&mut self, role: &RoleName, footprint: &Footprint, hosts: Arc<[Host]>) {
        self.roles.insert(role.clone());
        self.hosts.push(hosts);
        self.launches.extend(footprint.launches.iter().cloned());
        for (vpc, egress) in &footprint.egress {
            self.vpcs.insert(vpc.clone());
            self.public.extend(egress);
        }
        self.unknown.extend(footprint.unknown.iter().cloned());
        // Endpoints are known by their VPC, so private addresses do not matter.
        let gaps = footprint.launch_gaps.iter();
        let gaps = gaps.filter(|gap| !matches!(gap, LaunchGap::SeveralAddresses(_)));
        self.launch_gaps.extend(gaps.cloned());
    }

    fn add_elsewhere(&mut self, places: &Places) {
        self.elsewhere.insert(places.arn.clone());
        self.of_elsewhere.prefixes.extend(&places.public);
        self.of_elsewhere.vpcs.extend(places.vpcs.iter().cloned());
        self.public.extend(&places.public);
        self.vpcs.extend(places.vpcs.iter().cloned());
        self.unknown.extend(places.unknown.iter().cloned());
        self.launch_gaps.extend(places.launch_gaps.iter().cloned());
    }

    fn state(&mut self, rule: &ChainedRule) {
        self.stated.prefixes.extend(&rule.prefixes);
        self.stated.vpcs.extend(rule.vpcs.iter().cloned());
        self.public.extend(&rule.prefixes);
        self.vpcs.extend(rule.vpcs.iter().cloned());
    }

    /// Takes in those who may assume `of`, on the way to `role`, and are nobody that the config answers for.
    fn stranger(
        &mut self,
        of: &Role,
        role: &Role,
        by: &Assumers,
        answers: Option<&ChainedRule>,
        roles_are_said: bool,
    ) {
        let said = |principal: &str| answers.is_some_and(|rule| rule.callers.contains(principal));
        let mut add = |principal: &str, kind| {
            self.strangers.insert(Stranger {
                principal: principal.to_owned(),
                kind,
                role: of.name.clone(),
                by_way_of: (of.name != role.name).then(|| of.arn.to_string()),
            });
        };
        for service in by.services.iter().filter(|it| !is_ec2(it)) {
            add(service, StrangerKind::Service);
        }
        let (partition, account) = (of.arn.partition(), of.arn.account());
        let root = format!("arn:{partition}:iam::{account}:root");
        if by.account && !roles_are_said && !said(&root) && !said(account) {
            add(&root, StrangerKind::Account);
        }
        let anybody = by.anybody.then_some("*");
        let others = by.others.iter().map(String::as_str).chain(anybody);
        for other in others.filter(|other| !said(other)) {
            add(other, StrangerKind::Principal);
        }
    }
}

impl fmt::Display for Stranger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            principal,
            kind,
            role,
            by_way_of,
        } = self;
        let who = if principal == "*" {
            "anybody"
        } else {
            principal
        };
        write!(
            f,
            "{who} may assume {role}, and where such a call comes from is not known; "
        )?;
        match kind {
            StrangerKind::Service => {
                f.write_str("give the service a role of its own")?;
            }
            StrangerKind::Account => write!(
                f,
                "name the roles that do in its [[chained]]: assumed-by = [\"…\"], or all of it in callers, with \
                 the prefixes and vpcs that it calls from"
            )?,
            StrangerKind::Principal => write!(
                f,
                "say so in the [[chained]] of {role}: callers = [\"{principal}\"], with the prefixes and vpcs that \
                 it calls from"
            )?,
        }
        match by_way_of {
            Some(arn) => write!(
                f,
                "; or answer for {role} as a whole where it is assumed from: callers = [\"{arn}\"]"
            ),
            None => Ok(()),
        }
    }
}
