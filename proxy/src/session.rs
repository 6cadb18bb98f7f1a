//! Sessions of IMDSv2 that are the proxy's own.
//!
//! A client gets a token that only this proxy can have made and that says itself until when it is
//! good, so nothing is kept about it, however many there are. The metadata service never sees one,
//! and no client sees the proxy's own.

use std::time::Duration;

use credpin_ledger::Consumer;
use http::HeaderMap;

use self::codec::{Signer, Token};
use crate::clock::BootClock;
use crate::config::SessionBinding;
use crate::headers::TOKEN_TTL;

mod codec;
mod key;

pub use key::{Kept, SessionKey};

/// Issues and checks sessions.
pub(crate) struct Sessions {
    signer: Signer,
    binding: SessionBinding,
    clock: BootClock,
}

/// How long a session shall last, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ttl(u32);

/// A token that is no session now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Invalid {
    /// Not made by this proxy, on this boot, for this consumer.
    Foreign,
    /// Its time is over.
    Expired,
}

/// The longest life of a session (Amazon EC2 User Guide, "Use the Instance Metadata Service").
const MAX_TTL: u32 = 21_600;

impl Sessions {
    pub(crate) fn new(key: &SessionKey, binding: SessionBinding, clock: BootClock) -> Self {
        Self {
            signer: Signer::new(key),
            binding,
            clock,
        }
    }

    /// The token of a new session, for `consumer`.
    pub(crate) fn issue(&self, ttl: Ttl, consumer: &Consumer) -> String {
        let expires = self.clock.now() + Duration::from_secs(ttl.0.into());
        let token = Token::new(expires);
        self.signer.sign(&token, &self.bound_to(consumer))
    }

    /// The seconds for which `token` is a session of `consumer` yet, rounded up.
    pub(crate) fn check(&self, token: &[u8], consumer: &Consumer) -> Result<u32, Invalid> {
        let bound = self.bound_to(consumer);
        let token = self.signer.verify(token, &bound).ok_or(Invalid::Foreign)?;
        let left = token.expires().saturating_sub(self.clock.now());
        if left.is_zero() {
            return Err(Invalid::Expired);
        }
        let seconds = left.as_millis().div_ceil(1000);
        Ok(u32::try_from(seconds).unwrap_or(u32::MAX))
    }

    /// What of `consumer` the token is bound to, in a form that no other has.
    fn bound_to(&self, consumer: &Consumer) -> String {
        match self.binding {
            SessionBinding::None => String::new(),
            SessionBinding::Uid => format!("uid {:?}", consumer.uid),
            SessionBinding::Container => format!("container {:?}", consumer.container),
        }
    }
}

impl Ttl {
    /// What the header says, if it is there once and says what IMDS takes.
    pub(crate) fn asked(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(&TOKEN_TTL).iter();
        let (value, None) = (values.next()?, values.next()) else {
            return None;
        };
        let text = value.to_str().ok()?.trim();
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let seconds = text.parse().ok().filter(|_| digits)?;
        (1..=MAX_TTL).contains(&seconds).then_some(Self(seconds))
    }

    pub(crate) fn seconds(self) -> u32 {
        self.0
    }
}

impl Invalid {
    /// Its name in the metrics.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::Foreign => "foreign",
            Self::Expired => "expired",
        }
    }
}

#[cfg(test)]
mod tests;
