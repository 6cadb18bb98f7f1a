"""The ec2-metadata package, which knows one address of the metadata service only: the real one."""

from ec2_metadata import ec2_metadata

from imds_peer import answer


def look():
    found = ec2_metadata.iam_security_credentials
    ec2_metadata.clear_all()
    return (found["AccessKeyId"], found["SecretAccessKey"], found["Token"]), ec2_metadata.region


answer(look)
