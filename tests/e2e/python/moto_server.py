"""Runs moto's server on a free loopback port until stdin closes.

Prints one line, {"port": N}, once it accepts. The end of stdin is also what the death of the test
that started it looks like, so no server outlives its test.
"""

import json
import sys

from moto.server import ThreadedMotoServer

server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
_, port = server.get_host_and_port()
print(json.dumps({"port": port}), flush=True)
sys.stdin.buffer.read()
server.stop()
