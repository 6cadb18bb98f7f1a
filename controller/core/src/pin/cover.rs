//! The fewest strangers that a list of so many prefixes takes in.
//!
//! Given prefixes that must be covered and a number of prefixes that may be written, this finds a
//! list of at most that many that covers them all and admits the fewest other addresses: IPv4
//! addresses, and IPv6 /64s. It is exact.
//!
//! The prefixes, joined where that loses nothing, are leaves of a trie in which every inner node has
//! two children. A node is covered by itself, or by the lists of its children: the fewest strangers
//! for `k` prefixes is the least sum over all ways to share `k` between the two. That is the tree
//! knapsack: `O(n k)` steps for `n` prefixes, and `O(n log k)` memory for what was chosen.

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// The best lists for every length up to one.
#[derive(Debug)]
pub struct Cover {
    trees: Vec<Tree>,
    /// For every tree but the first, how many prefixes it gets of those that it and all before have.
    shares: Vec<Vec<u32>>,
    /// Strangers by the number of prefixes, from 0.
    strangers: Vec<u64>,
}

/// Whether a prefix is so wide that a list which takes others in by it keeps nobody out: more than a 256th of all
/// IPv4 addresses, or of IPv6 more than a provider has at the least (a /32).
pub(crate) fn is_too_wide(net: &IpNet) -> bool {
    match net {
        IpNet::V4(net) => net.prefix_len() < 8,
        IpNet::V6(net) => net.prefix_len() < 32,
    }
}

/// More strangers than there can be: no such list.
const IMPOSSIBLE: u64 = u64::MAX;

impl Cover {
    /// The lists of up to `most` prefixes that cover `prefixes`.
    pub fn new(prefixes: &[IpNet], most: usize) -> Self {
        let mut joined = IpNet::aggregate(&prefixes.to_vec());
        joined.sort_unstable();
        let (v4, v6): (Vec<IpNet>, Vec<IpNet>) =
            joined.into_iter().partition(|net| net.addr().is_ipv4());
        let mut cover = Self {
            trees: Vec::new(),
            shares: Vec::new(),
            strangers: vec![0],
        };
        for leaves in [v4, v6].into_iter().filter(|leaves| !leaves.is_empty()) {
            let (tree, strangers) = Tree::new(leaves, most);
            let (both, shares) = share(&cover.strangers, &strangers, most);
            cover.trees.push(tree);
            cover.shares.push(shares);
            cover.strangers = both;
        }
        cover
    }

    /// The best list of at most `most` prefixes, in order; none where even the shortest has more: one
    /// prefix a family.
    pub fn list(&self, most: usize) -> Option<Vec<IpNet>> {
        // More prefixes never let more strangers in, so the longest list is the best.
        let mut length = most.min(self.strangers.len() - 1);
        if self.strangers[length] == IMPOSSIBLE {
            return None;
        }
        let mut list = Vec::new();
        for (tree, shares) in self.trees.iter().zip(&self.shares).rev() {
            let own = shares[length] as usize;
            tree.list(own, &mut list);
            length -= own;
        }
        list.sort_unstable();
        Some(list)
    }

    /// Strangers that the best list of at most `most` prefixes takes in.
    pub fn strangers(&self, most: usize) -> Option<u64> {
        let strangers = self.strangers[most.min(self.strangers.len() - 1)];
        (strangers != IMPOSSIBLE).then_some(strangers)
    }
}

/// The trie of one family.
#[derive(Debug)]
struct Tree {
    leaves: Vec<IpNet>,
    /// In the order in which they are done: children before their parents.
    nodes: Vec<Node>,
}

#[derive(Debug)]
struct Node {
    /// The prefix that covers it by itself.
    net: IpNet,
    /// Its children: nodes, or leaves.
    children: [Child; 2],
    /// How many prefixes the second child gets, by how many the node has.
    shares: Vec<u32>,
}

#[derive(Clone, Copy, Debug)]
enum Child {
    Leaf(u32),
    Node(u32),
}

impl Tree {
    fn new(leaves: Vec<IpNet>, most: usize) -> (Self, Vec<u64>) {
        let mut tree = Self {
            leaves: Vec::new(),
            nodes: Vec::new(),
        };
        let blocks = new_blocks(&leaves);
        let (_, strangers, _) = tree.grow(&leaves, &blocks, 0, most);
        tree.leaves = leaves;
        (tree, strangers)
    }

    /// Does the part of the leaves that begins at `first`. Gives its root, its strangers by the number
    /// of prefixes, and how many addresses are its own. The depth is that of the trie: bits of an
    /// address.
    fn grow(
        &mut self,
        leaves: &[IpNet],
        blocks: &[u64],
        first: usize,
        most: usize,
    ) -> (Child, Vec<u64>, u64) {
        let [begin, .., end] = leaves else {
            let own = size(&leaves[0]);
            return (Child::Leaf(index(first)), vec![IMPOSSIBLE, 0], own);
        };
        let net = common_ancestor(begin, end);
        let middle = halves(&net).map_or(1, |second| {
            leaves.partition_point(|leaf| leaf.network() < second.network())
        });
        let (ours, theirs) = leaves.split_at(middle);
        let (left, of_left, own_left) = self.grow(ours, &blocks[..middle], first, most);
        let (right, of_right, own_right) =
            self.grow(theirs, &blocks[middle..], first + middle, most);
        // Both sides of a /64 can have a part of it.
        let own = own_left.saturating_add(own_right) - (size(&theirs[0]) - blocks[middle]);
        let (mut strangers, shares) = share(&of_left, &of_right, most);
        strangers[1] = size(&net).saturating_sub(own);
        self.nodes.push(Node {
            net,
            children: [left, right],
            shares,
        });
        (Child::Node(index(self.nodes.len() - 1)), strangers, own)
    }

    fn list(&self, length: usize, list: &mut Vec<IpNet>) {
        let root = match self.nodes.len() {
            0 => Child::Leaf(0),
            nodes => Child::Node(index(nodes - 1)),
        };
        self.list_of(root, length, list);
    }

    fn list_of(&self, child: Child, length: usize, list: &mut Vec<IpNet>) {
        let number = match child {
            Child::Leaf(number) => return list.push(self.leaves[number as usize]),
            Child::Node(number) => number,
        };
        let node = &self.nodes[number as usize];
        if length == 1 {
            return list.push(node.net);
        }
        let right = node.shares[length] as usize;
        self.list_of(node.children[0], length - right, list);
        self.list_of(node.children[1], right, list);
    }
}

/// The fewest strangers of two lists together, by the number of prefixes in both, and how many of
/// these the second has.
fn share(left: &[u64], right: &[u64], most: usize) -> (Vec<u64>, Vec<u32>) {
    let length = (left.len() + right.len() - 1).min(most.max(1) + 1);
    let mut best = vec![IMPOSSIBLE; length.max(2)];
    let mut shares = vec![0; best.len()];
    for (ours, some) in left.iter().enumerate() {
        if *some == IMPOSSIBLE || ours >= length {
            continue;
        }
        let theirs = right.len().min(length - ours);
        let together = best[ours..].iter_mut().zip(&mut shares[ours..]);
        for (number, ((best, share), others)) in together.zip(&right[..theirs]).enumerate() {
            let sum = some.saturating_add(*others);
            if sum < *best {
                *best = sum;
                *share = index(number);
            }
        }
    }
    (best, shares)
}

fn index(number: usize) -> u32 {
    u32::try_from(number).expect("no account has four thousand million addresses to list")
}

/// The longest prefix that holds both, which are disjoint and of one family.
fn common_ancestor(a: &IpNet, b: &IpNet) -> IpNet {
    match (a, b) {
        (IpNet::V4(a), IpNet::V4(b)) => {
            let same = (u32::from(a.network()) ^ u32::from(b.network())).leading_zeros();
            let length = u8::try_from(same).unwrap_or(32);
            IpNet::V4(Ipv4Net::new_assert(a.network(), length).trunc())
        }
        (IpNet::V6(a), IpNet::V6(b)) => {
            let same = (u128::from(a.network()) ^ u128::from(b.network())).leading_zeros();
            let length = u8::try_from(same).unwrap_or(128);
            IpNet::V6(Ipv6Net::new_assert(a.network(), length).trunc())
        }
        _ => *a,
    }
}

/// The second half of a prefix.
fn halves(net: &IpNet) -> Option<IpNet> {
    net.subnets(net.prefix_len() + 1).ok()?.nth(1)
}

/// How many strangers a prefix could take in: IPv4 addresses, IPv6 /64s.
fn size(net: &IpNet) -> u64 {
    match net {
        IpNet::V4(net) => 1 << (32 - u32::from(net.prefix_len())),
        IpNet::V6(net) => {
            let bits = 64_u32.saturating_sub(net.prefix_len().into());
            1_u64.checked_shl(bits).unwrap_or(u64::MAX)
        }
    }
}

/// The size of each leaf, less what the leaf before has of the same /64.
fn new_blocks(leaves: &[IpNet]) -> Vec<u64> {
    let block = |net: &IpNet| match net {
        IpNet::V6(net) if net.prefix_len() > 64 => Some(u128::from(net.network()) >> 64),
        _ => None,
    };
    let before = std::iter::once(None).chain(leaves.iter().map(block));
    leaves
        .iter()
        .zip(before)
        .map(|(leaf, before)| match block(leaf) {
            Some(own) if Some(own) == before => 0,
            _ => size(leaf),
        })
        .collect()
}

#[cfg(test)]
mod tests;
