//! The lines of a tree, and which of too many children are shown.

use std::{
    cmp::Reverse,
    collections::{HashMap, HashSet},
};

use credpin_core::lineage::{Node, Trace};

/// A trace as a tree that can be walked.
pub(super) struct Shape<'a> {
    nodes: &'a [Node],
    tops: Vec<usize>,
    children: HashMap<usize, Vec<usize>>,
    most: usize,
    /// Keys above what was asked about, and that itself: always shown.
    path: HashSet<usize>,
    /// How many keys are below each.
    below: Vec<usize>,
}

/// What stands on a line.
pub(super) enum Item<'a> {
    /// A key: what its first line begins with, and its further ones.
    Key {
        node: &'a Node,
        head: String,
        body: String,
    },
    /// Keys that are not shown.
    More { keys: usize, head: String },
}

impl<'a> Shape<'a> {
    /// Shows at most `most` children of a key.
    pub(super) fn new(trace: &'a Trace, most: usize) -> Self {
        let nodes = &trace.nodes;
        let mut tops = Vec::new();
        let mut children: HashMap<usize, Vec<usize>> = HashMap::new();
        let mut path = HashSet::new();
        let mut below = vec![0; nodes.len()];
        // Nodes stand depth first: what is above one is the last that is less deep.
        let mut above: Vec<usize> = Vec::new();
        for (number, node) in nodes.iter().enumerate() {
            above.truncate(node.depth);
            match above.last() {
                Some(parent) => children.entry(*parent).or_default().push(number),
                None => tops.push(number),
            }
            above.push(number);
            if node.is_target {
                path.extend(above.iter().copied());
            }
        }
        for number in (0..nodes.len()).rev() {
            let of = children.get(&number).into_iter().flatten();
            below[number] = of.map(|child| below[*child] + 1).sum();
        }
        Self {
            nodes,
            tops,
            children,
            most,
            path,
            below,
        }
    }

    /// Line by line, from the top. Chains can be long: no recursion.
    pub(super) fn walk(&self) -> Vec<Item<'a>> {
        enum Todo {
            Key(usize, String, String),
            More(usize, String),
        }
        let mut items = Vec::new();
        let mut todo = Vec::new();
        let (tops, hidden) = self.shown(&self.tops);
        if hidden > 0 {
            todo.push(Todo::More(hidden, String::new()));
        }
        todo.extend(
            tops.into_iter()
                .rev()
                .map(|top| Todo::Key(top, String::new(), String::new())),
        );
        while let Some(next) = todo.pop() {
            let (number, head, under) = match next {
                Todo::More(keys, head) => {
                    items.push(Item::More { keys, head });
                    continue;
                }
                Todo::Key(number, head, under) => (number, head, under),
            };
            let children = self.children.get(&number).map_or(&[][..], Vec::as_slice);
            let (shown, hidden) = self.shown(children);
            let stem = if children.is_empty() {
                "    "
            } else {
                "│   "
            };
            items.push(Item::Key {
                node: &self.nodes[number],
                head,
                body: format!("{under}{stem}"),
            });
            if hidden > 0 {
                todo.push(Todo::More(hidden, format!("{under}└─ ")));
            }
            let last = shown.len().saturating_sub(1);
            for (place, child) in shown.into_iter().enumerate().rev() {
                let (branch, stem) = if place == last && hidden == 0 {
                    ("└─ ", "   ")
                } else {
                    ("├─ ", "│  ")
                };
                let (head, under) = (format!("{under}{branch}"), format!("{under}{stem}"));
                todo.push(Todo::Key(child, head, under));
            }
        }
        items
    }

    /// The children that are shown, in their order, and how many keys are not, those below included:
    /// those on the way to what was asked about, then those with the most below and the most calls.
    fn shown(&self, children: &[usize]) -> (Vec<usize>, usize) {
        let mut ranked = children.to_vec();
        ranked.sort_by_key(|number| {
            let node = &self.nodes[*number];
            let on_path = self.path.contains(number);
            Reverse((on_path, self.below[*number], node.is_live, node.total.calls))
        });
        let hidden = ranked.split_off(self.most.min(ranked.len()));
        ranked.sort_unstable();
        let hidden = hidden.iter().map(|number| self.below[*number] + 1).sum();
        (ranked, hidden)
    }
}
