//! What the estate of the tests looks like to who reads the account.

use std::path::Path;

use anyhow::Result;
use credpin_e2e::account::Account;
use credpin_e2e::estate::{Estate, Extras};
use credpin_e2e::moto::Moto;
use credpin_e2e::tools::Tools;
use serde_json::{Value, json};

#[tokio::test]
async fn the_aws_cli_writes_the_estate_as_a_directory() -> Result<()> {
    let tools = Tools::find()?;
    let moto = Moto::start(&tools).await?;
    let extras = Extras {
        public_host: true,
        ipv6: true,
    };
    let estate = Estate::build(&tools, &moto, extras).await?;
    let folder = tempfile::tempdir()?;
    moto.dump(folder.path(), &Estate::REGIONS).await?;
    let read = |file: &str| read(folder.path(), file);

    // Hosts are where the estate says, by the CLI's own words.
    for host in estate.hosts.values() {
        let answer = read(&format!("{}/describe-instances.json", host.region))?;
        let found = instances(&answer).find(|i| i["InstanceId"] == host.id.as_str());
        let instance = found.expect("every host is listed");
        assert_eq!(instance["State"]["Name"], "running", "{}", host.name);
        assert_eq!(
            instance["PrivateIpAddress"],
            host.private_address.to_string()
        );
        assert_eq!(instance["VpcId"], host.vpc.as_str());
        assert_eq!(
            instance["IamInstanceProfile"]["Arn"],
            estate.roles[&host.role].profile_arn
        );
        assert_eq!(
            instance["PublicIpAddress"].as_str(),
            host.public_address.map(|a| a.to_string()).as_deref()
        );
        let ipv6 = &instance["NetworkInterfaces"][0]["Ipv6Addresses"][0]["Ipv6Address"];
        assert_eq!(
            ipv6.as_str(),
            host.ipv6_address.map(|a| a.to_string()).as_deref()
        );
    }
    let a = &estate.vpcs["a"];
    let gateways = read("eu-west-1/describe-nat-gateways.json")?;
    let address = &gateways["NatGateways"][0]["NatGatewayAddresses"][0]["PublicIp"];
    assert_eq!(address, &a.nat_address.to_string());
    let tables = read("eu-west-1/describe-route-tables.json")?;
    let leaves = |subnet: &str, key: &str| {
        let tables = tables["RouteTables"].as_array().expect("a list");
        let own = |t: &&Value| t["Associations"][0]["SubnetId"] == subnet;
        let routes = tables.iter().find(own).map(|t| t["Routes"].to_string());
        routes.expect("a table of the subnet's own").contains(key)
    };
    assert!(leaves(&a.private_subnet, &a.nat_gateway));
    assert!(leaves(&a.private_subnet, "EgressOnlyInternetGatewayId"));
    assert!(leaves(&a.public_subnet, "igw-"));
    assert!(leaves(&a.private_subnet, &a.s3_endpoint));

    let details = read("iam/get-account-authorization-details.json")?;
    let roles = details["RoleDetailList"].as_array().expect("a list");
    let names: Vec<_> = roles.iter().map(|r| &r["RoleName"]).collect();
    assert_eq!(names, ["web", "batch"]);
    Ok(())
}

/// The very case that pins must tell apart: the same private address in another VPC.
#[tokio::test]
async fn two_hosts_share_an_address_and_a_reset_empties_the_account() -> Result<()> {
    let tools = Tools::find()?;
    let moto = Moto::start(&tools).await?;
    let estate = Estate::build(&tools, &moto, Extras::default()).await?;
    let (one, other) = (estate.host("web-1"), estate.host("web-b1"));
    assert_eq!(one.private_address, other.private_address);
    assert_ne!(one.vpc, other.vpc);
    assert!(
        estate
            .hosts
            .values()
            .all(|h| h.public_address.is_none() && h.ipv6_address.is_none())
    );

    moto.reset().await?;
    let account = Account::sign_in(&tools, &moto)?;
    let left = account
        .call("ec2", "eu-west-1", "describe_instances", json!({}))
        .await?;
    assert_eq!(instances(&left).count(), 0);
    Ok(())
}

fn instances(answer: &Value) -> impl Iterator<Item = &Value> {
    let reservations = answer["Reservations"].as_array().into_iter().flatten();
    reservations.flat_map(|r| r["Instances"].as_array().into_iter().flatten())
}

fn read(folder: &Path, file: &str) -> Result<Value> {
    Ok(serde_json::from_slice(&std::fs::read(folder.join(file))?)?)
}
