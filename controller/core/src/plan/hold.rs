//! Why a role is held: its pin is not written, and what is in force stays as it is.

use std::fmt;

use serde::Serialize;

use super::{ATTACHED_POLICIES_QUOTA, Absence, Edit, Narrowing, WantsReplay};
use crate::{
    chain::Stranger, egress::Unknown, estate::Gap, footprint::LaunchGap, id::RoleName,
    policy::MANAGED_POLICY_QUOTA, verify::Counterexample,
};

/// A reason to hold a role. Its `Display` says what is wrong and the way out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Hold {
    /// Part of the account was not seen (invariant 4).
    Gap(Gap),
    /// The controller runs as this role.
    OwnRole,
    /// A path that AWS keeps for its own roles.
    ReservedPath(String),
    /// The policy in force is not one that credpin writes.
    Edited(Edit),
    /// The role has a pin, and nothing in the config says that it should go or stay.
    Unsaid,
    /// The config excludes the role, which has a pin.
    Excluded,
    /// It has no instance. Nothing is amiss: the role is idle, and what is in force stays.
    NoInstance(Absence),
    /// No replay of its calls says that a first pin would break nothing.
    Replay(WantsReplay),
    /// Where hosts leave cannot be told.
    UnknownEgress(Unknown),
    /// A host launched now would be denied until the next run.
    LaunchGap(LaunchGap),
    /// No room for one more policy on the role; how many of others it has.
    AttachmentQuota(usize),
    /// No room for one more policy in the account; how many it has.
    PolicyQuota(usize),
    /// The pin does not fit the policies that it may have; how many characters it has.
    TooLarge(usize),
    /// The statement for derived sessions is asked for, and the role's sessions may assume the role:
    /// what they call that session nobody can tell.
    SelfAssumable,
    /// More of what its pin admits would go than may go in one run. It is widened all the same.
    Narrowing(Narrowing),
    /// A call would not be decided as promised (invariant 5).
    Unproven(Counterexample),
    /// Somebody may assume the role, and where he calls from is not known.
    Caller(Stranger),
    /// Nobody whose place is known may assume the role. Nothing is amiss, as where it has no instance.
    NoCaller,
    /// Instances of that role may assume this one, and it has none now.
    AbsentCaller(RoleName),
    /// The statement for derived sessions is asked for, and it cannot tell sessions that were made by
    /// assuming the role from those.
    NamedAlike,
    /// Where sessions of others come from has no room beside the pin of the role's instances; how many characters
    /// that has.
    NoRoom(usize),
    /// What stands in the way of the part of a pin that is about sessions that were made by assuming the
    /// role. Its other part goes on.
    Chained(Box<Hold>),
}

impl Hold {
    /// Whether it stands in the way of what is about the tokens of instances, or may do: what is about sessions of
    /// others is proven once more where it goes on without.
    pub(super) fn is_of_instances(&self) -> bool {
        matches!(
            self,
            Hold::Unsaid
                | Hold::NoInstance(_)
                | Hold::Replay(_)
                | Hold::UnknownEgress(_)
                | Hold::LaunchGap(_)
                | Hold::TooLarge(_)
                | Hold::SelfAssumable
                | Hold::Narrowing(_)
                | Hold::Unproven(_)
        )
    }

    /// The same of the part of a pin that is about sessions of others.
    fn of_part(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Hold::TooLarge(size) => write!(
                f,
                "the list of where sessions that others make come from has {size} characters, and has to fit \
                 one policy of {MANAGED_POLICY_QUOTA}; let fewer roles assume it, let them leave by NAT \
                 gateways, or accept that it takes in addresses of others: allow-lossy = true"
            ),
            Hold::Unsaid => f.write_str(
                "its sessions that others make are pinned, and no [[chained]] of the config names it: mode = \
                 \"enforce\" there keeps that true, and mode = \"observe\" takes it off",
            ),
            hold => fmt::Display::fmt(hold, f),
        }
    }
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Hold::Gap(gap) => write!(f, "the view is incomplete: {gap}"),
            Hold::OwnRole => f.write_str("credpin itself runs as this role and never pins it"),
            Hold::ReservedPath(path) => {
                write!(f, "roles under {path} are AWS's own and take no policies")
            }
            Hold::Edited(Edit { policy, why, .. }) => write!(
                f,
                "somebody else changed our policy ({policy}: {why}); --take-over writes over it, or \
                 delete that version, or release the role"
            ),
            Hold::Unsaid => f.write_str(
                "it has a pin, and no [[role]] of the config names it: mode = \"enforce\" there keeps \
                 the pin true, and mode = \"observe\" takes it off",
            ),
            Hold::Excluded => f.write_str(
                "`exclude` of the config names it, so its pin is left as it is; `credpin release` takes it off",
            ),
            Hold::NoInstance(absence) => absence.fmt(f),
            Hold::Replay(why) => why.fmt(f),
            Hold::UnknownEgress(unknown) => unknown.fmt(f),
            Hold::LaunchGap(gap) => write!(
                f,
                "{gap}, and would be denied until the next run; allow-launch-gap = true accepts that"
            ),
            Hold::AttachmentQuota(attached) => write!(
                f,
                "the role has {attached} policies of others attached, {ATTACHED_POLICIES_QUOTA} is the \
                 quota, and one place is kept free for cutting off a thief; detach one"
            ),
            Hold::PolicyQuota(policies) => write!(
                f,
                "the account has {policies} customer managed policies, and its quota leaves no room; \
                 delete some, or have the quota raised and say so: policy-quota"
            ),
            Hold::TooLarge(size) => write!(
                f,
                "the pin has {size} characters, a policy holds {MANAGED_POLICY_QUOTA}, and it does not \
                 fit the policies that it may have; fewer public addresses (a NAT gateway) or more \
                 max-policies make it fit"
            ),
            Hold::SelfAssumable => f.write_str(
                "its trust policy lets its own sessions assume it, and pin-derived denies such a \
                 session that is named like an instance; narrow the trust policy, or leave \
                 pin-derived out",
            ),
            Hold::Narrowing(Narrowing { vpcs, percent, .. }) if !vpcs.is_empty() => write!(
                f,
                "{percent} % of the VPCs whose endpoints its pin admits would go ({}), which are there still: \
                 hosts that are off are not gone, so until then it is only widened; if nothing calls from \
                 there any more, run once with --max-narrowing 100",
                vpcs.join(", ")
            ),
            Hold::Narrowing(Narrowing {
                prefixes,
                percent,
                allowed,
                ..
            }) => {
                let some: Vec<String> = prefixes.iter().take(3).map(ToString::to_string).collect();
                let more = if prefixes.len() > some.len() { ", …" } else { "" };
                write!(
                    f,
                    "{percent} % of the addresses that its pin admits would go ({}{more}), and \
                     max-narrowing is {allowed} %: until then it is only widened; if they are gone for \
                     good, run once with --max-narrowing 100",
                    some.join(", ")
                )
            }
            Hold::Unproven(found) => write!(f, "not proven safe: {found}"),
            Hold::Caller(stranger) => stranger.fmt(f),
            Hold::NoCaller => f.write_str(
                "no instance may assume it, so there is nothing to make a pin of",
            ),
            Hold::AbsentCaller(role) => write!(
                f,
                "{role} may assume it and has no instance now, so where that would call from is not known; \
                 allow-launch-gap = true accepts that such calls are denied until the next run"
            ),
            Hold::NamedAlike => f.write_str(
                "pin-derived denies sessions that are named like an instance, and who assumes the role names \
                 its session as he likes; leave pin-derived out, or give instances a role of their own",
            ),
            Hold::NoRoom(size) => write!(
                f,
                "where sessions that others make come from has {size} characters, and the policies that the role \
                 may have do not hold it beside the pin of its own instances; more max-policies make room, or a role \
                 of its own for one of the two"
            ),
            Hold::Chained(hold) => hold.of_part(f),
        }
    }
}
