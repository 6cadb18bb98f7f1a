//! A pin read back: what its statements let pass. The pin in force may be of another day.

use std::collections::BTreeSet;

use ipnet::{IpNet, Ipv4Net};

use super::is_chained;
use crate::{
    footprint::Host,
    id::VpcId,
    policy::{Document, Piece, Resources, Statement, Test, Text},
    request::Key,
};

/// What a pin lets pass, beyond each host's primary private address in its own VPC.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Admitted {
    /// From the internet: what each statement lets pass of the tokens that it selects.
    pub public: Vec<Public>,
    /// Through an endpoint: the private prefixes.
    pub private: Vec<IpNet>,
    /// VPCs whose endpoints are home for everybody.
    pub hubs: BTreeSet<VpcId>,
}

/// A statement about calls from the internet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Public {
    /// Its name.
    pub sid: String,
    /// The VPC whose tokens it selects, or none where it selects those of others than `not_vpcs`.
    pub vpc: Option<VpcId>,
    /// VPCs whose tokens it does not select.
    pub not_vpcs: BTreeSet<VpcId>,
    /// Of those, it selects only tokens of hosts at these private addresses, where there are any.
    pub private: Vec<Ipv4Net>,
    /// And not those of hosts at these.
    pub not_private: Vec<Ipv4Net>,
    /// What it lets pass.
    pub from: Vec<IpNet>,
}

impl Admitted {
    /// What `documents` let pass together.
    pub fn by(documents: &[&Document]) -> Self {
        let mut admitted = Self::default();
        // Others say nothing of the tokens that EC2 delivers.
        let on_all = |statement: &&Statement| {
            statement.resources == Resources::Every && !is_chained(statement)
        };
        for statement in documents
            .iter()
            .flat_map(|document| &document.statements)
            .filter(on_all)
        {
            admitted.read(statement);
        }
        admitted
    }

    /// The VPCs that a statement is about.
    pub fn vpcs(&self) -> impl Iterator<Item = &VpcId> {
        self.public.iter().filter_map(|public| public.vpc.as_ref())
    }

    fn read(&mut self, statement: &Statement) {
        let mut public = Public {
            sid: statement.sid.clone(),
            ..Public::default()
        };
        let mut is_public = false;
        for (key, test) in statement.conditions() {
            match (key, test) {
                (Key::SourceVpc, Test::Null(absent)) => is_public = *absent,
                (Key::Ec2InstanceSourceVpc, Test::StringEquals(texts)) => {
                    public.vpc = texts.iter().find_map(literal_vpc);
                }
                (Key::Ec2InstanceSourceVpc, Test::StringNotEquals(texts)) => {
                    public.not_vpcs.extend(texts.iter().filter_map(literal_vpc));
                }
                (Key::Ec2InstanceSourcePrivateIpv4, Test::IpAddress(nets)) => {
                    public.private = ipv4(nets);
                }
                (Key::Ec2InstanceSourcePrivateIpv4, Test::NotIpAddress(nets)) => {
                    public.not_private = ipv4(nets);
                }
                (Key::SourceIp, Test::NotIpAddress(nets)) => public.from.clone_from(nets),
                (Key::VpcSourceIp, Test::NotIpAddress(nets)) => self.private.extend(nets),
                (Key::SourceVpc, Test::StringNotEquals(texts)) => {
                    self.hubs.extend(texts.iter().filter_map(literal_vpc));
                }
                _ => {}
            }
        }
        if is_public {
            self.public.push(public);
        }
    }
}

impl Public {
    /// Whether it is about tokens of hosts of `vpc`, all of them or some.
    pub fn is_about(&self, vpc: &VpcId) -> bool {
        match &self.vpc {
            Some(own) => own == vpc,
            None => !self.not_vpcs.contains(vpc),
        }
    }

    /// Whether it selects tokens of `host`, if it is about those of its VPC.
    pub fn takes(&self, host: &Host) -> bool {
        let at = |nets: &[Ipv4Net]| {
            host.primary_ipv4
                .is_some_and(|address| nets.iter().any(|net| net.contains(&address)))
        };
        (self.private.is_empty() || at(&self.private)) && !at(&self.not_private)
    }
}

fn ipv4(nets: &[IpNet]) -> Vec<Ipv4Net> {
    nets.iter()
        .filter_map(|net| match net {
            IpNet::V4(net) => Some(*net),
            IpNet::V6(_) => None,
        })
        .collect()
}

fn literal_vpc(text: &Text) -> Option<VpcId> {
    match text.0.as_slice() {
        [Piece::Literal(literal)] => literal.parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        footprint::{Footprint, Group},
        pin,
        settings::Settings,
    };

    #[test]
    fn a_statement_that_looks_at_some_resources_only_pins_nothing() {
        let vpc: VpcId = "vpc-0a".parse().unwrap();
        let footprint = Footprint {
            egress: [(vpc, [].into())].into(),
            ..Footprint::default()
        };
        let mut document = pin::of(&footprint, &Settings::default());
        for statement in &mut document.statements {
            statement.resources = Resources::Only(vec!["arn:aws:s3:::a".parse().unwrap()]);
        }
        assert_eq!(Admitted::by(&[&document]), Admitted::default());
    }

    #[test]
    fn what_was_written_reads_back() {
        let (here, there): (VpcId, VpcId) = ("vpc-0a".parse().unwrap(), "vpc-0b".parse().unwrap());
        let own = || -> BTreeSet<IpNet> { ["198.51.100.1/32".parse().unwrap()].into() };
        let footprint = Footprint {
            egress: [(here.clone(), own()), (there.clone(), [].into())].into(),
            groups: [(
                here.clone(),
                vec![
                    Group {
                        number: 1,
                        private: ["10.0.1.5/32".parse().unwrap()].into(),
                        public: own(),
                    },
                    Group::default(),
                ],
            )]
            .into(),
            more_private_ipv4: ["10.0.1.7/32".parse().unwrap()].into(),
            private_ipv6: ["2001:db8::7/128".parse().unwrap()].into(),
            ..Footprint::default()
        };
        let settings = Settings {
            hub_vpcs: Some(["vpc-0hub".parse().unwrap()].into()),
            ..Settings::default()
        };
        let pin = pin::of(&footprint, &settings);
        credpin_witness::note(pin.to_json());
        let admitted = Admitted::by(&[&pin]);
        let public = |sid: &str, vpc: Option<&VpcId>| Public {
            sid: sid.into(),
            vpc: vpc.cloned(),
            ..Public::default()
        };
        assert_eq!(
            admitted,
            Admitted {
                public: vec![
                    Public {
                        private: vec!["10.0.1.5/32".parse().unwrap()],
                        from: own().into_iter().collect(),
                        ..public("PublicGroup1Vpc0a", Some(&here))
                    },
                    Public {
                        not_private: vec!["10.0.1.5/32".parse().unwrap()],
                        ..public("PublicVpc0a", Some(&here))
                    },
                    public("PublicVpc0b", Some(&there)),
                    Public {
                        not_vpcs: [here, there].into(),
                        ..public("PublicOther", None)
                    },
                ],
                private: vec![
                    "10.0.1.7/32".parse().unwrap(),
                    "2001:db8::7/128".parse().unwrap()
                ],
                hubs: ["vpc-0hub".parse().unwrap()].into(),
            }
        );
    }
}
