"""An AWS client as anybody would write it, on a host or in a thief's hands: boto3 as it comes.

  client.py --take                  the default credential chain's credentials, as JSON, on stdout
  client.py SERVICE CALL [PARAMS]   makes the call with the default credential chain
  client.py --use SERVICE CALL [PARAMS]
                                    makes it with the credentials that --take printed, read from stdin
  client.py --sign SERVICE CALL [PARAMS]
                                    prints a presigned URL of the call instead of making it (after --use
                                    too)
  client.py --open URL              fetches a URL, with no credentials

PARAMS is the call's parameters as JSON. A call prints {"ok": true} and its result, or {"ok": false}
with the error's code, message and HTTP status, or with the name of the exception where no answer came.
Every call is made once: a retry would hide what the first answer was.

CREDPIN_E2E_SOURCE, a loopback address, is where connections come from: it stands for the position in
the world that the test's gate gives it. That binding is the only thing here that no other client has.
"""

import json
import os
import re
import sys

import boto3
import urllib3
import urllib3.util.connection
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError


def connect_from(source):
    connect = urllib3.util.connection.create_connection

    def bound(address, timeout=None, source_address=None, socket_options=None):
        return connect(address, timeout, (source, 0), socket_options)

    urllib3.util.connection.create_connection = bound


def session_from_stdin():
    taken = json.load(sys.stdin)
    return boto3.Session(
        aws_access_key_id=taken["access_key_id"],
        aws_secret_access_key=taken["secret_access_key"],
        aws_session_token=taken["token"],
    )


def take():
    credentials = boto3.Session().get_credentials()
    if credentials is None:
        return {"ok": False, "code": "NoCredentials", "message": "the default chain found none"}
    frozen = credentials.get_frozen_credentials()
    return {
        "ok": True,
        "access_key_id": frozen.access_key,
        "secret_access_key": frozen.secret_key,
        "token": frozen.token,
    }


def client(session, service):
    # boto3 presigns S3 URLs with the retired signature version 2 unless told otherwise.
    signed = {"signature_version": "s3v4"} if service == "s3" else {}
    once = Config(
        retries={"total_max_attempts": 1},
        connect_timeout=10,
        read_timeout=30,
        s3={"addressing_style": "path"},
        **signed,
    )
    return session.client(service, config=once)


def make(session, service, call, params):
    result = getattr(client(session, service), call)(**params)
    result.pop("ResponseMetadata", None)
    return {"ok": True, "result": result}


def sign(session, service, call, params):
    return {"ok": True, "url": client(session, service).generate_presigned_url(call, Params=params)}


def fetch(url):
    answer = urllib3.PoolManager(retries=False, timeout=30).request("GET", url)
    if answer.status == 200:
        return {"ok": True, "result": {"Body": answer.data.decode()}}
    code = re.search("<Code>(.*?)</Code>", answer.data.decode())
    return {
        "ok": False,
        "code": code[1] if code else "",
        "message": answer.data.decode(),
        "status": answer.status,
    }


def run(arguments):
    if arguments == ["--take"]:
        return take()
    if arguments[0] == "--open":
        return fetch(arguments[1])
    act, session = make, None
    if arguments[0] == "--use":
        session, arguments = session_from_stdin(), arguments[1:]
    if arguments[0] == "--sign":
        act, arguments = sign, arguments[1:]
    service, call = arguments[:2]
    params = json.loads(arguments[2]) if len(arguments) > 2 else {}
    return act(session or boto3.Session(), service, call, params)


def main():
    if source := os.environ.get("CREDPIN_E2E_SOURCE"):
        connect_from(source)
    try:
        said = run(sys.argv[1:])
    except ClientError as error:
        said = {
            "ok": False,
            "code": error.response["Error"]["Code"],
            "message": error.response["Error"]["Message"],
            "status": error.response["ResponseMetadata"]["HTTPStatusCode"],
        }
    except BotoCoreError as error:
        said = {"ok": False, "code": type(error).__name__, "message": str(error)}
    print(json.dumps(said, default=str))


main()
