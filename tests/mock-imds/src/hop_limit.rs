//! How far the answer to a PUT for a session token may go (EC2 User Guide, instance metadata options).

use std::io;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use socket2::SockRef;
use tokio::net::TcpStream;

/// A number of hops from 1, which is this machine and its network namespace, to 64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct HopLimit(u8);

/// Why a number is no hop limit.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no hop limit: it is a number from 1 to 64")]
pub struct HopLimitError(String);

impl HopLimit {
    /// Sets it on what is sent from now on, by IPv4 (TTL) or IPv6 (hop limit).
    pub(crate) fn set_on(self, stream: &TcpStream) -> io::Result<()> {
        let socket = SockRef::from(stream);
        if stream.local_addr()?.is_ipv6() {
            socket.set_unicast_hops_v6(self.0.into())?;
        }
        // Also where the address is IPv6: it may stand for one of IPv4.
        socket.set_ttl_v4(self.0.into())
    }
}

impl TryFrom<u32> for HopLimit {
    type Error = HopLimitError;

    fn try_from(hops: u32) -> Result<Self, Self::Error> {
        u8::try_from(hops)
            .ok()
            .filter(|hops| (1..=64).contains(hops))
            .map(Self)
            .ok_or_else(|| HopLimitError(hops.to_string()))
    }
}

impl From<HopLimit> for u32 {
    fn from(HopLimit(hops): HopLimit) -> Self {
        hops.into()
    }
}

impl FromStr for HopLimit {
    type Err = HopLimitError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse::<u32>()
            .ok()
            .and_then(|hops| hops.try_into().ok())
            .ok_or_else(|| HopLimitError(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn from_1_to_64() {
        for good in ["1", "64"] {
            assert!(good.parse::<HopLimit>().is_ok());
        }
        for bad in ["0", "65", "256", "-1", "", "one"] {
            let error = bad.parse::<HopLimit>().unwrap_err().to_string();
            assert_eq!(
                error,
                format!("`{bad}` is no hop limit: it is a number from 1 to 64")
            );
        }
    }

    /// The kernel says what it will send.
    #[tokio::test]
    async fn the_socket_takes_it() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let listener = tokio::net::TcpListener::bind(address).await.unwrap();
            let stream = TcpStream::connect(listener.local_addr().unwrap())
                .await
                .unwrap();
            HopLimit(3).set_on(&stream).unwrap();
            let socket = SockRef::from(&stream);
            let hops = match address {
                "[::1]:0" => socket.unicast_hops_v6(),
                _ => socket.ttl_v4(),
            };
            assert_eq!(hops.unwrap(), 3, "{address}");
        }
    }
}
