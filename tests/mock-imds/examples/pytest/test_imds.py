"""What tests with the fixture `imds` look like."""

import urllib.error
import urllib.request

import boto3
import pytest


def test_boto3_finds_the_roles_credentials(imds):
    found = boto3.Session().get_credentials()
    assert found.method == "iam-role"
    assert found.access_key.startswith("ASIA")


def test_a_request_without_a_session_is_refused(imds):
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(imds + "/latest/meta-data/instance-id")


@pytest.mark.imds("--fault", "/latest/meta-data/iam:503")
def test_without_credentials_there_is_an_end_to_it(imds):
    assert boto3.Session().get_credentials() is None
