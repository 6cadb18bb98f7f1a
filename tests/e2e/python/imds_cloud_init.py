"""cloud-init's EC2 datasource, from Debian's package, at its usual addresses.

    imds_cloud_init.py CLOUD_INIT   (the folder that holds the package `cloudinit`)

Prints what it found as one JSON object.
"""

import base64
import json
import sys
import tempfile

sys.path.insert(0, sys.argv[1])

from cloudinit import helpers  # noqa: E402
from cloudinit.sources import DataSourceEc2  # noqa: E402

# The firmware would tell it that this is EC2.
DataSourceEc2.identify_platform = lambda: DataSourceEc2.CloudNames.AWS

with tempfile.TemporaryDirectory() as folder:
    paths = helpers.Paths({"cloud_dir": folder, "run_dir": folder})
    source = DataSourceEc2.DataSourceEc2({}, distro=None, paths=paths)
    # Whether it is found at the first try is what the test asks.
    source.url_max_wait = 20
    source.url_timeout = 10
    found = {"found": source.get_data()}
    # Nothing else is to be had of what was not found.
    if found["found"]:
        found.update(
            address=source.metadata_address,
            instance_id=source.get_instance_id(),
            region=source.region,
            zone=source.availability_zone,
            user_data=base64.b64encode(source.userdata_raw or b"").decode(),
            metadata=source.metadata,
        )
    print(json.dumps(found))
