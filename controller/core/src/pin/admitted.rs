//! A pin read back: what its statements let pass. The pin in force may be of another day.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;

use crate::{
    id::VpcId,
    policy::{Document, Piece, Resources, Statement, Test, Text},
    request::Key,
};

/// What a pin lets pass, beyond each host's primary private address in its own VPC.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Admitted {
    /// From the internet: by the VPC of the token, the public prefixes.
    pub public: BTreeMap<VpcId, Vec<IpNet>>,
    /// Through an endpoint: the private prefixes.
    pub private: Vec<IpNet>,
    /// VPCs whose endpoints are home for everybody.
    pub hubs: BTreeSet<VpcId>,
}

impl Admitted {
    /// What `documents` let pass together.
    pub fn by(documents: &[&Document]) -> Self {
        let mut admitted = Self::default();
        let on_all = |statement: &&Statement| statement.resources == Resources::Every;
        for statement in documents
            .iter()
            .flat_map(|document| &document.statements)
            .filter(on_all) {
            admitted.read(statement);
        }
        admitted
    }

    fn read(&mut self, statement: &Statement) {
        let mut group = None;
        let mut public: &[IpNet] = &[];
        for (key, test) in statement.conditions() {
            match (key, test) {
                (Key::Ec2InstanceSourceVpc, Test::StringEquals(texts)) => {
                    group = texts.iter().find_map(literal_vpc);
                }
                (Key::SourceIp, Test::NotIpAddress(nets)) => public = nets,
                (Key::VpcSourceIp, Test::NotIpAddress(nets)) => self.private.extend(nets),
                (Key::SourceVpc, Test::StringNotEquals(texts)) => {
                    self.hubs.extend(texts.iter().filter_map(literal_vpc));
                }
                _ => {}
            }
        }
        if let Some(vpc) = group {
            self.public.insert(vpc, public.to_vec());
        }
    }
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
    use crate::{footprint::Footprint, pin, settings::Settings};

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
        let footprint = Footprint {
            egress: [
                (
                    "vpc-0a".parse().unwrap(),
                    ["198.51.100.1/32".parse().unwrap()].into(),
                ),
                ("vpc-0b".parse().unwrap(), [].into()),
            ]
            .into(),
            more_private_ipv4: ["10.0.1.7/32".parse().unwrap()].into(),
            private_ipv6: ["2001:db8::7/128".parse().unwrap()].into(),
            ..Footprint::default()
        };
        let settings = Settings {
            hub_vpcs: Some(["vpc-0hub".parse().unwrap()].into()),
            ..Settings::default()
        };
        let admitted = Admitted::by(&[&pin::of(&footprint, &settings)]);
        assert_eq!(
            admitted,
            Admitted {
                public: [
                    (
                        "vpc-0a".parse().unwrap(),
                        vec!["198.51.100.1/32".parse().unwrap()]
                    ),
                    ("vpc-0b".parse().unwrap(), vec![]),
                ]
                .into(),
                private: vec![
                    "10.0.1.7/32".parse().unwrap(),
                    "2001:db8::7/128".parse().unwrap()
                ],
                hubs: ["vpc-0hub".parse().unwrap()].into(),
            }
        );
    }
}
