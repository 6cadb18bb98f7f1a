//! One of several jobs that share an organisation's accounts among them.

use std::{fmt, num::NonZeroU32, str::FromStr};

use thiserror::Error;

use crate::{id::AccountId, spread::spread};

/// The most jobs that accounts are shared among.
const MOST: u32 = 10_000;

/// `I/N`: number I, from 0, of N jobs. From 0 because what numbers jobs (Kubernetes' completion index, the
/// index of a Step Functions map) does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shard {
    index: u32,
    of: NonZeroU32,
}

/// A text that is no shard.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "`{0}` is no shard: write I/N, of N jobs (1 to {MOST}) the one numbered I (0 to N - 1), such as 0/8"
)]
pub struct ShardError(String);

impl Shard {
    /// Whether `account` is of this job. By its id alone, so that an account stays with its job
    /// whatever others come and go.
    pub fn has(self, account: &AccountId) -> bool {
        spread(account.as_str(), u64::from(self.of.get())) == u64::from(self.index)
    }

    /// How many jobs there are.
    pub fn of(self) -> u32 {
        self.of.get()
    }
}

impl Default for Shard {
    /// The one job that has all accounts.
    fn default() -> Self {
        Self {
            index: 0,
            of: NonZeroU32::MIN,
        }
    }
}

impl FromStr for Shard {
    type Err = ShardError;

    fn from_str(text: &str) -> Result<Self, ShardError> {
        let read = || {
            let (index, of) = text.split_once('/')?;
            // `+1` is a number to the parser.
            if ![index, of]
                .iter()
                .all(|part| part.bytes().all(|byte| byte.is_ascii_digit()))
            {
                return None;
            }
            let (index, of) = (index.parse().ok()?, of.parse::<NonZeroU32>().ok()?);
            (index < of.get() && of.get() <= MOST).then_some(Self { index, of })
        };
        read().ok_or_else(|| ShardError(text.to_owned()))
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.of)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn account(number: u64) -> AccountId {
        format!("{number:012}").parse().unwrap()
    }

    fn shards(of: u32) -> impl Iterator<Item = Shard> {
        (0..of).map(move |index| format!("{index}/{of}").parse().unwrap())
    }

    proptest! {
        #[test]
        fn every_account_is_of_just_one_shard(number in 0..1_000_000_000_000_u64, of in 1..64_u32) {
            let account = account(number);
            prop_assert_eq!(shards(of).filter(|shard| shard.has(&account)).count(), 1);
        }
    }

    #[test]
    fn shards_are_about_as_large_as_each_other() {
        // Made by hand, ids often follow one another.
        for first in [0, 111_111_111_111, 999_999_990_000] {
            for shard in shards(8) {
                let has = (first..first + 1000).filter(|number| shard.has(&account(*number)));
                let has = has.count();
                assert!((85..=165).contains(&has), "{shard} has {has} of 1000");
            }
        }
    }

    #[test]
    fn an_account_stays_where_it_is_from_version_to_version() {
        let of = |number, shard: &str| shard.parse::<Shard>().unwrap().has(&account(number));
        assert!(of(123_456_789_012, "1/8"));
        assert!(of(111_122_223_333, "5/8"));
        assert!(of(444_455_556_666, "2/3"));
    }

    #[test]
    fn what_is_no_shard_is_told() {
        for text in [
            "", "1", "1/0", "8/8", "-1/8", "+1/8", "1/8/2", "0/10001", "a/b", "0/ 8", "/",
        ] {
            let error = text.parse::<Shard>().unwrap_err();
            assert!(
                error
                    .to_string()
                    .starts_with(&format!("`{text}` is no shard"))
            );
        }
        assert_eq!("3/8".parse::<Shard>().unwrap().to_string(), "3/8");
        assert!(Shard::default().has(&account(1)));
    }
}
