use std::{fmt, fs, io::Write as _, path::Path, sync::Arc};

use async_trait::async_trait;

use credpin_core::cloudtrail::Event;
use flate2::{Compression, write::GzEncoder};
use futures::stream::BoxStream;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult, memory::InMemory,
    path::Path as Key,
};
use tempfile::TempDir;

use super::*;

/// The ids of all events, in order.
#[derive(Debug, Default, PartialEq, Eq)]
struct Ids(Vec<String>);

impl Fold for Ids {
    fn event(&mut self, event: &Event<'_>) {
        self.0.push(event.event_id.as_deref().unwrap().to_owned());
    }

    fn merge(&mut self, other: Self) {
        self.0.extend(other.0);
        self.0.sort();
    }
}

fn event(id: &str, hour: u8) -> String {
    format!(
        r#"{{"eventVersion":"1.11","eventID":"{id}","eventTime":"2026-05-01T{hour:02}:05:00Z","recipientAccountId":"111122223333","awsRegion":"eu-west-1"}}"#
    )
}

fn records(events: &[String]) -> Vec<u8> {
    format!("{{\"Records\":[{}]}}", events.join(",")).into_bytes()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

fn name(account: &str, hour: u8, random: &str) -> String {
    format!(
        "AWSLogs/{account}/CloudTrail/eu-west-1/2026/05/01/{account}_CloudTrail_eu-west-1_20260501T{hour:02}10Z_{random}.json.gz"
    )
}

/// A trail of these files.
fn trail(files: &[(String, Vec<u8>)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    folder
}

async fn read_dir(folder: &Path) -> Result<(Vec<String>, Reading), TrailError> {
    let trail = Trail::Directory(folder.to_owned());
    let (ids, reading) = read(trail, Ids::default).await?;
    Ok((ids.0, reading))
}

/// Copies within a file, in the next one, and in the organisation's trail; and what lies beside.
fn plain() -> Vec<(String, Vec<u8>)> {
    let of = |ids: &[(&str, u8)]| {
        let events: Vec<_> = ids.iter().map(|(id, hour)| event(id, *hour)).collect();
        records(&events)
    };
    vec![
        (
            name("111122223333", 10, "a"),
            gzip(&of(&[("1", 10), ("2", 10), ("1", 10)])),
        ),
        (
            name("111122223333", 11, "b"),
            gzip(&of(&[("3", 11), ("2", 10)])),
        ),
        (
            name("o-abc/111122223333", 10, "c").replace("o-abc/111122223333_", "111122223333_"),
            gzip(&of(&[("2", 10), ("4", 9)])),
        ),
        ("elsewhere/plain.json".into(), of(&[("5", 1), ("4", 9)])),
        (name("111122223333", 23, "late"), gzip(&of(&[("6", 10)]))),
        (
            "AWSLogs/111122223333/CloudTrail-Digest/x.json.gz".into(),
            gzip(b"{}"),
        ),
        ("README.txt".into(), b"hello".to_vec()),
    ]
}

#[tokio::test]
async fn a_trail_in_any_layout_is_read_with_every_event_once() {
    let folder = trail(&plain());
    let (ids, reading) = read_dir(folder.path()).await.unwrap();
    assert_eq!(ids, ["1", "2", "3", "4", "5", "6"]);
    let counts = &reading.counts;
    assert_eq!((counts.files, counts.left_out), (5, 2));
    assert_eq!((counts.events, counts.duplicates), (6, 4));
    // The one that was delivered half a day late.
    assert_eq!(counts.unchecked, 1);
    assert_eq!(counts.first, "2026-05-01T01:05:00Z".parse().ok());
    assert_eq!(counts.last, "2026-05-01T11:05:00Z".parse().ok());
    assert!(reading.is_whole(), "{reading:?}");
}

#[tokio::test]
async fn a_trail_in_a_store_is_read_as_one_in_a_directory() {
    let objects = InMemory::new();
    for (name, bytes) in plain() {
        objects.put(&name.into(), bytes.into()).await.unwrap();
    }
    let trail = Trail::Objects {
        objects: Arc::new(objects),
        name: "s3://bucket".into(),
    };
    let (ids, reading) = read(trail, Ids::default).await.unwrap();
    let folder = self::trail(&plain());
    let (same, alike) = read_dir(folder.path()).await.unwrap();
    assert_eq!(ids.0, same);
    assert_eq!(reading, alike);
}

/// A store that lists everything and does not give out what has that text in its name.
#[derive(Debug)]
pub(crate) struct Guarded(pub(crate) Arc<InMemory>, pub(crate) &'static str);

impl fmt::Display for Guarded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("guarded")
    }
}

#[async_trait]
impl ObjectStore for Guarded {
    async fn put_opts(
        &self,
        key: &Key,
        payload: PutPayload,
        options: PutOptions,
    ) -> object_store::Result<PutResult> {
        self.0.put_opts(key, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        key: &Key,
        options: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        self.0.put_multipart_opts(key, options).await
    }

    async fn get_opts(&self, key: &Key, options: GetOptions) -> object_store::Result<GetResult> {
        if key.as_ref().contains(self.1) {
            return Err(object_store::Error::PermissionDenied {
                path: key.to_string(),
                source: "the store answers 403 Forbidden".into(),
            });
        }
        self.0.get_opts(key, options).await
    }

    fn delete_stream(
        &self,
        keys: BoxStream<'static, object_store::Result<Key>>,
    ) -> BoxStream<'static, object_store::Result<Key>> {
        self.0.delete_stream(keys)
    }

    fn list(&self, prefix: Option<&Key>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.0.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Key>) -> object_store::Result<ListResult> {
        self.0.list_with_delimiter(prefix).await
    }

    async fn copy_opts(
        &self,
        from: &Key,
        to: &Key,
        options: CopyOptions,
    ) -> object_store::Result<()> {
        self.0.copy_opts(from, to, options).await
    }
}

#[tokio::test]
async fn an_object_that_the_store_does_not_give_out_is_told_and_the_rest_is_read() {
    let objects = InMemory::new();
    for (random, id) in [("open", "1"), ("secret", "2")] {
        let bytes = gzip(&records(&[event(id, 10)]));
        let name = name("111122223333", 10, random);
        objects.put(&name.into(), bytes.into()).await.unwrap();
    }
    let trail = Trail::Objects {
        objects: Arc::new(Guarded(Arc::new(objects), "secret")),
        name: "s3://bucket".into(),
    };
    let (ids, reading) = read(trail, Ids::default).await.unwrap();
    assert_eq!(ids.0, ["1"]);
    assert_eq!(reading.counts.troubles, 1);
    let trouble = reading.troubles[0].to_string();
    assert!(
        trouble.contains("secret.json.gz") && trouble.contains("403 Forbidden"),
        "{trouble}"
    );
    assert!(!reading.is_whole());
}

#[tokio::test]
async fn what_cannot_be_read_is_told_and_the_rest_is_read() {
    let two = records(&[event("1", 10), event("2", 10)]);
    let gz = gzip(&two);
    let version = event("7", 10).replace("1.11", "2.0");
    let twice = event("8", 10).replace('}', ",\"eventID\":\"again\"}");
    let folder = trail(&[
        (name("1", 10, "cut"), gz[..gz.len() - 12].to_vec()),
        (
            name("2", 10, "half"),
            gzip(&records(&[event("3", 10), event("4", 10)])[..200]),
        ),
        (name("3", 10, "nogzip"), b"\x1f\x8bnonsense".to_vec()),
        (name("4", 10, "nojson"), gzip(b"{\"Records\":[{\"a\":!}]}")),
        (name("5", 10, "other"), gzip(b"{\"logs\":[]}")),
        (name("6", 10, "empty"), Vec::new()),
        (
            name("7", 10, "odd"),
            gzip(&records(&[version, twice, event("9", 10)])),
        ),
    ]);
    std::os::unix::fs::symlink("nowhere", folder.path().join("gone.json.gz")).unwrap();
    let (ids, reading) = read_dir(folder.path()).await.unwrap();
    assert_eq!(ids, ["1", "3", "7", "9"]);
    let why: Vec<_> = reading
        .troubles
        .iter()
        .map(|trouble| {
            let name = trouble.name.rsplit(['_', '/']).next().unwrap();
            format!("{name} {}", trouble.why.split(':').next().unwrap())
        })
        .collect();
    assert_eq!(
        why,
        [
            "cut.json.gz it is cut off",
            "half.json.gz it ends in the middle, after 200 bytes",
            "nogzip.json.gz it cannot be decompressed",
            "nojson.json.gz it is no JSON from byte 12 on",
            "other.json.gz it is no file of CloudTrail records",
            "empty.json.gz it ends in the middle, after 0 bytes",
            "gone.json.gz cannot open it",
        ]
    );
    assert_eq!(reading.counts.troubles, 7);
    assert_eq!(
        (reading.counts.unknown_version, reading.counts.unreadable),
        (1, 1)
    );
    assert!(!reading.is_whole());
}

#[tokio::test]
async fn a_trail_that_is_not_there_and_one_without_a_file_are_errors() {
    let folder = trail(&[("README.txt".into(), Vec::new())]);
    let empty = read_dir(folder.path()).await.unwrap_err();
    assert!(matches!(empty, TrailError::Empty(_)), "{empty}");
    let gone = read_dir(&folder.path().join("gone")).await.unwrap_err();
    assert!(matches!(gone, TrailError::Directory { .. }), "{gone}");
    let empty = Trail::Objects {
        objects: Arc::new(InMemory::new()),
        name: "s3://bucket/prefix".into(),
    };
    let empty = read(empty, Ids::default).await.unwrap_err();
    assert!(empty.to_string().contains("s3://bucket/prefix"), "{empty}");
}

#[tokio::test]
async fn a_file_larger_than_a_piece_and_a_record_larger_than_one_are_read_whole() {
    let long = "x".repeat(1 << 20);
    let mut events: Vec<_> = (0..5000).map(|n| event(&n.to_string(), 10)).collect();
    events[2500] = events[2500].replace("1.11", &format!("1.{long}"));
    let folder = trail(&[(name("1", 10, "big"), gzip(&records(&events)))]);
    let (ids, reading) = read_dir(folder.path()).await.unwrap();
    assert_eq!(ids.len(), 5000);
    assert_eq!(reading.counts.bytes, records(&events).len() as u64);
    assert!(reading.troubles.is_empty());
}
