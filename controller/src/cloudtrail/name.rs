//! What a file's name tells.

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};

/// A file of records.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct File {
    /// The hour that it was delivered in, counted from 1970; the first of all where its name does
    /// not tell.
    pub(super) hour: i64,
    /// Its name, below the trail's, with slashes.
    pub(super) name: String,
}

impl File {
    /// None where the name is not that of a file of records: CloudTrail's digests and its Insights
    /// lie in folders beside (CloudTrail User Guide, "Finding your CloudTrail log files"), and so do
    /// other services' logs.
    pub(super) fn new(name: String) -> Option<Self> {
        let is_json = [".json", ".json.gz"].iter().any(|end| name.ends_with(end));
        let mut folders = name.split('/');
        let is_beside =
            folders.any(|folder| matches!(folder, "CloudTrail-Digest" | "CloudTrail-Insight"));
        let hour = delivered(&name).map_or(i64::MIN, hour_of);
        (is_json && !is_beside).then_some(Self { hour, name })
    }
}

/// The hour of a time, counted from 1970.
pub(super) fn hour_of(time: Timestamp) -> i64 {
    time.as_second().div_euclid(3600)
}

/// `ACCOUNT_CloudTrail_REGION_20260501T1005Z_RANDOM.json.gz`: when it was delivered.
fn delivered(name: &str) -> Option<Timestamp> {
    let (_, file) = name.rsplit_once('/').unwrap_or(("", name));
    let time = file.split('_').find_map(|part| {
        DateTime::strptime("%Y%m%dT%H%MZ", part)
            .ok()
            .filter(|_| part.len() == "20260501T1005Z".len())
    })?;
    TimeZone::UTC.to_timestamp(time).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_when_a_file_was_delivered_and_whether_it_holds_records() {
        let folder = "AWSLogs/o-abc/111122223333";
        let file = |name: &str| File::new(name.to_owned());
        let name = format!(
            "{folder}/CloudTrail/eu-west-1/2026/05/01/111122223333_CloudTrail_eu-west-1_20260501T1005Z_Mr0Tnb.json.gz"
        );
        let hour = hour_of("2026-05-01T10:00:00Z".parse().unwrap());
        assert_eq!(file(&name).unwrap().hour, hour);
        assert_eq!(file("any/where.json").unwrap().hour, i64::MIN);
        for beside in [
            "CloudTrail-Digest/eu-west-1/2026/05/01/111122223333_CloudTrail-Digest_x_20260501T1005Z.json.gz",
            "CloudTrail-Insight/eu-west-1/a_20260501T1005Z_b.json.gz",
            "elasticloadbalancing/eu-west-1/2026/05/01/a.log.gz",
            "CloudTrail/README",
        ] {
            assert_eq!(file(&format!("{folder}/{beside}")), None, "{beside}");
        }
    }
}
