//! Which host a request of the admin API is about.

use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::{Value, json};

use super::Refusal;
use crate::state::State;

/// The hosts that one admin API serves: one, or those of a fleet.
pub struct Hosts(Vec<(Option<SocketAddr>, Arc<State>)>);

impl Hosts {
    /// All of them: `/hosts/i-…/requests` are the requests of one.
    pub(super) fn list(&self) -> Value {
        let host = |(addr, state): &(Option<SocketAddr>, Arc<State>)| {
            json!({
                "instance-id": state.host().instance_id,
                "endpoint": addr.map(|addr| format!("http://{addr}")),
            })
        };
        json!({ "hosts": self.0.iter().map(host).collect::<Vec<_>>() })
    }

    /// The host that has this id now.
    pub(super) fn named(&self, id: &str) -> Result<&State, Refusal> {
        self.0
            .iter()
            .map(|(_, state)| &**state)
            .find(|state| state.host().instance_id == id)
            .ok_or_else(|| Refusal::NoHost(id.to_owned()))
    }

    /// The host, where there is only one.
    pub(super) fn only(&self) -> Result<&State, Refusal> {
        match &self.0[..] {
            [(_, state)] => Ok(state),
            hosts => Err(Refusal::WhichHost(hosts.len())),
        }
    }
}

/// One host, as a test starts it.
impl From<Arc<State>> for Hosts {
    fn from(state: Arc<State>) -> Self {
        Self(vec![(None, state)])
    }
}

/// Hosts, with the addresses that they listen on.
impl FromIterator<(SocketAddr, Arc<State>)> for Hosts {
    fn from_iter<I: IntoIterator<Item = (SocketAddr, Arc<State>)>>(hosts: I) -> Self {
        let hosts = hosts.into_iter();
        Self(hosts.map(|(addr, state)| (Some(addr), state)).collect())
    }
}
