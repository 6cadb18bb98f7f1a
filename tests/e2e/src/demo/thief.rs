//! A token of the first host, used from everywhere.

use std::fmt;

use anyhow::{Context, Result};
use credpin::flow::Planned;
use credpin_core::{
    credential::Credential,
    explain::{Verdict, decide},
    id::{InstanceId, RoleName},
    position::Position,
    request::Request,
};
use serde::Serialize;

/// One use of a token: from where, and what came of it before and after the pin.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// From where, in words.
    pub from: String,
    /// Without the pin.
    pub before: Decision,
    /// With it.
    pub after: Decision,
    /// The statement that denied it.
    pub statement: Option<String>,
    /// The same place as AWS sees it.
    #[serde(skip)]
    pub position: String,
    /// What is promised with the pin (docs/threat-model.md).
    #[serde(skip)]
    pub promised: Decision,
    /// What a person should know of it; most often nothing.
    #[serde(skip)]
    pub note: &'static str,
    /// The call as IAM sees it.
    #[serde(skip)]
    pub request: Request,
}

/// What came of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    /// It went through.
    Allowed,
    /// `AccessDenied`.
    Denied,
}

/// How a token gets to AWS.
enum Way {
    /// By itself, from this position.
    From(&'static str),
    /// A service calls for it, and was itself called from this position.
    Service(&'static str),
}

/// An action that reads data: what a thief is after.
const ACTION: &str = "s3:GetObject";

/// One use of a token.
struct Use {
    /// Whose token: the first host's or the second's.
    host: usize,
    /// From where, in words.
    from: &'static str,
    way: Way,
    promised: Decision,
    /// What a person should know of it.
    note: &'static str,
}

const USES: [Use; 10] = [
    Use {
        host: 0,
        from: "home, by the internet",
        way: Way::From("198.51.100.10"),
        promised: Decision::Allowed,
        note: "",
    },
    Use {
        host: 0,
        from: "home, by its VPC endpoint",
        way: Way::From("vpc-0a1f5e7c2d3b4a596/10.0.1.5"),
        promised: Decision::Allowed,
        note: "",
    },
    Use {
        host: 0,
        from: "a service, on home's behalf",
        way: Way::Service("198.51.100.10"),
        promised: Decision::Allowed,
        note: "",
    },
    Use {
        host: 0,
        from: "the other host, by the internet",
        way: Way::From("198.51.100.20"),
        promised: Decision::Denied,
        note: "",
    },
    Use {
        host: 0,
        from: "the other host, by its VPC endpoint",
        way: Way::From("vpc-0b9d8e7f6a5b4c3d2/10.1.1.5"),
        promised: Decision::Denied,
        note: "",
    },
    Use {
        host: 0,
        from: "a neighbour, by home's VPC endpoint",
        way: Way::From("vpc-0a1f5e7c2d3b4a596/10.0.1.6"),
        promised: Decision::Denied,
        note: "",
    },
    Use {
        host: 0,
        from: "another VPC's endpoint, same address",
        way: Way::From("vpc-0badbadbadbadbadb/10.0.1.5"),
        promised: Decision::Denied,
        note: "",
    },
    Use {
        host: 0,
        from: "the internet at large",
        way: Way::From("203.0.113.66"),
        promised: Decision::Denied,
        note: "",
    },
    Use {
        host: 0,
        from: "a neighbour behind home's NAT gateway",
        way: Way::From("198.51.100.10"),
        promised: Decision::Allowed,
        note: "open: AWS sees one address for both",
    },
    Use {
        host: 1,
        from: "the other host, with its own token",
        way: Way::From("198.51.100.20"),
        promised: Decision::Allowed,
        note: "",
    },
];

/// Every use, decided by what was in force before and what is after.
pub(super) fn rows(
    before: &Planned,
    after: &Planned,
    role: &RoleName,
    hosts: [&str; 2],
) -> Result<Vec<Row>> {
    USES.iter()
        .map(|one| {
            let instance: InstanceId = hosts[one.host].parse()?;
            let request = one.way.request(before, role, &instance)?;
            let (before, _) = decided(before, role, &request)?;
            let (after, statement) = decided(after, role, &request)?;
            Ok(Row {
                from: one.from.to_owned(),
                position: one.way.to_string(),
                before,
                after,
                statement,
                promised: one.promised,
                note: one.note,
                request,
            })
        })
        .collect()
}

fn decided(
    planned: &Planned,
    role: &RoleName,
    request: &Request,
) -> Result<(Decision, Option<String>)> {
    let role = planned.plan.role(role).context("the role is gone")?;
    Ok(match decide(role.in_force.as_ref(), request) {
        Verdict::Allowed => (Decision::Allowed, None),
        Verdict::Denied { statement, .. } => (Decision::Denied, Some(statement)),
    })
}

impl Way {
    fn request(
        &self,
        planned: &Planned,
        role: &RoleName,
        instance: &InstanceId,
    ) -> Result<Request> {
        let seen = planned.estate.roles.get(role).context("no such role")?;
        let hosts = &planned
            .plan
            .role(role)
            .context("no such role")?
            .footprint
            .hosts;
        let host = hosts.iter().find(|host| host.instance == *instance);
        let credential = Credential::of(seen, host.context("no such host")?);
        Ok(match self {
            Way::From(position) => credential.used_from(&position.parse::<Position>()?, ACTION),
            Way::Service(position) => credential.used_by_a_service(&position.parse()?, ACTION),
        })
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Way::From(position) => f.write_str(position),
            Way::Service(_) => f.write_str("athena.amazonaws.com"),
        }
    }
}

impl Row {
    /// Whether the pin does here what is promised, and nothing was denied without it.
    pub fn is_as_promised(&self) -> bool {
        self.before == Decision::Allowed && self.after == self.promised
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Decision::Allowed => "allowed",
            Decision::Denied => "DENIED",
        })
    }
}
