"""Each process of the tests has a network of its own, where it has the right to one."""

import subprocess
import sys

import pytest

PORT = 5060
SERVES = f"""\
import socket
from tests.network import own_network
assert own_network(), "may not"
at = ("127.0.0.1", {PORT})
server = socket.create_server(at)
socket.create_connection(at).close()
print("serves", flush=True)
input()
"""


def test_two_processes_with_networks_of_their_own_serve_at_the_same_port() -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", SERVES],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    heads = [process.stdout.readline() for process in processes if process.stdout]
    told = [process.communicate("\n", 10)[1] for process in processes]
    if any("may not" in one for one in told):
        pytest.skip("no right to a network of one's own (CAP_SYS_ADMIN)")
    assert heads == ["serves\n"] * 2, told
    assert [process.returncode for process in processes] == [0, 0]
