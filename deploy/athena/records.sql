-- The records as hosts ship them (docs/formats.md, "Record store"), where they lie: nothing is loaded, and
-- new hours are there at once. Put in your bucket, its prefix, your accounts and regions.
--
-- account and region come of the object's name and not of the record: in S3 a bucket policy can hold a
-- host to its name, and a record says what it likes.
CREATE EXTERNAL TABLE credpin_records (
  `schema` int,
  kind string,
  `time` string,
  boot_id string,
  seq bigint,
  zone string,
  instance_id string,
  vpc string,
  subnet string,
  mac string,
  private_ipv4s array<string>,
  ipv6s array<string>,
  public_ipv4s array<string>,
  instance_profile string,
  role string,
  access_key_id string,
  issued string,
  expires string,
  consumer struct<peer:string, uid:bigint, `user`:string, exe:string, cgroup:string, unit:string, container:string>,
  imds_version string,
  proxy_version string
)
PARTITIONED BY (dt string, hr string, account string, region string)
ROW FORMAT SERDE 'org.openx.data.jsonserde.JsonSerDe'
-- A line that is no record costs that line, and not the query.
WITH SERDEPROPERTIES ('ignore.malformed.json' = 'true')
LOCATION 's3://credpin-records/records/v1/'
TBLPROPERTIES (
  'projection.enabled' = 'true',
  'projection.dt.type' = 'date',
  'projection.dt.format' = 'yyyy-MM-dd',
  'projection.dt.range' = '2026-01-01,NOW',
  'projection.hr.type' = 'integer',
  'projection.hr.range' = '0,23',
  'projection.hr.digits' = '2',
  'projection.account.type' = 'enum',
  'projection.account.values' = '111122223333',
  'projection.region.type' = 'enum',
  'projection.region.values' = 'eu-west-1,us-east-1',
  'storage.location.template' = 's3://credpin-records/records/v1/dt=${dt}/hr=${hr}/account=${account}/region=${region}/'
)
