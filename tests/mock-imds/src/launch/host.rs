//! What a config file for AEMM says of a host, said of a [`Host`]. Of AEMM's categories those count
//! that describe the host; the rest of its metadata follows from them, as in EC2.

use crate::aemm::decode;
use crate::config::Reader;
use crate::host::{Host, UserData};

/// Describes `host` as far as something is set.
pub(super) fn read(reader: &mut Reader<'_>, host: &mut Host) {
    let mut put = |key: &str, target: &mut String| {
        let key = format!("metadata.values.{key}");
        *target = reader.text(&key, target);
    };
    let interface = &mut host.interface;
    put("ami-id", &mut host.ami_id);
    put("instance-id", &mut host.instance_id);
    put("instance-type", &mut host.instance_type);
    put("reservation-id", &mut host.reservation_id);
    put("placement-region", &mut host.region);
    put("mac", &mut interface.mac);
    put("mac-network-interface-id", &mut interface.interface_id);
    put("mac-owner-id", &mut host.account);
    put("mac-subnet-id", &mut interface.subnet_id);
    put(
        "mac-subnet-ipv4-cidr-block",
        &mut interface.subnet_ipv4_cidr,
    );
    put("mac-vpc-id", &mut interface.vpc_id);
    for (key, target) in [
        ("iam-security-credentials-role", &mut host.role),
        ("local-hostname", &mut host.hostname),
        ("placement-availability-zone", &mut host.zone),
    ] {
        let text = reader.text(
            &format!("metadata.values.{key}"),
            target.as_deref().unwrap_or(""),
        );
        *target = Some(text).filter(|text| !text.is_empty());
    }
    for (key, target) in [
        ("local-ipv4", &mut interface.private_ipv4s),
        ("public-ipv4", &mut interface.public_ipv4s),
    ] {
        let key = format!("metadata.values.{key}");
        let default = target.first().map(ToString::to_string).unwrap_or_default();
        let address = reader.parsed(&key, &default, |text| match text {
            "" => Ok(None),
            text => text
                .parse()
                .map(Some)
                .map_err(|_| format!("`{text}` is no IPv4 address")),
        });
        if reader.is_set(&key) {
            *target = address.flatten().into_iter().collect();
        }
    }
    host.tags
        .extend(reader.members("metadata.values.tags-instance"));
    if reader.is_set("userdata.values.userdata") {
        let data = reader.parsed("userdata.values.userdata", "", |text| {
            decode(text)
                .ok_or_else(|| format!("`{text}` is no base64, in which user data is given"))
        });
        host.user_data = data.map(UserData::Bytes);
    }
}
