//! The account that these tests play in.

use std::net::SocketAddr;

use anyhow::Result;
use credpin_core::policy::Document;
use credpin_e2e::{
    account::Account,
    controller::{Controller, ENFORCE_WEB},
    estate::{Estate, Extras},
    moto::Moto,
    process::Finished,
    relay::Relay,
    tools::Tools,
};
use serde_json::{Value, json};

/// Of web's pin, in moto's account.
pub(crate) const ARN: &str = "arn:aws:iam::123456789012:policy/credpin/credpin-web";

/// moto with the estate in it, and credpin's way to it.
pub(crate) struct World {
    pub(crate) tools: Tools,
    pub(crate) moto: Moto,
    pub(crate) relay: Relay,
    pub(crate) account: Account,
    pub(crate) estate: Estate,
}

impl World {
    pub(crate) async fn build(extras: Extras) -> Result<Self> {
        let tools = Tools::find()?;
        let moto = Moto::start(&tools).await?;
        let estate = Estate::build(&tools, &moto, extras).await?;
        let address: SocketAddr = moto.endpoint().trim_start_matches("http://").parse()?;
        Ok(Self {
            relay: Relay::start(address).await?,
            account: Account::sign_in(&tools, &moto)?,
            tools,
            moto,
            estate,
        })
    }

    pub(crate) fn controller(&self, config: &str) -> Controller {
        Controller::new(&self.tools, config).unwrap()
    }

    pub(crate) async fn run(&self, arguments: &[&str]) -> Result<Finished> {
        self.controller(ENFORCE_WEB)
            .on_aws(self.relay.endpoint(), arguments)
            .await
    }

    /// A call of IAM, as the AWS CLI would make it.
    pub(crate) async fn iam(&self, call: &str, request: Value) -> Result<Value> {
        self.account.call("iam", "us-east-1", call, request).await
    }

    /// Calls since the last time this was asked that change something.
    pub(crate) fn writes(&self) -> Vec<String> {
        let reads = ["Describe", "Get", "List"];
        let calls = self.relay.take_calls().into_iter().map(|call| call.action);
        calls
            .filter(|action| !reads.iter().any(|read| action.starts_with(read)))
            .collect()
    }

    pub(crate) async fn pins(&self, role: &str) -> Vec<(String, Document)> {
        let policies = self.account.role_policies(role).await.unwrap();
        let ours = policies
            .into_iter()
            .filter(|policy| policy.name.contains(":policy/credpin/"));
        ours.map(|policy| {
            let document = Document::parse(&policy.document.to_string()).unwrap();
            (policy.name, document)
        })
        .collect()
    }

    pub(crate) async fn versions(&self) -> Vec<Value> {
        let request = json!({"PolicyArn": ARN});
        let answer = self
            .account
            .call("iam", "us-east-1", "list_policy_versions", request)
            .await;
        answer.unwrap()["Versions"].as_array().unwrap().clone()
    }

    /// One more NAT gateway in VPC `a`, in a subnet of its own: one more address in the pin, which is
    /// given back.
    pub(crate) async fn grow(&self, round: u8) -> Result<String> {
        let vpc = &self.estate.vpcs["a"];
        let address = format!("198.51.100.{}", 100 + 2 * round);
        let request = json!({"Domain": "vpc", "Address": address});
        let made = self
            .account
            .call("ec2", &vpc.region, "allocate_address", request)
            .await?;
        let request = json!({"SubnetId": vpc.public_subnet, "AllocationId": made["AllocationId"]});
        let made = self
            .account
            .call("ec2", &vpc.region, "create_nat_gateway", request)
            .await?;
        let nat = made["NatGateway"]["NatGatewayId"].clone();
        let request = json!({"VpcId": vpc.id});
        let table = self
            .account
            .call("ec2", &vpc.region, "create_route_table", request)
            .await?;
        let table = table["RouteTable"]["RouteTableId"].clone();
        let cidr = format!("10.0.{}.0/24", 100 + round);
        let request = json!({"VpcId": vpc.id, "CidrBlock": cidr});
        let subnet = self
            .account
            .call("ec2", &vpc.region, "create_subnet", request)
            .await?;
        let request = json!({"RouteTableId": table, "SubnetId": subnet["Subnet"]["SubnetId"]});
        self.account
            .call("ec2", &vpc.region, "associate_route_table", request)
            .await?;
        let request = json!({"RouteTableId": table, "DestinationCidrBlock": "0.0.0.0/0", "NatGatewayId": nat});
        self.account
            .call("ec2", &vpc.region, "create_route", request)
            .await?;
        Ok(address)
    }
}
