"""boto3's default credential chain, and botocore's region of the instance.

After the first credential its clock is put ahead to ten minutes before the expiry, where botocore must
renew: so every further question is answered by a renewal.
"""

import datetime

import boto3
import botocore.utils

from imds_peer import answer

DUE = datetime.timedelta(hours=5, minutes=51)
held = None


def look():
    global held
    if held is None:
        held = boto3.Session().get_credentials()
        if held is None:
            raise LookupError("the default chain found no credentials")
    else:
        held._time_fetcher = lambda: datetime.datetime.now(datetime.timezone.utc) + DUE
    found = held.get_frozen_credentials()
    # With the session's settings. InstanceMetadataRegionFetcher alone would ask the real service.
    region = botocore.utils.IMDSRegionProvider(session=boto3.Session()._session).provide()
    return (found.access_key, found.secret_key, found.token), region


answer(look)
