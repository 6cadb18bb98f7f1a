//! The account as the AWS CLI prints it, for `--cloud dir:`.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::Path,
};

use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::{Serializer, Value, json, ser::PrettyFormatter};

use super::{ACCOUNT, Fleet, Host, Role, Vpc, ZONES};

impl Fleet {
    /// Writes the account below `folder`.
    pub fn write(self, folder: &Path) -> Result<()> {
        for number in 0..self.regions {
            let region = folder.join(Self::region_name(number));
            fs::create_dir_all(&region)?;
            let hosts = || self.hosts(number);
            let vpcs = || self.vpcs(number);
            let zones = || vpcs().flat_map(|vpc| (0..ZONES).map(move |zone| (vpc, zone)));
            let file = |name: &str| region.join(format!("describe-{name}.json"));
            list(
                &file("instances"),
                "Reservations",
                hosts().map(|host| reservation(host, number)),
            )?;
            let of_hosts = hosts().map(|host| interface(host, number));
            let others = zones().flat_map(|(vpc, zone)| {
                [true, false].map(|is_public| other_interface(vpc, zone, is_public))
            });
            list(
                &file("network-interfaces"),
                "NetworkInterfaces",
                of_hosts.chain(others),
            )?;
            let subnets = zones().flat_map(|(vpc, zone)| {
                [true, false].map(|is_public| subnet(vpc, zone, is_public))
            });
            list(&file("subnets"), "Subnets", subnets)?;
            list(
                &file("route-tables"),
                "RouteTables",
                vpcs().flat_map(tables),
            )?;
            let gateways = zones().map(|(vpc, zone)| nat(vpc, zone));
            list(&file("nat-gateways"), "NatGateways", gateways)?;
            list(&file("vpcs"), "Vpcs", vpcs().map(describe_vpc))?;
            list(
                &file("vpc-endpoints"),
                "VpcEndpoints",
                vpcs().flat_map(endpoints),
            )?;
            list(&file("addresses"), "Addresses", [].into_iter())?;
        }
        let iam = folder.join("iam");
        fs::create_dir_all(&iam)?;
        let details = json!({
            "UserDetailList": [],
            "GroupDetailList": [],
            "RoleDetailList": self.roles().map(role).collect::<Vec<_>>(),
            "Policies": [],
        });
        let path = iam.join("get-account-authorization-details.json");
        create(&path, |out| print(out, &details))
    }
}

/// Writes what the AWS CLI prints of a list that is called `name`.
fn list(path: &Path, name: &str, items: impl Iterator<Item = Value>) -> Result<()> {
    create(path, |out| {
        write!(out, "{{\n    \"{name}\": [")?;
        for (number, item) in items.enumerate() {
            out.write_all(if number == 0 { b"\n" } else { b",\n" })?;
            print(out, &item)?;
        }
        out.write_all(b"\n    ]\n}\n")
    })
}

fn create(path: &Path, write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) -> Result<()> {
    let written = File::create(path).and_then(|file| {
        let mut out = BufWriter::with_capacity(1 << 20, file);
        write(&mut out)?;
        out.flush()
    });
    written.with_context(|| format!("cannot write {}", path.display()))
}

/// With four blanks for each level, as the AWS CLI does.
fn print(out: &mut impl Write, value: &Value) -> io::Result<()> {
    let four = PrettyFormatter::with_indent(b"    ");
    let written = value.serialize(&mut Serializer::with_formatter(out, four));
    written.map_err(io::Error::from)
}

fn zone_name(region: usize, zone: usize) -> String {
    let letter = ["a", "b", "c"][zone];
    format!("{}{letter}", Fleet::region_name(region))
}

fn reservation(host: Host, region: usize) -> Value {
    json!({
        "ReservationId": host.role.fleet.id("r", host.number),
        "OwnerId": ACCOUNT,
        "Groups": [],
        "Instances": [instance(host, region)],
    })
}

fn instance(host: Host, region: usize) -> Value {
    let fleet = host.role.fleet;
    let private = host.private(false);
    let dashes = private.to_string().replace('.', "-");
    let dns = format!(
        "ip-{dashes}.{}.compute.internal",
        Fleet::region_name(region)
    );
    let at = "2026-03-01T10:11:12+00:00";
    let mut instance = json!({
        "Architecture": "x86_64",
        "BlockDeviceMappings": [{
            "DeviceName": "/dev/xvda",
            "Ebs": {
                "AttachTime": at,
                "DeleteOnTermination": true,
                "Status": "attached",
                "VolumeId": fleet.id("vol", host.number),
            },
        }],
        "ClientToken": format!("fleet-{:036x}", fleet.random("token", host.number)),
        "EbsOptimized": true,
        "EnaSupport": true,
        "Hypervisor": "xen",
        "IamInstanceProfile": {
            "Arn": host.role.profile(),
            "Id": format!("AIPA{:016X}", fleet.random("profile", host.role.number)),
        },
        "NetworkInterfaces": [own_interface(host, region)],
        "RootDeviceName": "/dev/xvda",
        "RootDeviceType": "ebs",
        "SecurityGroups": [{"GroupId": host.vpc().own("sg", 0), "GroupName": "hosts"}],
        "SourceDestCheck": true,
        "Tags": [
            {"Key": "Name", "Value": format!("{}-{}", host.role.name(), host.place)},
            {"Key": "aws:autoscaling:groupName", "Value": host.role.name()},
            {"Key": "team", "Value": format!("team-{}", host.role.number % 40)},
            {"Key": "environment", "Value": "production"},
        ],
        "VirtualizationType": "hvm",
        "CpuOptions": {"CoreCount": 2, "ThreadsPerCore": 2},
        "CapacityReservationSpecification": {"CapacityReservationPreference": "open"},
        "HibernationOptions": {"Configured": false},
        "MetadataOptions": {
            "State": "applied",
            "HttpTokens": "required",
            "HttpPutResponseHopLimit": 1,
            "HttpEndpoint": "enabled",
            "HttpProtocolIpv6": "disabled",
            "InstanceMetadataTags": "disabled",
        },
        "EnclaveOptions": {"Enabled": false},
        "BootMode": "uefi-preferred",
        "PlatformDetails": "Linux/UNIX",
        "UsageOperation": "RunInstances",
        "UsageOperationUpdateTime": at,
        "PrivateDnsNameOptions": {
            "HostnameType": "ip-name",
            "EnableResourceNameDnsARecord": false,
            "EnableResourceNameDnsAAAARecord": false,
        },
        "MaintenanceOptions": {"AutoRecovery": "default"},
        "CurrentInstanceBootMode": "uefi",
        "InstanceId": host.id(),
        "ImageId": "ami-0123456789abcdef0",
        "State": {"Code": 16, "Name": "running"},
        "PrivateDnsName": dns,
        "PublicDnsName": "",
        "StateTransitionReason": "",
        "AmiLaunchIndex": 0,
        "ProductCodes": [],
        "InstanceType": "m6i.xlarge",
        "LaunchTime": at,
        "Placement": {
            "GroupName": "",
            "Tenancy": "default",
            "AvailabilityZone": zone_name(region, host.zone()),
        },
        "Monitoring": {"State": "disabled"},
        "SubnetId": host.subnet(),
        "VpcId": host.vpc().id(),
        "PrivateIpAddress": private.to_string(),
    });
    if let Some(public) = host.public() {
        instance["PublicIpAddress"] = json!(public.to_string());
    }
    if let Some(ipv6) = host.ipv6() {
        instance["Ipv6Address"] = json!(ipv6.to_string());
    }
    instance
}

/// Its interface, in its own description.
fn own_interface(host: Host, region: usize) -> Value {
    let number = host.number;
    let mut interface = json!({
        "Attachment": {
            "AttachTime": "2026-03-01T10:11:12+00:00",
            "AttachmentId": host.role.fleet.id("eni-attach", number),
            "DeleteOnTermination": true,
            "DeviceIndex": 0,
            "Status": "attached",
            "NetworkCardIndex": 0,
        },
        "Description": "",
        "Groups": [{"GroupId": host.vpc().own("sg", 0), "GroupName": "hosts"}],
        "Ipv6Addresses": ipv6_addresses(host),
        "MacAddress": mac(host),
        "NetworkInterfaceId": host.interface(),
        "OwnerId": ACCOUNT,
        "PrivateIpAddress": host.private(false).to_string(),
        "PrivateIpAddresses": private_addresses(host, region),
        "SourceDestCheck": true,
        "Status": "in-use",
        "SubnetId": host.subnet(),
        "VpcId": host.vpc().id(),
        "InterfaceType": "interface",
        "Operator": {"Managed": false},
    });
    if let Some(association) = association(host, region) {
        interface["Association"] = association;
    }
    interface
}

/// Its interface, by itself.
fn interface(host: Host, region: usize) -> Value {
    let mut interface = own_interface(host, region);
    interface["Attachment"]["InstanceId"] = json!(host.id());
    interface["Attachment"]["InstanceOwnerId"] = json!(ACCOUNT);
    interface["AvailabilityZone"] = json!(zone_name(region, host.zone()));
    interface["RequesterManaged"] = json!(false);
    interface["TagSet"] = json!([]);
    interface
}

fn mac(host: Host) -> String {
    let bytes = host.role.fleet.random("mac", host.number).to_be_bytes();
    let bytes: Vec<String> = bytes[..5]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("0a:{}", bytes.join(":"))
}

fn ipv6_addresses(host: Host) -> Vec<Value> {
    let addresses = host.ipv6().into_iter();
    addresses
        .map(|it| json!({"Ipv6Address": it.to_string(), "IsPrimaryIpv6": false}))
        .collect()
}

fn private_addresses(host: Host, region: usize) -> Vec<Value> {
    let mut primary = json!({
        "Primary": true,
        "PrivateIpAddress": host.private(false).to_string(),
    });
    if let Some(association) = association(host, region) {
        primary["Association"] = association;
    }
    let second = host
        .second_private()
        .map(|it| json!({"Primary": false, "PrivateIpAddress": it.to_string()}));
    [primary].into_iter().chain(second).collect()
}

fn association(host: Host, region: usize) -> Option<Value> {
    let public = host.public()?.to_string();
    let dashes = public.replace('.', "-");
    let region = Fleet::region_name(region);
    Some(json!({
        "IpOwnerId": "amazon",
        "PublicDnsName": format!("ec2-{dashes}.{region}.compute.amazonaws.com"),
        "PublicIp": public,
    }))
}

/// That of a NAT gateway, or of an endpoint.
fn other_interface(vpc: Vpc, zone: usize, is_public: bool) -> Value {
    let (private, kind) = if is_public {
        (vpc.nat_private(zone), "nat_gateway")
    } else {
        (vpc.endpoint_private(zone), "vpc_endpoint")
    };
    let mut address = json!({"Primary": true, "PrivateIpAddress": private.to_string()});
    if is_public {
        address["Association"] = json!({"PublicIp": vpc.nat_public(zone).to_string()});
    }
    json!({
        "AvailabilityZone": zone_name(vpc.region(), zone),
        "Description": "",
        "Groups": [],
        "InterfaceType": kind,
        "Ipv6Addresses": [],
        "NetworkInterfaceId": vpc.interface(zone, is_public),
        "OwnerId": ACCOUNT,
        "PrivateIpAddress": private.to_string(),
        "PrivateIpAddresses": [address],
        "RequesterManaged": true,
        "SourceDestCheck": !is_public,
        "Status": "in-use",
        "SubnetId": vpc.subnet(zone, is_public),
        "TagSet": [],
        "VpcId": vpc.id(),
    })
}

fn subnet(vpc: Vpc, zone: usize, is_public: bool) -> Value {
    let id = vpc.subnet(zone, is_public);
    json!({
        "AvailabilityZone": zone_name(vpc.region(), zone),
        "AvailableIpAddressCount": 3000,
        "CidrBlock": vpc.subnet_ipv4(zone, is_public),
        "DefaultForAz": false,
        "MapPublicIpOnLaunch": is_public,
        "State": "available",
        "SubnetId": id,
        "VpcId": vpc.id(),
        "OwnerId": ACCOUNT,
        "AssignIpv6AddressOnCreation": false,
        "Ipv6CidrBlockAssociationSet": [],
        "SubnetArn": format!("arn:aws:ec2:{}:{ACCOUNT}:subnet/{id}", Fleet::region_name(vpc.region())),
        "EnableDns64": false,
        "Ipv6Native": false,
    })
}

/// The main table, the one of the public subnets, and one of each private subnet.
fn tables(vpc: Vpc) -> Vec<Value> {
    let to = |kind: &str, destination: &str, target: &str, id: &str| {
        json!({
            kind: destination,
            target: id,
            "Origin": "CreateRoute",
            "State": "active",
        })
    };
    let table = |which: usize, subnets: Vec<String>, mut routes: Vec<Value>| {
        let network = format!("10.{}.0.0/16", vpc.network());
        let local = to("DestinationCidrBlock", &network, "GatewayId", "local");
        routes.insert(0, local);
        let associated = |subnet: String| {
            json!({
                "Main": false,
                "RouteTableId": vpc.own("rtb", which),
                "SubnetId": subnet,
                "AssociationState": {"State": "associated"},
            })
        };
        let main = (which == 0).then(|| {
            json!({
                "Main": true,
                "RouteTableId": vpc.own("rtb", which),
                "AssociationState": {"State": "associated"},
            })
        });
        let associations = subnets.into_iter().map(associated).chain(main);
        json!({
            "Associations": associations.collect::<Vec<_>>(),
            "PropagatingVgws": [],
            "RouteTableId": vpc.own("rtb", which),
            "Routes": routes,
            "Tags": [],
            "VpcId": vpc.id(),
            "OwnerId": ACCOUNT,
        })
    };
    let v4 = "DestinationCidrBlock";
    let public = (0..ZONES).map(|zone| vpc.subnet(zone, true)).collect();
    let out = to(v4, "0.0.0.0/0", "GatewayId", &vpc.own("igw", 0));
    let mut tables = vec![table(0, vec![], vec![]), table(1, public, vec![out])];
    for zone in 0..ZONES {
        let routes = vec![
            to(v4, "0.0.0.0/0", "NatGatewayId", &vpc.own("nat", zone)),
            to(
                "DestinationIpv6CidrBlock",
                "::/0",
                "EgressOnlyInternetGatewayId",
                &vpc.own("eigw", 0),
            ),
            to(
                "DestinationPrefixListId",
                "pl-6da54004",
                "GatewayId",
                &vpc.own("vpce", 0),
            ),
        ];
        tables.push(table(2 + zone, vec![vpc.subnet(zone, false)], routes));
    }
    tables
}

fn nat(vpc: Vpc, zone: usize) -> Value {
    json!({
        "CreateTime": "2025-11-01T08:00:00+00:00",
        "NatGatewayAddresses": [{
            "AllocationId": vpc.own("eipalloc", zone),
            "NetworkInterfaceId": vpc.interface(zone, true),
            "PrivateIp": vpc.nat_private(zone).to_string(),
            "PublicIp": vpc.nat_public(zone).to_string(),
            "IsPrimary": true,
            "Status": "succeeded",
        }],
        "NatGatewayId": vpc.own("nat", zone),
        "State": "available",
        "SubnetId": vpc.subnet(zone, true),
        "VpcId": vpc.id(),
        "Tags": [],
        "ConnectivityType": "public",
    })
}

fn describe_vpc(vpc: Vpc) -> Value {
    json!({
        "OwnerId": ACCOUNT,
        "InstanceTenancy": "default",
        "CidrBlock": format!("10.{}.0.0/16", vpc.network()),
        "IsDefault": false,
        "VpcId": vpc.id(),
        "State": "available",
        "Tags": [],
    })
}

/// The gateway endpoint of S3, and the interface endpoint of STS.
fn endpoints(vpc: Vpc) -> [Value; 2] {
    let region = Fleet::region_name(vpc.region());
    let endpoint = |which: usize, kind: &str, service: &str| {
        json!({
            "VpcEndpointId": vpc.own("vpce", which),
            "VpcEndpointType": kind,
            "VpcId": vpc.id(),
            "ServiceName": format!("com.amazonaws.{region}.{service}"),
            "State": "available",
            "OwnerId": ACCOUNT,
        })
    };
    let mut gateway = endpoint(0, "Gateway", "s3");
    let tables = (0..ZONES).map(|zone| vpc.own("rtb", 2 + zone));
    gateway["RouteTableIds"] = tables.collect();
    let mut interface = endpoint(1, "Interface", "sts");
    let subnets = (0..ZONES).map(|zone| vpc.subnet(zone, false));
    interface["SubnetIds"] = subnets.collect();
    [gateway, interface]
}

fn role(role: Role) -> Value {
    let name = role.name();
    let at = "2025-10-01T09:00:00+00:00";
    json!({
        "Path": "/",
        "RoleName": name,
        "RoleId": role.id(),
        "Arn": role.arn(),
        "CreateDate": at,
        "AssumeRolePolicyDocument": {
            "Version": "2012-10-17",
            "Statement": [{
                "Effect": "Allow",
                "Principal": {"Service": "ec2.amazonaws.com"},
                "Action": "sts:AssumeRole",
            }],
        },
        "InstanceProfileList": [{
            "Path": "/",
            "InstanceProfileName": name,
            "InstanceProfileId": format!("AIPA{:016X}", role.fleet.random("profile", role.number)),
            "Arn": role.profile(),
            "CreateDate": at,
            "Roles": [],
        }],
        "RolePolicyList": [],
        "AttachedManagedPolicies": [],
        "Tags": [],
        "RoleLastUsed": {},
    })
}
