//! Whether a key was used where its instance is.

use std::{collections::BTreeMap, net::IpAddr};

use serde::Serialize;

use super::Place;
use crate::{
    footprint::Host,
    id::{InstanceId, VpcId},
};

/// The hosts of an account and where each is at home.
#[derive(Clone, Debug, Default)]
pub struct Homes {
    hosts: BTreeMap<InstanceId, Host>,
    /// VPC endpoints, and the VPC of each.
    endpoints: BTreeMap<String, VpcId>,
    hubs: Vec<VpcId>,
}

/// Where a call came from, as seen from an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// From the instance's own way out, or from its address by an endpoint of its VPC.
    Home,
    /// From anywhere else.
    Away,
    /// A service made the call.
    Service,
}

impl Homes {
    /// Of these hosts, VPC endpoints (by id) and VPCs whose endpoints serve everybody.
    pub fn new(
        hosts: impl IntoIterator<Item = Host>,
        endpoints: BTreeMap<String, VpcId>,
        hubs: Vec<VpcId>,
    ) -> Self {
        let hosts = hosts.into_iter();
        Self {
            hosts: hosts.map(|host| (host.instance.clone(), host)).collect(),
            endpoints,
            hubs,
        }
    }

    /// The host, if it is there.
    pub fn host(&self, instance: &str) -> Option<&Host> {
        self.hosts.get(instance)
    }

    /// Whether no host is known.
    pub fn is_empty(&self) -> bool {
        self.hosts.is_empty()
    }

    /// VPCs whose endpoints serve everybody.
    pub fn hubs(&self) -> &[VpcId] {
        &self.hubs
    }

    /// The VPC of an endpoint, if it is ours.
    pub fn vpc_of(&self, endpoint: &str) -> Option<&VpcId> {
        self.endpoints.get(endpoint)
    }

    /// A host that `place` is home to, the first if it is home to several.
    pub fn owner(&self, place: &Place) -> Option<&InstanceId> {
        let is_home =
            |instance: &&InstanceId| self.judge(instance.as_str(), place) == Some(Verdict::Home);
        self.hosts.keys().find(is_home)
    }

    /// Whether `place` is home to `instance`; none where that instance is not known, or what it
    /// would be seen as.
    pub fn judge(&self, instance: &str, place: &Place) -> Option<Verdict> {
        let host = self.host(instance)?;
        let Ok(address) = place.address.parse::<IpAddr>() else {
            return Some(Verdict::Service);
        };
        let is_home = match place.endpoint.as_deref() {
            Some(endpoint) => {
                let vpc = self.vpc_of(endpoint);
                vpc.is_some_and(|vpc| *vpc == host.vpc || self.hubs.contains(vpc))
                    && host.private().any(|net| net.contains(&address))
            }
            None => host.public.iter().any(|net| net.contains(&address)),
        };
        Some(if is_home {
            Verdict::Home
        } else {
            Verdict::Away
        })
    }
}
