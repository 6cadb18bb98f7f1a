"""The fixture `imds`: a mock metadata service of its own for each test, which AWS SDKs find by themselves.

`credpin-mock-imds` is looked for in the PATH; CREDPIN_MOCK_IMDS names another one.
"""

import os
import re
import subprocess

import pytest

# What the default credential chain tries before the metadata service, or what switches that off.
BEFORE_IMDS = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_PROFILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_EC2_METADATA_DISABLED",
]


@pytest.fixture
def imds(request, monkeypatch):
    """The endpoint, as http://127.0.0.1:49152. `@pytest.mark.imds("--rotate-every", "1s")` adds flags."""
    binary = os.environ.get("CREDPIN_MOCK_IMDS", "credpin-mock-imds")
    mark = request.node.get_closest_marker("imds")
    flags = mark.args if mark else ()
    command = [binary, "--port", "0", "--imdsv2", *flags]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as mock:
        try:
            # Printed once it accepts; nothing, where it ended with a complaint on stderr instead.
            ready = re.search(r"ready on (http://\S+)", mock.stdout.readline())
            assert ready, f"{' '.join(command)} did not start"
            for variable in BEFORE_IMDS:
                monkeypatch.delenv(variable, raising=False)
            for variable in ["AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"]:
                monkeypatch.setenv(variable, os.devnull)
            monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", ready[1])
            yield ready[1]
        finally:
            mock.terminate()


def pytest_configure(config):
    config.addinivalue_line("markers", "imds(*flags): flags for the mock that this test gets")
