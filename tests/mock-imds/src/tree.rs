//! The tree that metadata hangs in: directories that list themselves, and leaves.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::identity::Signature;
use crate::notice::Place;

/// One place in the tree.
pub(crate) enum Node {
    Directory(Directory),
    Leaf(Leaf),
}

/// What a leaf answers with.
pub(crate) enum Leaf {
    /// A value, as text/plain.
    Text(String),
    /// Bytes, as application/octet-stream.
    Bytes(Bytes),
    /// A signature of the identity document.
    Signature(Signature),
    /// `iam/info`: says when the role's credentials were last renewed.
    IamInfo,
    /// The current credentials of the role of this name.
    Credentials(String),
    /// What the host is told beforehand.
    Notice(Place),
    /// `identity-credentials/ec2/info`: like `iam/info`, for the instance itself.
    IdentityInfo,
    /// The current credentials of the instance itself.
    IdentityCredentials,
}

/// Named nodes, listed in the order of their names.
#[derive(Default)]
pub(crate) struct Directory {
    nodes: BTreeMap<String, Node>,
    /// What the directory above lists in place of its name.
    label: Option<String>,
}

impl Directory {
    pub(crate) fn leaf(mut self, name: &str, leaf: Leaf) -> Self {
        self.nodes.insert(name.to_owned(), Node::Leaf(leaf));
        self
    }

    pub(crate) fn text(self, name: &str, value: impl Into<String>) -> Self {
        self.leaf(name, Leaf::Text(value.into()))
    }

    /// One value a line. IMDS has no leaf for what a host has none of.
    pub(crate) fn lines<T: ToString>(self, name: &str, values: &[T]) -> Self {
        if values.is_empty() {
            return self;
        }
        let lines: Vec<String> = values.iter().map(ToString::to_string).collect();
        self.text(name, lines.join("\n"))
    }

    /// A directory below this one. IMDS shows no empty ones.
    pub(crate) fn directory(mut self, name: &str, directory: Self) -> Self {
        if !directory.is_empty() {
            self.nodes
                .insert(name.to_owned(), Node::Directory(directory));
        }
        self
    }

    /// Hangs a leaf in at the end of `path`, below directories that are made where there are none.
    pub(crate) fn graft(&mut self, path: &[&str], leaf: Leaf) {
        match path {
            [] => {}
            [name] => {
                self.nodes.insert((*name).to_owned(), Node::Leaf(leaf));
            }
            [name, rest @ ..] => {
                let node = self.nodes.entry((*name).to_owned());
                let node = node.or_insert_with(|| Node::Directory(Self::default()));
                if let Node::Directory(directory) = node {
                    directory.graft(rest, leaf);
                }
            }
        }
    }

    /// Lists this directory as something else than its name with a slash: keys are, as `0=my-key`.
    pub(crate) fn listed_as(mut self, label: String) -> Self {
        self.label = Some(label);
        self
    }

    /// The value, where there is one.
    pub(crate) fn maybe<T: ToString>(self, name: &str, value: Option<T>) -> Self {
        match value {
            Some(value) => self.text(name, value.to_string()),
            None => self,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The node at the end of `path`, `None` if there is none.
    pub(crate) fn find(&self, path: &[String]) -> Option<&Node> {
        let (name, rest) = path.split_first()?;
        match self.nodes.get(name)? {
            node if rest.is_empty() => Some(node),
            Node::Directory(directory) => directory.find(rest),
            Node::Leaf(_) => None,
        }
    }

    /// The names, one a line, directories marked with a slash.
    pub(crate) fn listing(&self) -> String {
        let names: Vec<String> = self
            .nodes
            .iter()
            .map(|(name, node)| match node {
                Node::Directory(Self {
                    label: Some(label), ..
                }) => label.clone(),
                Node::Directory(_) => format!("{name}/"),
                Node::Leaf(_) => name.clone(),
            })
            .collect();
        names.join("\n")
    }

    /// The names alone: how IMDS lists what lies right under a version.
    pub(crate) fn names(&self) -> String {
        self.nodes
            .keys()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segments(path: &str) -> Vec<String> {
        path.split('/').map(str::to_owned).collect()
    }

    #[test]
    fn lists_and_finds() {
        let tree = Directory::default()
            .text("b", "2")
            .lines("none", &[] as &[&str])
            .directory("empty", Directory::default())
            .directory(
                "0",
                Directory::default()
                    .text("d", "3")
                    .listed_as("0=key".into()),
            )
            .directory("a", Directory::default().lines("c", &[1, 2]));
        assert_eq!(tree.listing(), "0=key\na/\nb");
        assert_eq!(tree.names(), "0\na\nb");
        assert!(tree.find(&segments("0/d")).is_some());
        assert!(
            matches!(tree.find(&segments("a/c")), Some(Node::Leaf(Leaf::Text(text))) if text == "1\n2")
        );
        assert!(tree.find(&segments("a/c/d")).is_none());
        assert!(tree.find(&[]).is_none());
    }

    #[test]
    fn what_is_grafted_leaves_the_rest() {
        let mut tree = Directory::default().directory("a", Directory::default().text("b", "1"));
        tree.graft(&["a", "c", "d"], Leaf::Text("2".into()));
        tree.graft(&["e"], Leaf::Text("3".into()));
        assert_eq!(tree.listing(), "a/\ne");
        let Some(Node::Directory(a)) = tree.find(&segments("a")) else {
            panic!("no directory");
        };
        assert_eq!(a.listing(), "b\nc/");
        assert!(tree.find(&segments("a/c/d")).is_some());
    }
}
