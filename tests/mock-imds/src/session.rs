//! IMDSv2 session tokens: minted, checked, expiring (EC2 User Guide, how IMDSv2 works).
//!
//! A token carries its expiry and a code over it that only this mock can make. So nothing is kept
//! for the tokens that are out, however many are asked for.

use std::time::Duration;

use jiff::Timestamp;

use crate::derive::{BASE64URL, Key};

/// A token's longest life, in seconds.
pub(crate) const MAX_TTL: u64 = 21_600;

// Laid out like a real one, 56 characters: `AQAEA`, serial number, expiry, code, `A==`.
const PREFIX: &str = "AQAEA";
const NUMBER: usize = 8;
const CODE: usize = 32;
const SUFFIX: &str = "A==";

/// Mints and checks the tokens of one instance.
pub(crate) struct Sessions {
    key: Key,
    /// Tokens of another generation are not good any more.
    generation: u64,
    minted: u64,
}

impl Sessions {
    pub(crate) fn new(key: Key) -> Self {
        Self {
            key,
            generation: 0,
            minted: 0,
        }
    }

    /// A token that is good for `ttl` from `now`.
    pub(crate) fn mint(&mut self, ttl: Duration, now: Timestamp) -> String {
        self.minted += 1;
        let expires = now.checked_add(ttl).unwrap_or(Timestamp::MAX);
        self.token(self.minted, milliseconds(expires))
    }

    /// The seconds that `token` is still good for, rounded up; `None` if it is none of ours or has
    /// expired.
    pub(crate) fn seconds_left(&self, token: &[u8], now: Timestamp) -> Option<u64> {
        let numbers = token.get(PREFIX.len()..)?;
        let serial = parse_number(numbers.get(..NUMBER)?)?;
        let expires = parse_number(numbers.get(NUMBER..2 * NUMBER)?)?;
        let left = expires.checked_sub(milliseconds(now))?;
        let good = left > 0 && token == self.token(serial, expires).as_bytes();
        good.then(|| left.div_ceil(1000))
    }

    /// Makes every token that is out invalid.
    pub(crate) fn forget_all(&mut self) {
        self.generation += 1;
    }

    fn token(&self, serial: u64, expires: u64) -> String {
        let body = format!("{PREFIX}{}{}", number(serial), number(expires));
        let context: [&[u8]; 3] = [
            b"session token",
            &self.generation.to_be_bytes(),
            body.as_bytes(),
        ];
        let code = self.key.text(BASE64URL, CODE, &context);
        format!("{body}{code}{SUFFIX}")
    }
}

/// Since 1970; a mock's clock is not expected to show an earlier time.
fn milliseconds(time: Timestamp) -> u64 {
    u64::try_from(time.as_millisecond()).unwrap_or(0)
}

/// The lowest 48 bits, in the digits of base64.
fn number(value: u64) -> String {
    (0..NUMBER)
        .rev()
        .map(|digit| char::from(BASE64URL[usize::try_from(value >> (6 * digit) & 63).unwrap_or(0)]))
        .collect()
}

fn parse_number(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |value, digit| {
        let position = BASE64URL.iter().position(|letter| letter == digit)?;
        Some(value << 6 | position as u64)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::constant(1_800_000_000, 0);
    const MINUTE: Duration = Duration::from_mins(1);

    fn sessions(seed: u64) -> Sessions {
        Sessions::new(Key::from_seed(seed, "i-1"))
    }

    #[test]
    fn a_token_lives_as_long_as_asked() {
        let mut sessions = sessions(1);
        let token = sessions.mint(MINUTE, NOW);
        assert_eq!(token.len(), 56);
        let left =
            |after| sessions.seconds_left(token.as_bytes(), NOW + Duration::from_millis(after));
        assert_eq!(left(0), Some(60));
        assert_eq!(left(59_001), Some(1));
        assert_eq!(left(59_999), Some(1));
        assert_eq!(left(60_000), None);
    }

    #[test]
    fn no_two_tokens_are_the_same() {
        let mut sessions = sessions(1);
        assert_ne!(sessions.mint(MINUTE, NOW), sessions.mint(MINUTE, NOW));
    }

    #[test]
    fn tokens_of_others_and_forgotten_ones_are_refused() {
        let mut mine = sessions(1);
        let token = mine.mint(MINUTE, NOW);
        assert_eq!(sessions(2).seconds_left(token.as_bytes(), NOW), None);
        mine.forget_all();
        assert_eq!(mine.seconds_left(token.as_bytes(), NOW), None);
    }

    #[test]
    fn a_token_changed_anywhere_is_refused() {
        let mut sessions = sessions(1);
        let token = sessions.mint(MINUTE, NOW).into_bytes();
        assert!(sessions.seconds_left(&token, NOW).is_some());
        for position in 0..token.len() {
            for letter in [b'A', b'B', b'=', b' ', 0xff] {
                let mut forged = token.clone();
                forged[position] = letter;
                let expected = (forged == token).then_some(60);
                assert_eq!(
                    sessions.seconds_left(&forged, NOW),
                    expected,
                    "at {position}"
                );
            }
            assert_eq!(sessions.seconds_left(&token[..position], NOW), None);
        }
        let longer = [&token[..], b"A"].concat();
        assert_eq!(sessions.seconds_left(&longer, NOW), None);
    }
}
