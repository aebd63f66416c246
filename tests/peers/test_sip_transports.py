"""SIP over TCP with SIPp as the caller, and what the bridge says of itself behind NAT."""

import collections
import contextlib
import re
import socket
import subprocess
from pathlib import Path

import pytest

from tests.peers.bridge_process import config, facts, serving
from tests.peers.needs import need
from tests.peers.probing import CODE, free_port
from tests.peers.sip_wire import HOST, Talk, Wire
from tests.peers.sipp_caller import sipp, write_keys
from tests.peers.test_sipp_conference import lossy_namespace

pytestmark = [pytest.mark.peer, pytest.mark.timeout(240)]

CALLS = 100


@pytest.mark.parametrize("mode", ["t1", "tn"])
def test_sipp_dials_in_over_tcp(tmp_path: Path, mode: str) -> None:
    """With all calls on one connection (t1), and with one connection each (tn)."""
    need("sipp")
    port, store = free_port(), tmp_path / "store.db"
    text = config(port, store, [CODE]).replace("[sip]\n", "[sip]\ntcp = true\n")
    keys = write_keys(tmp_path / "keys.csv", [f"{CODE}#"])
    command = sipp(port, keys, calls=CALLS, stay_ms=4_000, own_port=free_port())
    command += ["-t", mode, "-max_socket", "200", "-trace_err"]
    with serving(text, tmp_path):
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
        errors = "".join(path.read_text() for path in tmp_path.glob("*errors*"))
        assert done.returncode == 0, errors + done.stdout[-3_000:]
    count = collections.Counter(fact["type"] for fact in facts(store))
    assert count["leg.answered"] == count["leg.waiting"] == count["leg.left"] == CALLS
    reasons = {f["reason"] for f in facts(store) if f["type"] == "leg.left"}
    assert reasons == {"hung_up"}


def test_every_call_over_tcp_succeeds_though_three_percent_of_the_packets_are_lost(
    tmp_path: Path,
) -> None:
    need("sipp", "nft", "ip")
    port, store = free_port(), tmp_path / "store.db"
    text = config(port, store, [CODE]).replace("[sip]\n", "[sip]\ntcp = true\n")
    keys = write_keys(tmp_path / "keys.csv", [f"{CODE}#"])
    command = [*sipp(port, keys, calls=CALLS, stay_ms=5_000, own_port=free_port()), "-t", "t1"]
    with lossy_namespace(port, "tcp") as inside, serving(text, tmp_path, prefix=inside):
        done = subprocess.run(
            [*inside, *command], capture_output=True, text=True, check=False, cwd=tmp_path
        )
        assert done.returncode == 0, done.stdout[-3_000:]
    count = collections.Counter(fact["type"] for fact in facts(store))
    assert count["leg.answered"] == count["leg.waiting"] == count["leg.left"] == CALLS


def stream_answer(address: tuple[str, int], data: bytes) -> bytes:
    """Send bytes over a connection of their own; return the first line of what comes back."""
    with socket.create_connection(address) as stream, contextlib.suppress(ConnectionError):
        stream.settimeout(5)
        stream.sendall(data)
        stream.shutdown(socket.SHUT_WR)
        return stream.recv(4_096).partition(b"\r\n")[0]
    return b""


def options(name: str, extra: str = "", length: str = "Content-Length: 0\r\n") -> bytes:
    """Write an OPTIONS over TCP."""
    return (
        f"OPTIONS sip:x@{HOST} SIP/2.0\r\nVia: SIP/2.0/TCP {HOST}:9;branch=z9hG4bK{name}\r\n"
        f"From: <sip:a@b>;tag=1\r\nTo: <sip:x@{HOST}>\r\nCall-ID: {name}\r\nCSeq: 1 OPTIONS\r\n"
        f"{extra}{length}\r\n"
    ).encode()


STREAMS = {
    "garbage": (bytes(range(256)) * 300, b""),
    "nothing but NULs": (b"\0" * 70_000, b""),
    "HTTP": (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b""),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x55" * 500, b""),
    "no length": (options("n", length=""), b"SIP/2.0 400 Bad Request (missing content length)"),
    "bad length": (options("b", length="Content-Length: x\r\n"), b"SIP/2.0 400 "),
    "endless body": (options("e", length="Content-Length: 99999\r\n"), b"SIP/2.0 413 "),
    "large body": (
        options("o", length="Content-Length: 999999\r\n") + b"x" * 999_999,
        b"SIP/2.0 413 ",
    ),
    "large head": (options("l", extra="X: " + "y" * 63_000 + "\r\n"), b"SIP/2.0 513 "),
    "larger head": (options("g", extra=f"X: {'y' * 99}\r\n" * 5_000), b"SIP/2.0 513 "),
    "half a message": (options("h")[:60], b""),
}


def test_no_bytes_over_tcp_stop_the_bridge(tmp_path: Path) -> None:
    port = free_port()
    text = config(port, tmp_path / "store.db", [CODE]).replace("[sip]\n", "[sip]\ntcp = true\n")
    address = (HOST, port)
    with serving(text, tmp_path):
        for name, (data, expected) in STREAMS.items():
            heard = stream_answer(address, data)
            assert heard.startswith(expected), (name, heard)
            assert bool(heard) == bool(expected), (name, heard)
            assert stream_answer(address, options(f"after-{len(name)}")) == b"SIP/2.0 200 OK"


def test_callers_are_told_what_is_advertised(tmp_path: Path) -> None:
    port = free_port()
    text = config(port, tmp_path / "store.db", [CODE])
    text = text.replace(f'"{HOST}:{port}"', f'"0.0.0.0:{port}"\nadvertise = "203.0.113.9:5999"')
    text += '[rtp]\naddress = "0.0.0.0"\nadvertise = "203.0.113.10"\n'
    with serving(text, tmp_path), Wire((HOST, port)) as wire:
        talk = Talk(wire)
        talk.invite()
        answer = wire.answer("INVITE")
        assert answer.contact == "sip:bridge@203.0.113.9:5999"
        assert re.search(r"\r\nc=IN IP4 203\.0\.113\.10\r\n", answer.body)
        talk.to_tag = answer.to_tag
        talk.ack()
        talk.cseq += 1
        wire.send(talk.text("INVITE"))
        wire.answer("INVITE")
        talk.ack(body="v=0\r\n")
        bye = wire.request("BYE")
        assert "SIP/2.0/UDP 203.0.113.9:5999;" in bye.value("Via")
        wire.reply(bye)


def test_a_bridge_on_every_interface_tells_an_address_that_can_be_reached(tmp_path: Path) -> None:
    port = free_port()
    text = config(port, tmp_path / "store.db", [CODE]).replace(f'"{HOST}:', '"0.0.0.0:')
    text += '[rtp]\naddress = "0.0.0.0"\n'
    with serving(text, tmp_path), Wire((HOST, port)) as wire:
        talk = Talk(wire)
        answer = talk.up()
        assert "0.0.0.0" not in answer.contact + answer.body
        wire.rtp.settimeout(5)  # hold music comes once RTP has come from here, or by the SDP
        wire.rtp.sendto(
            b"\x80\0\0\1\0\0\0\0\0\0\0\1" + b"\xff" * 160, (HOST, rtp_port(answer.body))
        )
        assert wire.rtp.recv(2_000)[:1] == b"\x80"
        talk.target = talk.uri
        talk.bye()


def rtp_port(body: str) -> int:
    """Return where a description says that its writer receives audio."""
    found = re.search(r"m=audio (\d+) ", body)
    assert found
    return int(found[1])
