//! Maps that are asked millions of times in a plan, about ids and prefixes that AWS made.
//!
//! The standard library's hash withstands whoever chooses the keys, and takes most of the time that a
//! look-up does. Nothing that comes out of a plan depends on the order of these.

/// A map by a quick hash.
pub(crate) type HashMap<K, V> = std::collections::HashMap<K, V, foldhash::fast::RandomState>;
