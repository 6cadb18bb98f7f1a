//! What EC2 and STS know of a session, and AWS puts into condition keys.

use std::net::Ipv4Addr;

use credpin_mock_imds::Issued;

use crate::credentials::Credentials;
use crate::estate::Estate;

/// A role's credentials as EC2 delivered them to an instance.
#[derive(Clone, Debug)]
pub struct Session {
    /// The credentials, with their token.
    pub credentials: Credentials,
    /// When they were issued, as `2026-01-02T03:04:05Z`.
    pub issued: String,
    /// By which version of the metadata service.
    pub delivery: Delivery,
    /// The account's id.
    pub account: String,
    /// The role's name.
    pub role_name: String,
    /// The role's ARN, path included.
    pub role_arn: String,
    /// `AROA…`.
    pub role_id: String,
    /// `i-…`.
    pub instance_id: String,
    /// The instance's ARN.
    pub instance_arn: String,
    /// The instance's VPC.
    pub vpc: String,
    /// The primary private IPv4 of the instance's primary interface.
    pub private_address: Ipv4Addr,
}

/// `ec2:RoleDelivery`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// `1.0`
    V1,
    /// `2.0`
    V2,
}

impl Session {
    /// What a host's metadata service gave to the host, by IMDSv2.
    ///
    /// # Panics
    /// If the estate has no such host.
    pub fn of_host(estate: &Estate, host: &str, issued: &Issued) -> Self {
        let host = estate.host(host);
        let role = &estate.roles[&host.role];
        Self {
            credentials: issued.into(),
            issued: issued.issued.to_string(),
            delivery: Delivery::V2,
            account: estate.account.clone(),
            role_name: role.name.clone(),
            role_arn: role.arn.clone(),
            role_id: role.id.clone(),
            instance_id: host.id.clone(),
            instance_arn: host.arn.clone(),
            vpc: host.vpc.clone(),
            private_address: host.private_address,
        }
    }

    /// The session's ARN: EC2 names a session for its instance.
    pub fn principal(&self) -> String {
        let Self {
            account,
            role_name,
            instance_id,
            ..
        } = self;
        format!("arn:aws:sts::{account}:assumed-role/{role_name}/{instance_id}")
    }

    /// `aws:userid`.
    pub fn user_id(&self) -> String {
        format!("{}:{}", self.role_id, self.instance_id)
    }
}
