//! A set that many hosts have, kept once.

use std::{collections::BTreeSet, ops::Deref, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A set that is never changed once it is made. To clone one is cheap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedSet<T: Ord>(Arc<BTreeSet<T>>);

impl<T: Ord> SharedSet<T> {
    /// What tells it from every other set that is there, an equal one that is kept apart too.
    pub(crate) fn identity(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }
}

impl<T: Ord> Deref for SharedSet<T> {
    type Target = BTreeSet<T>;

    fn deref(&self) -> &BTreeSet<T> {
        &self.0
    }
}

impl<T: Ord> From<BTreeSet<T>> for SharedSet<T> {
    fn from(set: BTreeSet<T>) -> Self {
        Self(Arc::new(set))
    }
}

impl<T: Ord, const N: usize> From<[T; N]> for SharedSet<T> {
    fn from(set: [T; N]) -> Self {
        BTreeSet::from(set).into()
    }
}

impl<T: Ord> FromIterator<T> for SharedSet<T> {
    fn from_iter<I: IntoIterator<Item = T>>(set: I) -> Self {
        BTreeSet::from_iter(set).into()
    }
}

impl<'a, T: Ord> IntoIterator for &'a SharedSet<T> {
    type Item = &'a T;
    type IntoIter = std::collections::btree_set::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl<T: Ord + Serialize> Serialize for SharedSet<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de, T: Ord + Deserialize<'de>> Deserialize<'de> for SharedSet<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        BTreeSet::deserialize(deserializer).map(Self::from)
    }
}
