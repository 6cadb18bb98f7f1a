//! A token as text: what it says, and a code over it that only who has the key can make.
//!
//! ```text
//! version  expires (ms since boot)  nonce     code
//! 1 byte   5 bytes                  12 bytes  24 bytes   = 42 bytes, 56 characters of base64url
//! ```
//!
//! 56 characters is what a token of IMDS itself has, so nobody has to make other room for it.

use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::key::SessionKey;

/// What a token says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token([u8; SAYS]);

/// Makes and checks the code. One is made from a key once, and copied for each token.
pub(super) struct Signer(Hmac<Sha256>);

const VERSION: u8 = 1;
const EXPIRES: usize = 5;
const SAYS: usize = 18;
/// Of the 32 bytes of HMAC-SHA256. RFC 2104 (5.) wants at least half.
const CODE: usize = 24;
const BYTES: usize = SAYS + CODE;

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

impl Token {
    /// One that is good until `expires` after the boot, and that is no other.
    pub(super) fn new(expires: Duration) -> Self {
        let mut says = [0; SAYS];
        says[0] = VERSION;
        // 34 years of milliseconds.
        let millis = u64::try_from(expires.as_millis()).unwrap_or(u64::MAX);
        says[1..=EXPIRES].copy_from_slice(&millis.to_be_bytes()[8 - EXPIRES..]);
        getrandom::fill(&mut says[1 + EXPIRES..]).expect("the kernel has random bytes");
        Self(says)
    }

    pub(super) fn expires(&self) -> Duration {
        let millis = &self.0[1..=EXPIRES];
        let millis = millis
            .iter()
            .fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        Duration::from_millis(millis)
    }
}

impl Signer {
    pub(super) fn new(key: &SessionKey) -> Self {
        let mac = Hmac::new_from_slice(key.bytes());
        Self(mac.expect("HMAC takes a key of any length"))
    }

    /// The text of `token`, bound to `bound`.
    pub(super) fn sign(&self, token: &Token, bound: &str) -> String {
        let code = self.mac(token, bound).finalize().into_bytes();
        let mut bytes = [0; BYTES];
        bytes[..SAYS].copy_from_slice(&token.0);
        bytes[SAYS..].copy_from_slice(&code[..CODE]);
        encode(&bytes)
    }

    /// What `text` says, if it was signed with this key and is bound to `bound`. The code is compared
    /// in constant time.
    pub(super) fn verify(&self, text: &[u8], bound: &str) -> Option<Token> {
        let bytes = decode(text)?;
        let (says, code) = bytes.split_first_chunk::<SAYS>()?;
        let token = Token(*says);
        let good = self.mac(&token, bound).verify_truncated_left(code).is_ok();
        (good && says[0] == VERSION).then_some(token)
    }

    fn mac(&self, token: &Token, bound: &str) -> Hmac<Sha256> {
        // What a token says has one length, so what is bound begins at one place.
        self.0.clone().chain_update(token.0).chain_update(bound)
    }
}

/// Base64url. `BYTES` is a multiple of three: there is no padding, and one text for each value.
fn encode(bytes: &[u8; BYTES]) -> String {
    let digits = bytes.chunks_exact(3).flat_map(|three| {
        let [a, b, c] = [three[0], three[1], three[2]];
        [a >> 2, a << 4 | b >> 4, b << 2 | c >> 6, c]
    });
    digits
        .map(|digit| char::from(DIGITS[usize::from(digit & 63)]))
        .collect()
}

fn decode(text: &[u8]) -> Option<[u8; BYTES]> {
    if text.len() != BYTES / 3 * 4 {
        return None;
    }
    let mut bytes = [0; BYTES];
    for (four, three) in text.chunks_exact(4).zip(bytes.chunks_exact_mut(3)) {
        let mut bits = 0;
        for digit in four {
            bits = bits << 6 | value(*digit)?;
        }
        three.copy_from_slice(&u32::to_be_bytes(bits)[1..]);
    }
    Some(bytes)
}

fn value(digit: u8) -> Option<u32> {
    let value = match digit {
        b'A'..=b'Z' => digit - b'A',
        b'a'..=b'z' => digit - b'a' + 26,
        b'0'..=b'9' => digit - b'0' + 52,
        b'-' => 62,
        b'_' => 63,
        _ => return None,
    };
    Some(value.into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_signed_is_read(key: [u8; 32], millis in 0_u64..1 << 40, bound: String) {
            let signer = Signer::new(&key.into());
            let token = Token::new(Duration::from_millis(millis));
            let text = signer.sign(&token, &bound);
            prop_assert_eq!(text.len(), 56);
            prop_assert!(text.bytes().all(|byte| DIGITS.contains(&byte)));
            prop_assert_eq!(signer.verify(text.as_bytes(), &bound), Some(token));
            prop_assert_eq!(token.expires(), Duration::from_millis(millis));
        }

        #[test]
        fn another_key_or_binding_is_refused(key: [u8; 32], other: [u8; 32], bound: String, to: String) {
            let text = Signer::new(&key.into()).sign(&Token::new(Duration::ZERO), &bound);
            let verified = |key: [u8; 32], bound: &str| {
                Signer::new(&key.into()).verify(text.as_bytes(), bound).is_some()
            };
            prop_assert_eq!(verified(other, &bound), key == other);
            prop_assert_eq!(verified(key, &to), bound == to);
        }

        #[test]
        fn no_bytes_panic_and_none_are_a_token(bytes: Vec<u8>, text in "[A-Za-z0-9_-]{56}") {
            let signer = Signer::new(&[7; 32].into());
            prop_assert_eq!(signer.verify(&bytes, ""), None);
            prop_assert_eq!(signer.verify(text.as_bytes(), ""), None);
        }
    }

    #[test]
    fn one_bit_of_it_changed_is_refused() {
        let signer = Signer::new(&[7; 32].into());
        let token = Token::new(Duration::from_mins(1));
        let bytes = decode(signer.sign(&token, "").as_bytes()).unwrap();
        assert!(signer.verify(encode(&bytes).as_bytes(), "").is_some());
        for bit in 0..BYTES * 8 {
            let mut forged = bytes;
            forged[bit / 8] ^= 1 << (bit % 8);
            let text = encode(&forged);
            assert_eq!(signer.verify(text.as_bytes(), ""), None, "bit {bit}");
        }
    }

    #[test]
    fn no_two_are_the_same() {
        assert_ne!(Token::new(Duration::ZERO), Token::new(Duration::ZERO));
    }
}
