"""boto3 as a peer that answers JSON lines: the test's own hands in the account that moto plays.

  in:  {"id": 1, "service": "iam", "region": "us-east-1", "call": "get_role", "params": {"RoleName": "web"}}
  out: {"id": 1, "result": {…}}   or   {"id": 1, "error": {"code": "NoSuchEntity", "message": "…"}}

Calls that can be paged are read to the last page.
"""

import json
import sys

import boto3
from botocore.exceptions import ClientError

clients = {}


def client(service, region):
    if (service, region) not in clients:
        clients[service, region] = boto3.client(service, region_name=region)
    return clients[service, region]


def answer(question):
    api = client(question["service"], question["region"])
    call, params = question["call"], question["params"]
    if api.can_paginate(call):
        result = api.get_paginator(call).paginate(**params).build_full_result()
    else:
        result = getattr(api, call)(**params)
    result.pop("ResponseMetadata", None)
    return result


for line in sys.stdin:
    question = json.loads(line)
    reply = {"id": question["id"]}
    try:
        reply["result"] = answer(question)
    except ClientError as error:
        reply["error"] = {"code": error.response["Error"]["Code"], "message": str(error)}
    except Exception as error:  # A mistake in the question, such as a misspelt parameter.
        reply["error"] = {"code": type(error).__name__, "message": str(error)}
    print(json.dumps(reply, default=str), flush=True)
