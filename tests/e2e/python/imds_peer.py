"""How a client in Python is asked by a test: as `credpin_e2e::imds_client` tells."""

import json
import sys


def answer(look):
    """Answers each line of standard input with what look() finds: a credential and perhaps a region."""
    for line in sys.stdin:
        reply = {"id": json.loads(line)["id"]}
        try:
            (key, secret, token), region = look()
            credentials = {"access_key_id": key, "secret_access_key": secret, "token": token}
            reply.update(credentials=credentials, region=region)
        except Exception as error:  # Whatever a client fails with is its answer.
            reply["error"] = f"{type(error).__name__}: {error}"
        print(json.dumps(reply), flush=True)
