-- CloudTrail's log files, by the definition of the Athena User Guide ("Create a table for CloudTrail logs in
-- Athena using partition projection"), with the fields that tell of instances' tokens, and with account
-- and region as partitions. Whoever has such a table already can let the queries name that one.
CREATE EXTERNAL TABLE credpin_cloudtrail (
  eventVersion string,
  userIdentity struct<
    type:string,
    principalId:string,
    arn:string,
    accountId:string,
    invokedBy:string,
    accessKeyId:string,
    userName:string,
    sessionContext:struct<
      attributes:struct<mfaAuthenticated:string, creationDate:string>,
      sessionIssuer:struct<type:string, principalId:string, arn:string, accountId:string, userName:string>,
      sourceIdentity:string,
      ec2RoleDelivery:string,
      ec2IssuedInVpc:string>>,
  eventTime string,
  eventSource string,
  eventName string,
  awsRegion string,
  sourceIPAddress string,
  userAgent string,
  errorCode string,
  errorMessage string,
  requestParameters string,
  responseElements string,
  eventID string,
  readOnly string,
  eventType string,
  recipientAccountId string,
  sharedEventID string,
  vpcEndpointId string,
  eventCategory string
)
PARTITIONED BY (account string, region string, day string)
ROW FORMAT SERDE 'org.apache.hive.hcatalog.data.JsonSerDe'
STORED AS INPUTFORMAT 'com.amazon.emr.cloudtrail.CloudTrailInputFormat'
OUTPUTFORMAT 'org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat'
LOCATION 's3://my-trail/AWSLogs/'
TBLPROPERTIES (
  'projection.enabled' = 'true',
  'projection.account.type' = 'enum',
  'projection.account.values' = '111122223333',
  'projection.region.type' = 'enum',
  'projection.region.values' = 'eu-west-1,us-east-1',
  'projection.day.type' = 'date',
  'projection.day.format' = 'yyyy/MM/dd',
  'projection.day.range' = '2026/01/01,NOW',
  'projection.day.interval' = '1',
  'projection.day.interval.unit' = 'DAYS',
  'storage.location.template' = 's3://my-trail/AWSLogs/${account}/CloudTrail/${region}/${day}/'
)
