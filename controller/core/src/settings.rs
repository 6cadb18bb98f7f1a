//! What the operator decided, as far as it bears on a plan. Read from the config by the binary.

use std::{collections::BTreeSet, convert::Infallible, fmt, str::FromStr, sync::Arc};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::{
    chain::Elsewhere,
    estate::Role,
    id::{AccountId, Arn, SubnetId, VpcId},
    replayed::Replays,
    wildcard,
};

mod chained;
mod rollout;
mod safety;

pub use chained::ChainedRule;
pub use rollout::CanaryShare;
pub use safety::{IdleAfter, MaxNarrowing, PercentError, Propagation, ReplayMaxAge};

/// The role's tag that can tighten its mode.
pub const MODE_TAG: &str = "credpin:mode";

/// Policies that a role's pin may have where the operator does not say.
pub const DEFAULT_MAX_POLICIES: usize = 3;
/// Customer managed policies that an account can have by default (IAM User Guide, "IAM and STS
/// quotas"). AWS raises it up to 10,000.
pub const DEFAULT_POLICY_QUOTA: usize = 1500;

/// What is done about a role, from least to most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Nothing is written; the plan says what would be.
    #[default]
    Observe,
    /// Some roles are enforced, the others observed.
    Canary,
    /// The pin is written and kept true.
    Enforce,
}

/// The operator's decisions. The default is the safe one: every role is observed (invariant 9).
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of the operator's, and none bears on another"
)]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// For roles that no rule names.
    pub mode: Mode,
    /// Rules by role name; the first that matches decides.
    pub roles: Vec<RoleRule>,
    /// Rules for roles that others assume; the first that matches decides. A role that none names is left
    /// alone.
    pub chained: Vec<ChainedRule>,
    /// Where sessions of roles of other accounts come from that may assume these, as far as that was gathered.
    pub elsewhere: Arc<Elsewhere>,
    /// Whether these are decisions for several accounts: then it is no slip of the pen that they name what is
    /// not in this one.
    pub shared: bool,
    /// VPCs whose endpoints are home for everybody. `None` is "not said": routes that may lead to
    /// such endpoints then hold a role, and `Some` of nothing answers for them.
    pub hub_vpcs: Option<BTreeSet<VpcId>>,
    /// Egress that route tables cannot tell.
    pub egress: Vec<StatedEgress>,
    /// Also enforce where a new host is denied until the next run.
    pub allow_launch_gap: bool,
    /// Also deny sessions that were made of an instance's and do not show it.
    pub pin_derived: bool,
    /// Also deny the role's sessions to change its pin or the role.
    pub self_defence: bool,
    /// How lists name the IPv6 addresses of hosts.
    pub ipv6_lists: Lists,
    /// How lists name private IPv4 addresses of hosts that have more than one.
    pub private_ipv4_lists: Lists,
    /// Let lists take in addresses of others where nothing else fits.
    pub allow_lossy: bool,
    /// Policies that a role's pin may have at most; none said is [`DEFAULT_MAX_POLICIES`].
    pub max_policies: Option<usize>,
    /// Customer managed policies that the account can have; none said is [`DEFAULT_POLICY_QUOTA`].
    pub policy_quota: Option<usize>,
    /// Roles that are left alone, whatever else is said of them.
    pub exclude: Vec<Glob>,
    /// Which share of the roles in `canary` are enforced.
    pub canary_share: CanaryShare,
    /// How old a replay may be that a role's first pin wants.
    pub replay_max_age: ReplayMaxAge,
    /// A first pin wants no replay.
    pub without_replay: bool,
    /// What replays said.
    pub replays: Replays,
    /// How long IAM takes to show a write everywhere.
    pub propagation: Propagation,
    /// How much of a role's addresses may go in one run.
    pub max_narrowing: MaxNarrowing,
    /// How long a role without an instance may not have been used before it counts as idle.
    pub idle_after: IdleAfter,
    /// Write over what somebody else made of our policies.
    pub take_over: bool,
    /// The role that the controller itself runs as, which is never pinned.
    pub own_role: Option<Arn>,
}

/// How lists name addresses of hosts that nothing else stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lists {
    /// Each by itself: tightest, and a host that is launched is denied until the next run.
    #[default]
    Addresses,
    /// By the prefix of their subnet: hosts of a subnet are not told apart, and one that is launched
    /// is admitted.
    Subnets,
}

/// One `[[role]]` of the config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleRule {
    /// Which roles.
    pub name: Glob,
    /// Of which account; of any, where it names none.
    pub account: Option<AccountId>,
    /// What is done about them.
    pub mode: Mode,
}

/// One `[[egress]]` of the config: where traffic of a VPC or a subnet leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatedEgress {
    /// Whose traffic.
    pub scope: Scope,
    /// Public prefixes that it leaves from.
    pub prefixes: Vec<IpNet>,
}

/// What a [`StatedEgress`] speaks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Every subnet of a VPC.
    Vpc(VpcId),
    /// One subnet.
    Subnet(SubnetId),
}

/// A pattern of names in which `*` stands for any run of characters and `?` for any one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob(String);

impl RoleRule {
    /// Whether it decides what is done about `role`, where no rule before it does.
    pub fn is_about(&self, role: &Role) -> bool {
        self.name.matches(role.name.as_str()) && self.is_of(role.arn.account())
    }

    /// Whether it is about roles of that account.
    pub fn is_of(&self, account: &str) -> bool {
        self.account
            .as_ref()
            .is_none_or(|of| of.as_str() == account)
    }
}

impl Settings {
    /// Whether a rule names `role`. What holds for all roles is not said of this one.
    pub fn names(&self, role: &Role) -> bool {
        !self.excludes(&role.name) && self.roles.iter().any(|rule| rule.is_about(role))
    }

    /// Policies that a role's pin may have at most: always one.
    pub(crate) fn most_policies(&self) -> usize {
        self.max_policies.unwrap_or(DEFAULT_MAX_POLICIES).max(1)
    }

    /// The prefixes stated for a subnet, by itself or by its VPC; `None` where nothing was stated.
    pub fn stated_egress(&self, vpc: &VpcId, subnet: &SubnetId) -> Option<Vec<IpNet>> {
        let mut stated = self
            .egress
            .iter()
            .filter(|egress| match &egress.scope {
                Scope::Vpc(id) => id == vpc,
                Scope::Subnet(id) => id == subnet,
            })
            .peekable();
        stated.peek()?;
        Some(stated.flat_map(|egress| egress.prefixes.clone()).collect())
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scope::Vpc(id) => id.fmt(f),
            Scope::Subnet(id) => id.fmt(f),
        }
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Glob {
    /// The pattern `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Whether `name` fits, with regard to case.
    pub fn matches(&self, name: &str) -> bool {
        wildcard::matches(wildcard::symbols(&self.0), name)
    }
}

impl FromStr for Glob {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self::new(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(name: &str, tag: Option<&str>) -> Role {
        Role {
            name: name.parse().unwrap(),
            id: "AROAEXAMPLE".into(),
            arn: format!("arn:aws:iam::123456789012:role/{name}")
                .parse()
                .unwrap(),
            path: "/".into(),
            tags: tag
                .map(|value| (MODE_TAG.to_owned(), value.to_owned()))
                .into_iter()
                .collect(),
            trusted: BTreeSet::new(),
            trusted_services: BTreeSet::new(),
            trusted_providers: BTreeSet::new(),
            profiles: BTreeSet::new(),
            attached: BTreeSet::new(),
            last_used: None,
        }
    }

    #[test]
    fn nothing_is_enforced_out_of_the_box() {
        assert_eq!(
            Settings::default().mode_of(&role("web", None)),
            Mode::Observe
        );
    }

    #[test]
    fn the_first_rule_that_matches_decides() {
        let rule = |name, mode| RoleRule {
            name: Glob::new(name),
            account: None,
            mode,
        };
        let settings = Settings {
            mode: Mode::Observe,
            roles: vec![
                rule("web-canary", Mode::Observe),
                rule("web-*", Mode::Enforce),
            ],
            ..Settings::default()
        };
        assert_eq!(settings.mode_of(&role("web-1", None)), Mode::Enforce);
        assert_eq!(settings.mode_of(&role("web-canary", None)), Mode::Observe);
        assert_eq!(settings.mode_of(&role("batch", None)), Mode::Observe);
    }

    #[test]
    fn a_tag_tightens_and_never_loosens() {
        let enforce = Settings {
            mode: Mode::Enforce,
            ..Settings::default()
        };
        assert_eq!(
            Settings::default().mode_of(&role("web", Some("enforce"))),
            Mode::Enforce
        );
        assert_eq!(
            enforce.mode_of(&role("web", Some("observe"))),
            Mode::Enforce
        );
    }

    #[test]
    fn in_canary_a_share_the_tagged_and_the_pinned_are_enforced() {
        let settings = |share: &str| Settings {
            mode: Mode::Canary,
            canary_share: share.parse().unwrap(),
            ..Settings::default()
        };
        assert_eq!(settings("0%").mode_of(&role("web", None)), Mode::Observe);
        assert_eq!(settings("100%").mode_of(&role("web", None)), Mode::Enforce);
        let tagged = role("web", Some("canary"));
        assert_eq!(settings("0%").mode_of(&tagged), Mode::Enforce);
        assert_eq!(settings("0%").stage_of(&tagged), Mode::Canary);
        assert_eq!(Settings::default().mode_of(&tagged), Mode::Enforce);
        let mut pinned = role("web", None);
        let pin = "arn:aws:iam::123456789012:policy/credpin/credpin-web";
        pinned.attached.insert(pin.parse().unwrap());
        assert_eq!(settings("0%").mode_of(&pinned), Mode::Enforce);
    }

    #[test]
    fn what_is_excluded_is_observed_whatever_a_rule_or_a_tag_says() {
        let settings = Settings {
            mode: Mode::Enforce,
            exclude: vec![Glob::new("break-glass*")],
            roles: vec![RoleRule {
                name: Glob::new("*"),
                account: None,
                mode: Mode::Enforce,
            }],
            ..Settings::default()
        };
        let role = role("break-glass-1", Some("enforce"));
        assert_eq!(settings.mode_of(&role), Mode::Observe);
        assert!(!settings.names(&role));
    }

    #[test]
    fn a_rule_of_one_account_is_about_no_other() {
        let rule = |account: Option<&str>| RoleRule {
            name: Glob::new("web*"),
            account: account.map(|id| id.parse().unwrap()),
            mode: Mode::Enforce,
        };
        let web = role("web", None);
        assert!(rule(None).is_about(&web));
        assert!(rule(Some("123456789012")).is_about(&web));
        assert!(!rule(Some("111122223333")).is_about(&web));
        assert!(!rule(Some("123456789012")).is_about(&role("batch", None)));
        let settings = Settings {
            roles: vec![rule(Some("111122223333"))],
            ..Settings::default()
        };
        assert_eq!(settings.mode_of(&web), Mode::Observe);
        assert!(!settings.names(&web));
    }

    #[test]
    fn globs() {
        for (pattern, name, fits) in [
            ("*", "", true),
            ("web-*", "web-", true),
            ("web-*", "web", false),
            ("*-a*-b", "x-aa-a-b", true),
            ("w?b", "web", true),
            ("w?b", "wb", false),
        ] {
            assert_eq!(Glob::new(pattern).matches(name), fits, "{pattern} {name}");
        }
    }
}
