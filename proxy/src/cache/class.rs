//! What is cached, and for how long: told by the path.

use crate::path::CanonicalPath;

/// How what is at a path changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// A credential: until it rotates.
    Credential,
    /// Which role the host has: with its instance profile, at any time.
    Role,
    /// Never, as long as the instance runs.
    Constant,
    /// At any time, or by appearing when it is due. It is not cached.
    Volatile,
}

/// Below `meta-data/`: what a running instance keeps (Amazon EC2 User Guide, "Instance metadata
/// categories"). What can only be changed while it is stopped is constant as well: the proxy is
/// stopped then, too. Whatever is not named here is volatile.
const META_DATA: [&[&str]; 18] = [
    &["ami-id"],
    &["ami-launch-index"],
    &["ami-manifest-path"],
    &["instance-id"],
    &["instance-type"],
    &["local-ipv4"],
    &["mac"],
    &["placement", "availability-zone"],
    &["placement", "availability-zone-id"],
    &["placement", "group-name"],
    &["placement", "host-id"],
    &["placement", "partition-number"],
    &["placement", "region"],
    &["profile"],
    &["reservation-id"],
    &["services", "domain"],
    &["services", "partition"],
    &["system"],
];

/// Below `dynamic/` (the same, "Dynamic data categories").
const DYNAMIC: [&[&str]; 4] = [
    &["instance-identity", "document"],
    &["instance-identity", "pkcs7"],
    &["instance-identity", "rsa2048"],
    &["instance-identity", "signature"],
];

impl Class {
    /// The class of a path, whatever its version.
    pub(crate) fn of(path: &CanonicalPath) -> Self {
        if path.credential().is_some() {
            return Self::Credential;
        }
        // Behind the version; nothing that is named here has more of them.
        let mut segments = [""; 4];
        let mut count = 0;
        for segment in path.segments().skip(1).take(segments.len()) {
            segments[count] = segment;
            count += 1;
        }
        let Some((tree, leaf)) = segments[..count].split_first() else {
            return Self::Volatile;
        };
        match (*tree, leaf) {
            ("meta-data", ["iam", "info" | "security-credentials"]) => Self::Role,
            ("meta-data", leaf) if META_DATA.contains(&leaf) => Self::Constant,
            ("dynamic", leaf) if DYNAMIC.contains(&leaf) => Self::Constant,
            _ => Self::Volatile,
        }
    }

    /// Its name in the metrics.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Credential => "credential",
            Self::Role => "role",
            Self::Constant => "constant",
            Self::Volatile => "volatile",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(path: &str) -> Class {
        Class::of(&CanonicalPath::parse(path).unwrap())
    }

    #[test]
    fn what_changes_is_never_constant() {
        for leaf in [
            "",
            "meta-data",
            "meta-data/",
            "meta-data/spot/instance-action",
            "meta-data/spot/termination-time",
            "meta-data/events/maintenance/scheduled",
            "meta-data/events/recommendations/rebalance",
            "meta-data/autoscaling/target-lifecycle-state",
            "meta-data/tags/instance/Name",
            "meta-data/public-ipv4",
            "meta-data/public-hostname",
            "meta-data/hostname",
            "meta-data/security-groups",
            "meta-data/network/interfaces/macs/0e:00:00:00:00:0a/mac",
            "meta-data/block-device-mapping/ami",
            "meta-data/instance-action",
            "meta-data/instance-life-cycle",
            "meta-data/iam",
            "meta-data/iam/x",
            "meta-data/mac/x",
            "meta-data/placement",
            "user-data",
            "dynamic/fws/instance-monitoring",
            "dynamic/instance-identity/",
            "mac",
        ] {
            assert_eq!(of(&format!("/latest/{leaf}")), Class::Volatile, "{leaf}");
        }
    }

    #[test]
    fn what_is_cached_is_known_under_each_version() {
        for version in ["latest", "2021-03-23", "1.0"] {
            for (leaf, class) in [
                ("meta-data/instance-id", Class::Constant),
                ("meta-data/mac/", Class::Constant),
                ("meta-data/placement/region", Class::Constant),
                ("dynamic/instance-identity/document", Class::Constant),
                ("meta-data/iam/info", Class::Role),
                ("meta-data/iam/security-credentials", Class::Role),
                ("meta-data/iam/security-credentials/", Class::Role),
                ("meta-data/iam/security-credentials/web", Class::Credential),
            ] {
                assert_eq!(of(&format!("/{version}/{leaf}")), class, "{leaf}");
            }
        }
    }
}
