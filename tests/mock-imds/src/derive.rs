//! All that looks random is derived from one key: a seed reproduces it, and without a seed nobody
//! can guess it.

use sha2::{Digest, Sha256};

/// The alphabet of base64, from which secret keys and session tokens are drawn.
pub(crate) const BASE64: &[u8; 64] =
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The same for URLs, from which IMDSv2 tokens are drawn.
pub(crate) const BASE64URL: &[u8; 64] =
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// A secret of this mock. It has no `Debug`: who can read it can mint tokens.
#[derive(Clone)]
pub(crate) struct Key([u8; 32]);

impl Key {
    /// A key that nobody knows.
    pub(crate) fn random() -> Self {
        let mut key = [0; 32];
        getrandom::fill(&mut key).expect("an operating system that runs tests has random bytes");
        Self(key)
    }

    /// The key of a seed: the same on every run, another for every instance of a fleet.
    pub(crate) fn from_seed(seed: u64, instance_id: &str) -> Self {
        Self(digest(&[
            b"seed",
            &seed.to_be_bytes(),
            instance_id.as_bytes(),
        ]))
    }

    /// Endless bytes that depend on the key and every part of `context`.
    pub(crate) fn bytes(&self, context: &[&[u8]]) -> impl Iterator<Item = u8> + use<> {
        let root = digest(&[&[self.0.as_slice()], context].concat());
        (0_u64..).flat_map(move |block| digest(&[&root, &block.to_be_bytes()]))
    }

    /// `length` characters drawn from `alphabet`, whose 64 characters divide a byte evenly.
    pub(crate) fn text(&self, alphabet: &[u8; 64], length: usize, context: &[&[u8]]) -> String {
        self.bytes(context)
            .take(length)
            .map(|byte| char::from(alphabet[usize::from(byte % 64)]))
            .collect()
    }
}

/// Lengths are hashed too, so that no two lists of parts run into one.
fn digest(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(key: &Key, context: &[&[u8]]) -> String {
        key.text(BASE64, 40, context)
    }

    #[test]
    fn a_seed_reproduces_and_everything_else_differs() {
        let key = Key::from_seed(7, "i-1");
        let text = sample(&key, &[b"a", b"bc"]);
        assert_eq!(
            text,
            sample(&Key::from_seed(7, "i-1"), &[b"a", b"bc"]),
            "same seed"
        );
        for other in [
            sample(&key, &[b"ab", b"c"]),
            sample(&Key::from_seed(8, "i-1"), &[b"a", b"bc"]),
            sample(&Key::from_seed(7, "i-2"), &[b"a", b"bc"]),
            sample(&Key::random(), &[b"a", b"bc"]),
        ] {
            assert_ne!(text, other);
        }
    }

    #[test]
    fn text_is_as_long_as_asked_across_blocks() {
        let text = Key::from_seed(1, "").text(BASE64URL, 1000, &[]);
        assert_eq!(text.len(), 1000);
        assert_ne!(
            text[..32],
            text[32..64],
            "one block of the hash is not repeated"
        );
    }
}
