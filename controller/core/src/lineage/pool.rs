//! One copy of each text that many keys share.

use std::{borrow::Borrow, collections::HashSet, fmt, ops::Deref, sync::Arc};

use serde::{Serialize, Serializer};

/// A text that several keys can share.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shared(Arc<str>);

/// Texts that are in use, each once.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    texts: HashSet<Shared>,
    /// At this many, those that nobody uses any more are let go.
    full: usize,
}

const LEAST: usize = 4096;

impl Pool {
    pub(crate) fn get(&mut self, text: &str) -> Shared {
        if let Some(known) = self.texts.get(text) {
            return known.clone();
        }
        if self.texts.len() >= self.full.max(LEAST) {
            self.texts.retain(|text| Arc::strong_count(&text.0) > 1);
            self.full = self.texts.len() * 2;
        }
        let text = Shared::from(text);
        self.texts.insert(text.clone());
        text
    }
}

impl From<&str> for Shared {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl Deref for Shared {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Shared {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl Serialize for Shared {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_nobody_uses_do_not_pile_up() {
        let mut pool = Pool::default();
        let kept: Vec<_> = (0..10).map(|n| pool.get(&format!("kept {n}"))).collect();
        for n in 0..100_000 {
            pool.get(&format!("dropped {n}"));
        }
        assert!(pool.texts.len() <= LEAST);
        assert!(Arc::ptr_eq(&kept[3].0, &pool.get("kept 3").0));
    }
}
