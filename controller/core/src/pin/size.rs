//! How large the statements about a VPC are, without writing them.
//!
//! A search for the best division asks this of hundreds of divisions. All of a statement but its lists
//! is the same for all groups of a VPC, so that is written once.

use std::{collections::BTreeSet, sync::LazyLock};

use ipnet::{IpNet, Ipv4Net};

use super::{divide::Draft, public_group, public_vpc};
use crate::{
    footprint::Group,
    id::VpcId,
    policy::{self, Statement},
    prefix::joined,
};

/// The sizes of a VPC's statements without what their lists hold.
#[derive(Clone)]
pub(super) struct Sizes {
    /// Of a group: without, and with, addresses that it leaves by.
    group: [usize; 2],
    /// Of all others: without and with groups beside it, and in these the same.
    rest: [[usize; 2]; 2],
}

/// What stands for a list while the rest is measured.
const ANY: Ipv4Net = Ipv4Net::new_assert(std::net::Ipv4Addr::new(10, 0, 0, 0), 8);

/// The VPC whose statements are measured: those of all others differ by the length of its id.
const MEASURED: &str = "vpc-0";
/// How often a statement has the id: in its name, and where it compares.
const TIMES: usize = 2;

impl Sizes {
    pub(super) fn of(vpc: &VpcId) -> Self {
        static OF_MEASURED: LazyLock<Sizes> = LazyLock::new(|| {
            let vpc = MEASURED.parse().expect("a VPC id written in this file");
            Sizes::measured(&vpc)
        });
        let mut sizes = OF_MEASURED.clone();
        let lengths = sizes.group.iter_mut().chain(sizes.rest.as_flattened_mut());
        for length in lengths {
            *length = *length + TIMES * vpc.as_str().len() - TIMES * MEASURED.len();
        }
        sizes
    }

    fn measured(vpc: &VpcId) -> Self {
        let any = IpNet::V4(ANY);
        let lists = [BTreeSet::new(), BTreeSet::from([any])];
        let without = |statement: Statement, lists: usize| statement.size() - lists * list(&[any]);
        let group = |leaves: usize| {
            let group = Group {
                number: 1,
                private: [ANY].into(),
                public: lists[leaves].clone(),
            };
            without(public_group(vpc, &group), 1 + leaves)
        };
        let rest = |grouped: usize, leaves: usize| {
            let beside = [ANY].into_iter().take(grouped);
            without(public_vpc(vpc, &lists[leaves], beside), grouped + leaves)
        };
        Self {
            group: [group(0), group(1)],
            rest: [[rest(0, 0), rest(0, 1)], [rest(1, 0), rest(1, 1)]],
        }
    }

    /// Of a group's statement.
    pub(super) fn of_group(&self, group: &Draft) -> usize {
        let number = group.number.to_string().len() - 1;
        let (private, public) = (of_ipv4(&group.private), of(&group.public));
        self.group[index(public)] + number + private + public
    }

    /// Of the statement of all others than `groups`, which leave by `public`.
    pub(super) fn of_rest<'g>(
        &self,
        groups: impl Iterator<Item = &'g Draft>,
        public: &[IpNet],
    ) -> usize {
        let private = of_ipv4(groups.flat_map(|group| &group.private));
        let public = of(public);
        self.rest[index(private)][index(public)] + private + public
    }

    /// Fewer than any of them has.
    pub(super) fn least(&self) -> usize {
        self.group[0].min(self.rest[0][0])
    }
}

fn index(list: usize) -> usize {
    usize::from(list > 0)
}

fn of_ipv4<'n>(nets: impl IntoIterator<Item = &'n Ipv4Net>) -> usize {
    list(&joined(nets.into_iter().copied().map(IpNet::V4)))
}

/// Of a list of these prefixes, joined; 0 where there is none.
fn of(nets: &[IpNet]) -> usize {
    list(&joined(nets.iter().copied()))
}

/// Of a list in JSON; 0 where there is none.
fn list(nets: &[IpNet]) -> usize {
    if nets.is_empty() {
        0
    } else {
        policy::of_nets(nets)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::public_groups, *};

    fn nets() -> impl Strategy<Value = BTreeSet<IpNet>> {
        let v4 = (any::<u32>(), 0..=32_u8)
            .prop_map(|(bits, length)| IpNet::new(std::net::Ipv4Addr::from(bits).into(), length));
        let v6 = (any::<u128>(), 0..=128_u8)
            .prop_map(|(bits, length)| IpNet::new(std::net::Ipv6Addr::from(bits).into(), length));
        let net = prop_oneof![v4, v6].prop_map(|net| net.unwrap().trunc());
        prop::collection::btree_set(net, 0..5)
    }

    fn private() -> impl Strategy<Value = BTreeSet<Ipv4Net>> {
        let net = (any::<u32>(), 1..=32_u8)
            .prop_map(|(bits, length)| Ipv4Net::new_assert(bits.into(), length).trunc());
        prop::collection::btree_set(net, 1..5)
    }

    fn groups() -> impl Strategy<Value = Vec<Group>> {
        let group = (1..150_u32, private(), nets()).prop_map(|(number, private, public)| Group {
            number,
            private,
            public,
        });
        let rest = nets().prop_map(|public| Group {
            public,
            ..Group::default()
        });
        (prop::collection::vec(group, 0..4), rest).prop_map(|(mut groups, rest)| {
            groups.push(rest);
            groups
        })
    }

    fn draft(group: &Group) -> Draft {
        Draft {
            number: group.number,
            private: group.private.iter().copied().collect(),
            public: group.public.iter().copied().collect(),
            ..Draft::default()
        }
    }

    proptest! {
        #[test]
        fn they_are_what_is_written(groups in groups(), vpc in "vpc-[0-9a-z]{1,20}") {
            let vpc: VpcId = vpc.parse().unwrap();
            let written: Vec<usize> = public_groups(&vpc, &groups).iter().map(Statement::size).collect();
            let drafts: Vec<Draft> = groups.iter().map(draft).collect();
            let (rest, drafts) = drafts.split_last().expect("there is always one of all others");
            let sizes = Sizes::of(&vpc);
            let counted = drafts.iter().map(|draft| sizes.of_group(draft));
            let counted: Vec<usize> = counted.chain([sizes.of_rest(drafts.iter(), &rest.public)]).collect();
            prop_assert!(written.iter().all(|size| *size >= sizes.least()));
            prop_assert_eq!(counted, written);
        }
    }
}
