//! A small account to plan for, built in the words of its owner.
//!
//! `Fleet::new()` has one region, account 111122223333, and nothing in it. Ids are given without
//! their prefix: host `web1` is `i-web1`.

#![allow(dead_code, reason = "each test file uses some of it")]

mod judged;
pub(crate) mod random;

use std::{collections::BTreeSet, net::Ipv4Addr};

use credpin_core::{
    estate::{
        Destination, Estate, Gap, Instance, InstanceState, Interface, LivePolicy, LiveVersion, Nat,
        PrivateIpv4, Region, Role, Route, RouteTable, Subnet, Target,
    },
    explain::{Verdict, explain},
    id::PolicyName,
    plan::{self, Plan, Step, policy_arn, policy_name, role_of},
    policy::Document,
    position::Position,
    settings::{ChainedRule, Mode, Settings},
};
use credpin_ledger::Record;

pub(crate) const NOW: &str = "2026-11-23T12:00:00Z";
const REGION: &str = "eu-west-1";

#[derive(Clone)]
pub(crate) struct Fleet {
    pub(crate) estate: Estate,
    pub(crate) settings: Settings,
}

impl Fleet {
    pub(crate) fn new() -> Self {
        let mut estate = Estate {
            account: Some(id("111122223333")),
            ..Estate::default()
        };
        estate.regions.insert(id(REGION), Region::default());
        let settings = Settings {
            mode: Mode::Enforce,
            without_replay: true,
            ..Settings::default()
        };
        Self { estate, settings }
    }

    /// VPC `a` with a public subnet `apub`, a NAT gateway `a` there at `nat`, and a private subnet
    /// `a` that routes everything to it.
    pub(crate) fn usual_vpc(self, name: &str, nat: &str) -> Self {
        let public = format!("{name}pub");
        self.subnet(&public, name)
            .route(&public, "0.0.0.0/0", Target::InternetGateway)
            .nat(name, &public, &[nat])
            .subnet(name, name)
            .route(name, "0.0.0.0/0", via_nat(name))
    }

    pub(crate) fn region(&mut self) -> &mut Region {
        self.estate.regions.get_mut(REGION).expect("made in new")
    }

    pub(crate) fn subnet(mut self, name: &str, vpc: &str) -> Self {
        let subnet = Subnet {
            id: id(&format!("subnet-{name}")),
            vpc: id(&format!("vpc-{vpc}")),
            ipv4: None,
            ipv6: Vec::new(),
            maps_public_ipv4: false,
            assigns_ipv6: false,
        };
        let table = RouteTable {
            id: id(&format!("rtb-{name}")),
            vpc: subnet.vpc.clone(),
            main: false,
            subnets: [subnet.id.clone()].into(),
            routes: vec![Route {
                destination: Destination::V4("10.0.0.0/16".parse().unwrap()),
                target: Target::Local,
            }],
        };
        self.region().route_tables.insert(table.id.clone(), table);
        self.region().subnets.insert(subnet.id.clone(), subnet);
        self
    }

    /// The IPv4 prefix of a subnet. One that has none told is a subnet whose hosts are told apart
    /// one by one or not at all.
    pub(crate) fn ipv4(mut self, subnet: &str, prefix: &str) -> Self {
        let subnet = format!("subnet-{subnet}");
        let subnets = &mut self.region().subnets;
        let subnet = subnets.get_mut(subnet.as_str()).expect("subnet() first");
        subnet.ipv4 = Some(prefix.parse().unwrap());
        self
    }

    /// An IPv6 prefix of a subnet.
    pub(crate) fn ipv6(mut self, subnet: &str, prefix: &str) -> Self {
        let subnet = format!("subnet-{subnet}");
        let subnets = &mut self.region().subnets;
        let subnet = subnets.get_mut(subnet.as_str()).expect("subnet() first");
        subnet.ipv6.push(prefix.parse().unwrap());
        self
    }

    pub(crate) fn route(mut self, subnet: &str, to: &str, target: Target) -> Self {
        let destination = match to.parse() {
            Ok(ipnet::IpNet::V4(net)) => Destination::V4(net),
            Ok(ipnet::IpNet::V6(net)) => Destination::V6(net),
            Err(_) => Destination::PrefixList(to.to_owned()),
        };
        let table = format!("rtb-{subnet}");
        let table = self
            .region()
            .route_tables
            .get_mut(table.as_str())
            .expect("subnet() first");
        table.routes.push(Route {
            destination,
            target,
        });
        self
    }

    pub(crate) fn nat(mut self, name: &str, subnet: &str, public: &[&str]) -> Self {
        let nat = Nat {
            id: id(&format!("nat-{name}")),
            subnet: Some(id(&format!("subnet-{subnet}"))),
            public: !public.is_empty(),
            public_ipv4: public.iter().map(|a| a.parse().unwrap()).collect(),
            private_ipv4: vec!["10.0.0.200".parse().unwrap()],
            grows: false,
            route_table: None,
            appliance: None,
        };
        self.region().nat_gateways.insert(nat.id.clone(), nat);
        self
    }

    pub(crate) fn host(self, name: &str, role: &str, subnet: &str, private: &str) -> Self {
        self.role(role)
            .edit_role(role, |it| it.profiles.extend([profile(role)]))
            .host_with(name, Some(role), subnet, &[(private, None)], &[])
    }

    pub(crate) fn public_host(
        self,
        name: &str,
        role: &str,
        subnet: &str,
        private: &str,
        public: &str,
    ) -> Self {
        self.role(role)
            .edit_role(role, |it| it.profiles.extend([profile(role)]))
            .host_with(name, Some(role), subnet, &[(private, Some(public))], &[])
    }

    pub(crate) fn host_with(
        mut self,
        name: &str,
        role: Option<&str>,
        subnet: &str,
        ipv4: &[(&str, Option<&str>)],
        ipv6: &[&str],
    ) -> Self {
        let subnet = self.region().subnets[format!("subnet-{subnet}").as_str()].clone();
        let ipv4: Vec<PrivateIpv4> = ipv4
            .iter()
            .map(|(private, public)| PrivateIpv4 {
                private: private.parse().unwrap(),
                public: public.map(|p| p.parse().unwrap()),
            })
            .collect();
        let instance = Instance {
            id: id(&format!("i-{name}")),
            state: InstanceState::Running,
            profile: role.map(profile),
            vpc: subnet.vpc.clone(),
            subnet: subnet.id.clone(),
            primary_ipv4: ipv4.first().map(|pair| pair.private),
            interfaces: vec![Interface {
                vpc: subnet.vpc.clone(),
                id: id(&format!("eni-{name}")),
                subnet: subnet.id,
                ipv4,
                ipv6: ipv6.iter().map(|a| a.parse().unwrap()).collect(),
                ipv4_prefixes: Vec::new(),
                ipv6_prefixes: Vec::new(),
            }],
        };
        self.region()
            .instances
            .insert(instance.id.clone(), instance);
        self
    }

    pub(crate) fn role(mut self, name: &str) -> Self {
        self.estate.roles.entry(id(name)).or_insert_with(|| Role {
            name: id(name),
            id: format!("AROA{}", name.to_uppercase()),
            arn: id(&format!("arn:aws:iam::111122223333:role/{name}")),
            path: "/".into(),
            tags: [].into(),
            trusted: BTreeSet::new(),
            trusted_services: BTreeSet::new(),
            trusted_providers: BTreeSet::new(),
            profiles: [profile(name)].into(),
            attached: BTreeSet::new(),
            last_used: None,
        });
        self
    }

    pub(crate) fn edit_table(mut self, subnet: &str, change: impl FnOnce(&mut RouteTable)) -> Self {
        let table = format!("rtb-{subnet}");
        let tables = &mut self.region().route_tables;
        change(
            tables
                .get_mut(table.as_str())
                .expect("a table of this fleet"),
        );
        self
    }

    pub(crate) fn gap(mut self, what: &str) -> Self {
        self.estate.gaps.insert(Gap {
            region: Some(id(REGION)),
            what: what.into(),
            why: "timed out on page 3".into(),
        });
        self
    }

    pub(crate) fn settings(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(&mut self.settings);
        self
    }

    pub(crate) fn edit_role(mut self, name: &str, change: impl FnOnce(&mut Role)) -> Self {
        change(
            self.estate
                .roles
                .get_mut(name)
                .expect("a role of this fleet"),
        );
        self
    }

    /// A role without instances that these may assume: roles of the fleet, or principals as a trust policy
    /// has them.
    pub(crate) fn assumed(self, name: &str, by: &[&str]) -> Self {
        let is_new = !self.estate.roles.contains_key(name);
        self.role(name).edit_role(name, |role| {
            if is_new {
                role.profiles.clear();
            }
            for principal in by {
                let word = |c: char| c.is_ascii_lowercase();
                role.trusted.insert(if principal.chars().all(word) {
                    format!("arn:aws:iam::111122223333:role/{principal}")
                } else {
                    (*principal).to_owned()
                });
            }
        })
    }

    /// The same with `deploy`, which `web` may assume, and `admin`, which `deploy` may: both opted in.
    pub(crate) fn with_a_chain(self) -> Self {
        self.assumed("deploy", &["web"])
            .assumed("admin", &["deploy"])
            .chained("*", |_| {})
    }

    /// The same with what another fleet of the same roles has in IAM.
    pub(crate) fn with_policies_of(mut self, before: &Fleet) -> Self {
        self.estate.policies.clone_from(&before.estate.policies);
        for (name, role) in &mut self.estate.roles {
            role.attached
                .clone_from(&before.estate.roles[name].attached);
        }
        self
    }

    /// Opts a role in whose sessions others make.
    pub(crate) fn chained(self, name: &str, change: impl FnOnce(&mut ChainedRule)) -> Self {
        let mut rule = ChainedRule::new(id(name), Mode::Enforce);
        change(&mut rule);
        self.settings(|settings| settings.chained.push(rule))
    }

    pub(crate) fn edit_policy(mut self, role: &str, change: impl FnOnce(&mut LivePolicy)) -> Self {
        let name = policy_name(&id(role));
        change(self.estate.policies.get_mut(&name).expect("a pinned role"));
        self
    }

    pub(crate) fn plan(&self) -> Plan {
        self.plan_with(&[], &self.settings)
    }

    /// The same with records, or by other settings.
    pub(crate) fn plan_with(&self, records: &[Record], settings: &Settings) -> Plan {
        let plan = plan::plan(&self.estate, records, settings, NOW.parse().unwrap());
        judged::note(&self.estate, settings, &plan);
        plan
    }

    /// The pin that the plan calls for: the one document that it has, or all of them as if one.
    pub(crate) fn pin(&self, role: &str) -> Document {
        let plan = self.plan();
        let role = plan.role(&id(role)).expect("a role of this fleet");
        let pin = role.pin.clone().expect("a role with hosts");
        let statements = pin
            .policies
            .into_iter()
            .flat_map(|policy| policy.document.statements)
            .collect();
        Document { statements }
    }

    /// The account after all steps of its plan, or the first `steps` of them.
    pub(crate) fn applied(mut self, steps: usize) -> Self {
        for step in self.plan().steps().take(steps) {
            self.carry_out(step);
        }
        self
    }

    /// The account after the first steps of one role.
    pub(crate) fn applied_to(mut self, role: &str, steps: usize) -> Self {
        let plan = self.plan();
        let role = plan.role(&id(role)).expect("a role of this fleet");
        for step in role.steps.iter().take(steps) {
            self.carry_out(step);
        }
        self
    }

    fn carry_out(&mut self, step: &Step) {
        let role = self
            .estate
            .roles
            .get_mut(step.role())
            .expect("a role of this fleet");
        let Some(arn) = step.arn() else {
            return; // A wait changes nothing.
        };
        let name: PolicyName = id(arn.as_str().rsplit('/').next().expect("its name"));
        match step {
            Step::CreatePolicy { arn, document, .. } => {
                assert_eq!(*arn, policy_arn(role, &name));
                assert_eq!(role_of(&name).as_ref(), Some(&role.name));
                let first = LiveVersion {
                    id: id("v1"),
                    default: true,
                    created: None,
                    text: Some(document.to_json()),
                };
                let policy = LivePolicy {
                    name: name.clone(),
                    arn: arn.clone(),
                    released: false,
                    versions: vec![first],
                };
                assert!(
                    self.estate.policies.insert(name, policy).is_none(),
                    "it exists"
                );
            }
            Step::CreateVersion { document, .. } => {
                let policy = self
                    .estate
                    .policies
                    .get_mut(&name)
                    .expect("an existing policy");
                assert!(policy.versions.len() < 5, "a sixth version fails");
                let next = policy
                    .versions
                    .iter()
                    .map(|v| v.id.number())
                    .max()
                    .unwrap_or(0)
                    + 1;
                policy
                    .versions
                    .iter_mut()
                    .for_each(|version| version.default = false);
                policy.versions.push(LiveVersion {
                    id: id(&format!("v{next}")),
                    default: true,
                    created: None,
                    text: Some(document.to_json()),
                });
            }
            Step::DeleteVersion { version, .. } => {
                let policy = self
                    .estate
                    .policies
                    .get_mut(&name)
                    .expect("an existing policy");
                policy.versions.retain(|v| v.id != *version || v.default);
            }
            Step::Wait { .. } => unreachable!("it has no policy"),
            Step::Attach { arn, .. } => assert!(role.attached.insert(arn.clone())),
            Step::Detach { arn, .. } => assert!(role.attached.remove(arn)),
        }
    }
}

pub(crate) fn id<T: std::str::FromStr>(text: &str) -> T {
    text.parse()
        .unwrap_or_else(|_| panic!("{text} is no {}", std::any::type_name::<T>()))
}

/// The statement that denies a token of `instance` used from `position`; none if it is admitted.
pub(crate) fn denied(fleet: &Fleet, role: &str, instance: &str, position: &str) -> Option<String> {
    let position: Position = position.parse().unwrap();
    let plan = fleet.plan();
    let explanation = explain(
        &fleet.estate,
        &plan,
        &id(role),
        &id(instance),
        &position,
        "s3:GetObject",
    )
    .unwrap();
    match explanation.pinned.expect("a role with hosts") {
        Verdict::Allowed => None,
        Verdict::Denied { statement, .. } => Some(statement),
    }
}

pub(crate) fn via_nat(name: &str) -> Target {
    Target::Nat(id(&format!("nat-{name}")))
}

pub(crate) fn transit_gateway() -> Target {
    Target::Opaque("transit gateway tgw-1".into())
}

pub(crate) fn ipv4(text: &str) -> Ipv4Addr {
    text.parse().unwrap()
}

fn profile(role: &str) -> credpin_core::id::Arn {
    id(&format!(
        "arn:aws:iam::111122223333:instance-profile/{role}"
    ))
}
