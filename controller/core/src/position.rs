//! Where a call comes from, as AWS can see it.

use std::{fmt, net::IpAddr, str::FromStr};

use serde::Serialize;
use thiserror::Error;

use crate::id::{IdError, VpcId};

/// Where a call comes from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(untagged)]
pub enum Position {
    /// A public endpoint of AWS was called from this address (`aws:SourceIp`).
    Internet(IpAddr),
    /// A VPC's endpoint was called (`aws:SourceVpc`) from this address in it (`aws:VpcSourceIp`).
    Endpoint {
        /// The endpoint's VPC.
        vpc: VpcId,
        /// The caller's private address.
        address: IpAddr,
    },
}

/// A text that names no position.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "`{text}` is neither an address (198.51.100.9) nor a VPC and an address (vpc-0abc/10.0.1.5)"
)]
pub struct PositionError {
    text: String,
    #[source]
    vpc: Option<IdError>,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Position::Internet(address) => address.fmt(f),
            Position::Endpoint { vpc, address } => write!(f, "{vpc}/{address}"),
        }
    }
}

impl FromStr for Position {
    type Err = PositionError;

    fn from_str(text: &str) -> Result<Self, PositionError> {
        let error = |vpc| PositionError {
            text: text.to_owned(),
            vpc,
        };
        match text.split_once('/') {
            None => text
                .parse()
                .map(Position::Internet)
                .map_err(|_| error(None)),
            Some((vpc, address)) => Ok(Position::Endpoint {
                vpc: vpc.parse().map_err(|cause| error(Some(cause)))?,
                address: address.parse().map_err(|_| error(None))?,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_read_back_as_they_are_written() {
        for text in [
            "198.51.100.9",
            "2001:db8::1",
            "vpc-0abc/10.0.1.5",
            "vpc-0abc/2001:db8::1",
        ] {
            assert_eq!(text.parse::<Position>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "home",
            "10.0.0.0/8",
            "vpc-0abc",
            "vpc-0abc/",
            "subnet-1/10.0.0.1",
        ] {
            assert!(text.parse::<Position>().is_err(), "{text}");
        }
    }
}
