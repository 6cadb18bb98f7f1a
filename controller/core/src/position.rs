//! Where a call comes from, as AWS can see it.

use std::{fmt, net::IpAddr, str::FromStr};

use serde::Serialize;
use thiserror::Error;

use crate::{
    egress::is_private,
    id::{IdError, VpcId},
};

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
pub enum PositionError {
    /// It is of another form.
    #[error(
        "`{text}` is neither an address (198.51.100.9) nor a VPC and an address (vpc-0abc/10.0.1.5)"
    )]
    Form {
        /// What was given.
        text: String,
        /// What is wrong with the VPC, if that is it.
        #[source]
        vpc: Option<IdError>,
    },
    /// A private address by itself. AWS sees one only through an endpoint.
    #[error(
        "{0} is private, so such a call came by a VPC endpoint: write vpc-…/{0} (CloudTrail has the endpoint as vpcEndpointId)"
    )]
    Private(IpAddr),
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
        let form = |vpc| PositionError::Form {
            text: text.to_owned(),
            vpc,
        };
        let address = |text: &str| text.parse::<IpAddr>().map_err(|_| form(None));
        match text.split_once('/') {
            None => match address(text)? {
                private if is_private(&private.into()) => Err(PositionError::Private(private)),
                public => Ok(Position::Internet(public)),
            },
            Some((vpc, inside)) => Ok(Position::Endpoint {
                vpc: vpc.parse().map_err(|cause| form(Some(cause)))?,
                address: address(inside)?,
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

    #[test]
    fn a_private_address_by_itself_is_told_from_where_it_came() {
        let error = "10.0.1.5".parse::<Position>().unwrap_err().to_string();
        assert!(error.contains("vpc-…/10.0.1.5"), "{error}");
    }
}
