"""Loads deploy/nftables/credpin.nft in network namespaces of its own and tries it with real packets.

    unshare --user --map-root-user --net --mount python3 redirect.py FILE.nft

    container --- bridge -+
                          host --- metadata
    pod ------ bare veth -+

The file is loaded once as it is and listed. Then it is loaded with other addresses in the place of the
metadata service's, which are sent nothing. Prints one JSON object: what each party got.
"""

import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading

IMDS = {4: "198.18.0.254", 6: "fd98::254"}
REAL = {4: "169.254.169.254", 6: "fd00:ec2::254"}
PORT = 9337
PATIENCE = 2.0


def run(*command, stdin=None):
    done = subprocess.run(command, input=stdin, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


def served(family, address, port):
    """What answers at an address: its name, or how it did not."""
    kind = socket.AF_INET if family == 4 else socket.AF_INET6
    with socket.socket(kind, socket.SOCK_STREAM) as client:
        client.settimeout(PATIENCE)
        try:
            client.connect((address, port))
            return client.recv(64).decode() or "closed"
        except ConnectionRefusedError:
            return "refused"
        except TimeoutError:
            return "nothing"


def echoed(family, address):
    """Whether a datagram comes back: what is no TCP must pass."""
    kind = socket.AF_INET if family == 4 else socket.AF_INET6
    with socket.socket(kind, socket.SOCK_DGRAM) as client:
        client.settimeout(PATIENCE)
        client.sendto(b"echo", (address, PORT))
        try:
            return client.recv(64).decode()
        except TimeoutError:
            return "nothing"


def serve(name, port):
    listener = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)

    def answer():
        while True:
            client, _ = listener.accept()
            client.sendall(name.encode())
            client.close()

    threading.Thread(target=answer, daemon=True).start()


def serve_datagrams():
    server = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    server.bind(("::", PORT))

    def answer():
        while True:
            server.sendto(*server.recvfrom(64))

    threading.Thread(target=answer, daemon=True).start()


def ask(namespace, what, family, *args):
    return run("ip", "netns", "exec", namespace, sys.executable, __file__, what, str(family), *args).strip()


def wire(namespace, interface, host_side, v4, v6):
    """A namespace on a wire to the host: the host has .1, the namespace the address given."""
    run("ip", "netns", "add", namespace)
    run("ip", "link", "add", interface, "type", "veth", "peer", "name", "eth0", "netns", namespace)
    run("ip", "link", "set", interface, "up")
    run("ip", "-n", namespace, "link", "set", "lo", "up")
    run("ip", "-n", namespace, "link", "set", "eth0", "up")
    if host_side == interface:
        address(None, interface, v4.rpartition(".")[0] + ".1/24", v6.rpartition("::")[0] + "::1/64")
    else:
        run("ip", "link", "set", interface, "master", host_side)
    address(namespace, "eth0", v4 + "/24", v6 + "/64")
    run("ip", "-n", namespace, "route", "add", "default", "via", v4.rpartition(".")[0] + ".1")
    run("ip", "-n", namespace, "-6", "route", "add", "default", "via", v6.rpartition("::")[0] + "::1")


def address(namespace, interface, *addresses):
    where = ["-n", namespace] if namespace else []
    for one in addresses:
        run("ip", *where, "address", "add", one, "dev", interface, *(["nodad"] if ":" in one else []))


def build():
    run("mount", "-t", "tmpfs", "tmpfs", "/run")
    run("ip", "link", "set", "lo", "up")
    run("ip", "link", "add", "bridge7", "type", "bridge")
    run("ip", "link", "set", "bridge7", "up")
    address(None, "bridge7", "10.9.0.1/24", "fd99::1/64")
    wire("container", "veth-c", "bridge7", "10.9.0.2", "fd99::2")
    wire("pod", "veth-p", "veth-p", "10.9.1.2", "fd9a::2")
    wire("metadata", "veth-m", "veth-m", IMDS[4], IMDS[6])
    for setting in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
        with open(f"/proc/sys/net/{setting}", "w") as file:
            file.write("1")
    ready, write = os.pipe()
    server = f"import redirect, os, time; redirect.serve('metadata', 80); os.write({write}, b'.'); time.sleep(600)"
    command = ["ip", "netns", "exec", "metadata", sys.executable, "-c", server]
    child = subprocess.Popen(command, pass_fds=[write], cwd=os.path.dirname(os.path.abspath(__file__)))
    os.read(ready, 1)
    serve("proxy", PORT)
    serve_datagrams()
    return child


def know_user():
    """The proxy's user, in a passwd file that only this mount namespace sees."""
    with open("/etc/passwd") as file:
        users = file.read()
    if "\ncredpin-proxy:" not in users:
        with tempfile.NamedTemporaryFile("w", suffix=".passwd", delete=False) as file:
            file.write(users + "credpin-proxy:x:977:977::/:/usr/sbin/nologin\n")
        os.chmod(file.name, 0o644)
        run("mount", "--bind", file.name, "/etc/passwd")
        os.unlink(file.name)


def main(path):
    # A new namespace has its loopback down and nothing else. Anywhere else these tables are somebody's.
    if run("ip", "-o", "link", "show", "up"):
        sys.exit("run this in a network namespace of its own: unshare --net --mount, as root or with --user")
    know_user()
    with open(path) as file:
        text = file.read()
    run("nft", "-c", "-f", path)
    run("nft", "-f", path)
    run("nft", "-f", path)
    report = {"listed": run("nft", "list", "table", "inet", "credpin")}
    run("nft", "delete", "table", "inet", "credpin")

    for family in IMDS:
        text = text.replace(f"define imds{family} = {REAL[family]}", f"define imds{family} = {IMDS[family]}")
    if REAL[4] in text or REAL[6] in text:
        sys.exit("the file names the metadata service's addresses outside of its defines")
    child = build()
    try:
        for family, bridge, pod in ((4, "10.9.0.1", "10.9.1.1"), (6, "fd99::1", "fd9a::1")):
            imds = IMDS[family]
            run("nft", "-f", "-", stdin=text)
            got = {
                "host": served(family, imds, 80),
                "container": ask("container", "served", family, imds, "80"),
                "pod": ask("pod", "served", family, imds, "80"),
                "host, the proxy's port": served(family, "127.0.0.1" if family == 4 else "::1", PORT),
                "container, the proxy's port": ask("container", "served", family, bridge, str(PORT)),
                "pod, the proxy's port": ask("pod", "served", family, pod, str(PORT)),
                "container, a datagram": ask("container", "echoed", family, bridge),
            }
            # Whoever runs this is uid 0: taken for the proxy, it must get through.
            as_proxy = re.sub(r'(?m)^define proxy_user = .*$', "define proxy_user = 0", text)
            run("nft", "-f", "-", stdin=as_proxy)
            got["proxy"] = served(family, imds, 80)
            run("nft", "delete", "table", "inet", "credpin")
            got["container, without the table"] = ask("container", "served", family, imds, "80")
            report[f"ipv{family}"] = got
    finally:
        child.kill()
        child.wait()
    print(json.dumps(report))


if __name__ == "__main__":
    if sys.argv[1] == "served":
        print(served(int(sys.argv[2]), sys.argv[3], int(sys.argv[4])))
    elif sys.argv[1] == "echoed":
        print(echoed(int(sys.argv[2]), sys.argv[3]))
    else:
        main(sys.argv[1])
