"""Builds the estate of the end-to-end tests in the account that moto plays, and prints its ids as JSON.

  build_estate.py [--public-host] [--ipv6]

Two VPCs, in two regions, with the same addresses, each with a public subnet (internet gateway, NAT
gateway), a private subnet (out through the NAT gateway), an S3 gateway endpoint and an STS interface
endpoint. Roles `web` and `batch`. Hosts in private subnets: web-1, web-2 and batch-1 in VPC a, and
web-b1 in VPC b, with the private address of web-1.

  --public-host  web-pub in the public subnet of VPC a, with an Elastic IP of its own
  --ipv6         VPC a has IPv6: web-1 and web-2 have addresses, and leave by an egress-only gateway

moto invents Elastic IPs in 127.0.0.0/8, so each is asked for by name. Its NAT gateways and interface
endpoints have private addresses outside their subnets, and it gives an instance profile only to the
first instance of a call: hence one call an instance.
"""

import argparse
import json

import boto3

VPCS = {
    "a": {"region": "eu-west-1", "nat": "198.51.100.10"},
    "b": {"region": "eu-central-1", "nat": "198.51.100.20"},
}
HOSTS = [  # name, role, VPC, subnet, private address
    ("web-1", "web", "a", "private", "10.0.1.11"),
    ("web-2", "web", "a", "private", "10.0.1.12"),
    ("batch-1", "batch", "a", "private", "10.0.1.21"),
    ("web-b1", "web", "b", "private", "10.0.1.11"),
]
PUBLIC_HOST = ("web-pub", "web", "a", "public", "10.0.0.11")
PUBLIC_HOST_ADDRESS = "198.51.100.30"
IPV6_HOSTS = {"web-1": "b", "web-2": "c"}  # the last group of the address

TRUST_EC2 = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
    ],
}


def build_role(iam, name):
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST_EC2))["Role"]
    profile = iam.create_instance_profile(InstanceProfileName=name)["InstanceProfile"]
    iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)
    return {"name": name, "arn": role["Arn"], "id": role["RoleId"], "profile_arn": profile["Arn"]}


def build_vpc(ec2, region, nat_address, ipv6):
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16", AmazonProvidedIpv6CidrBlock=ipv6)["Vpc"]
    vpc_id = vpc["VpcId"]

    def subnet(cidr, ipv6_cidr=None):
        more = {"Ipv6CidrBlock": ipv6_cidr} if ipv6_cidr else {}
        made = ec2.create_subnet(VpcId=vpc_id, CidrBlock=cidr, AvailabilityZone=f"{region}a", **more)
        return made["Subnet"]["SubnetId"]

    def route_table(subnet_id, routes):
        table = ec2.create_route_table(VpcId=vpc_id)["RouteTable"]["RouteTableId"]
        ec2.associate_route_table(RouteTableId=table, SubnetId=subnet_id)
        for route in routes:
            ec2.create_route(RouteTableId=table, **route)
        return table

    ipv6_cidr = None
    if ipv6:
        block = vpc["Ipv6CidrBlockAssociationSet"][0]["Ipv6CidrBlock"]
        ipv6_cidr = block.replace("00::/56", "01::/64")
    public = subnet("10.0.0.0/24")
    private = subnet("10.0.1.0/24", ipv6_cidr)

    internet = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=internet, VpcId=vpc_id)
    public_table = route_table(public, [{"DestinationCidrBlock": "0.0.0.0/0", "GatewayId": internet}])

    address = ec2.allocate_address(Domain="vpc", Address=nat_address)
    nat = ec2.create_nat_gateway(SubnetId=public, AllocationId=address["AllocationId"])
    nat_id = nat["NatGateway"]["NatGatewayId"]
    routes = [{"DestinationCidrBlock": "0.0.0.0/0", "NatGatewayId": nat_id}]
    if ipv6:
        gateway = ec2.create_egress_only_internet_gateway(VpcId=vpc_id)
        gateway_id = gateway["EgressOnlyInternetGateway"]["EgressOnlyInternetGatewayId"]
        routes.append(
            {"DestinationIpv6CidrBlock": "::/0", "EgressOnlyInternetGatewayId": gateway_id}
        )
    private_table = route_table(private, routes)

    s3 = ec2.create_vpc_endpoint(
        VpcId=vpc_id,
        VpcEndpointType="Gateway",
        ServiceName=f"com.amazonaws.{region}.s3",
        RouteTableIds=[private_table, public_table],
    )
    sts = ec2.create_vpc_endpoint(
        VpcId=vpc_id,
        VpcEndpointType="Interface",
        ServiceName=f"com.amazonaws.{region}.sts",
        SubnetIds=[private],
        PrivateDnsEnabled=True,
    )
    return {
        "id": vpc_id,
        "region": region,
        "cidr": "10.0.0.0/16",
        "ipv6_cidr": ipv6_cidr,
        "public_subnet": public,
        "private_subnet": private,
        "nat_gateway": nat_id,
        "nat_address": nat_address,
        "s3_endpoint": s3["VpcEndpoint"]["VpcEndpointId"],
        "sts_endpoint": sts["VpcEndpoint"]["VpcEndpointId"],
    }


def build_host(ec2, account, vpc, name, role, subnet, private_address):
    launched = ec2.run_instances(
        ImageId="ami-12c6146b",
        InstanceType="t3.micro",
        MinCount=1,
        MaxCount=1,
        SubnetId=vpc[f"{subnet}_subnet"],
        PrivateIpAddress=private_address,
        IamInstanceProfile={"Name": role},
        TagSpecifications=[
            {"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": name}]}
        ],
    )["Instances"][0]
    instance, interface = launched["InstanceId"], launched["NetworkInterfaces"][0]
    host = {
        "name": name,
        "role": role,
        "id": instance,
        "arn": f"arn:aws:ec2:{vpc['region']}:{account}:instance/{instance}",
        "region": vpc["region"],
        "zone": launched["Placement"]["AvailabilityZone"],
        "vpc": vpc["id"],
        "subnet": launched["SubnetId"],
        "interface": interface["NetworkInterfaceId"],
        "mac": interface["MacAddress"],
        "private_address": private_address,
        "public_address": None,
        "ipv6_address": None,
        # Where the internet sees the host's IPv4 calls come from.
        "egress_address": vpc["nat_address"],
    }
    if subnet == "public":
        address = ec2.allocate_address(Domain="vpc", Address=PUBLIC_HOST_ADDRESS)
        ec2.associate_address(InstanceId=instance, AllocationId=address["AllocationId"])
        host["public_address"] = host["egress_address"] = PUBLIC_HOST_ADDRESS
    if vpc["ipv6_cidr"] and name in IPV6_HOSTS:
        ipv6 = vpc["ipv6_cidr"].replace("::/64", f"::{IPV6_HOSTS[name]}")
        ec2.assign_ipv6_addresses(NetworkInterfaceId=host["interface"], Ipv6Addresses=[ipv6])
        host["ipv6_address"] = ipv6
    return host


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--public-host", action="store_true")
    options.add_argument("--ipv6", action="store_true")
    options = options.parse_args()

    ec2 = {key: boto3.client("ec2", region_name=vpc["region"]) for key, vpc in VPCS.items()}
    account = boto3.client("sts").get_caller_identity()["Account"]
    iam = boto3.client("iam")
    roles = {name: build_role(iam, name) for name in ("web", "batch")}
    vpcs = {
        key: build_vpc(ec2[key], vpc["region"], vpc["nat"], options.ipv6 and key == "a")
        for key, vpc in VPCS.items()
    }
    hosts = HOSTS + ([PUBLIC_HOST] if options.public_host else [])
    built = [
        build_host(ec2[key], account, vpcs[key], name, role, subnet, address)
        for name, role, key, subnet, address in hosts
    ]
    print(
        json.dumps(
            {
                "account": account,
                "roles": roles,
                "vpcs": vpcs,
                "hosts": {host["name"]: host for host in built},
            }
        )
    )


main()
