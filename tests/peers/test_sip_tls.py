"""A phone of plain text over TLS calls `tollbridge serve`: all of a call, then what must not be."""

import re
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Self

import pytest

from tests.bridge.test_sip_settings import tls_toml
from tests.certificates import SelfSigned, self_signed
from tests.peers.bridge_process import ROOT, config, facts, serving
from tests.peers.needs import need
from tests.peers.probing import CODE, free_port
from tests.peers.sip_wire import HOST, Message, Talk, Wire, parse
from tests.peers.softphones import baresip, seconds_of_sound

pytestmark = [pytest.mark.peer, pytest.mark.timeout(180)]


class TlsWire(Wire):
    """The same phone on a TLS connection of its own, whose certificate it checks."""

    def __init__(self, bridge: tuple[str, int], trusted: Path, piece: int) -> None:
        super().__init__(bridge)
        context = ssl.create_default_context(cafile=str(trusted))
        plain = socket.create_connection(bridge)
        self.stream = context.wrap_socket(plain, server_hostname=HOST)
        self._piece = piece
        self._bytes = b""

    def __exit__(self, *fault: Any) -> None:
        self.stream.close()
        super().__exit__(*fault)

    def __enter__(self) -> Self:
        return self

    def send(self, text: str | bytes) -> None:
        """Send a message in pieces, each a TLS record."""
        data = text.encode() if isinstance(text, str) else text
        for start in range(0, len(data), self._piece):
            self.stream.sendall(data[start : start + self._piece])

    def hear(self, timeout_s: float = 5.0) -> Message | None:
        """Return the next message of the stream, None when none came in time."""
        self.stream.settimeout(timeout_s)
        try:
            while not (
                found := re.match(rb"(?s).*?Content-Length: (\d+)\r\n\r\n", self._bytes)
            ) or (len(self._bytes) < found.end() + int(found[1])):
                more = self.stream.recv(65_536)
                assert more, "the bridge closed the connection"
                self._bytes += more
        except TimeoutError:
            return None
        end = found.end() + int(found[1])
        message, self._bytes = self._bytes[:end], self._bytes[end:]
        return parse(message)


class TlsTalk(Talk):
    """A call to a sips URI, with the Via and the Contact of TLS."""

    def __init__(self, wire: Wire, user: str) -> None:
        super().__init__(wire, user)
        self.uri = self.target = f"sips:{user}@{HOST}"
        self.to = f"<{self.uri}>"

    def text(self, *words: Any, **over: Any) -> str:
        text = super().text(*words, **over).replace("Via: SIP/2.0/UDP ", "Via: SIP/2.0/TLS ")
        return text.replace("Contact: <sip:", "Contact: <sips:")


def tls_config(made: SelfSigned, store: Path, port: int) -> str:
    """Return the settings of a bridge with TLS."""
    files = f'tls_certificate = "{made.certificate}"\ntls_key = "{made.key}"\n'
    return config(free_port(), store, [CODE]).replace(
        "[sip]\n", f'[sip]\ntls = "{HOST}:{port}"\n{files}'
    )


@pytest.mark.parametrize("piece", [7, 16_384])
def test_a_phone_dials_in_over_tls_keys_the_code_and_hangs_up(tmp_path: Path, piece: int) -> None:
    made, store, port = self_signed(tmp_path), tmp_path / "store.db", free_port()
    with (
        serving(tls_config(made, store, port), tmp_path),
        TlsWire((HOST, port), made.certificate, piece) as wire,
    ):
        talk = TlsTalk(wire, "join")
        answer = talk.up()
        assert answer.contact == f"sips:bridge@{HOST}:{port}"
        for key in f"{CODE}#":
            body = f"Signal={key}\r\nDuration=160\r\n"
            done = talk.ask("INFO", body=body, body_type="application/dtmf-relay")
            assert done.status == 200
        talk.bye()
    told = [fact["type"] for fact in facts(store) if fact["type"].startswith("leg.")]
    assert [kind for kind in told if kind in ("leg.answered", "leg.waiting", "leg.left")] == [
        "leg.answered", "leg.waiting", "leg.left"
    ]  # fmt: skip
    assert {f["reason"] for f in facts(store) if f["type"] == "leg.left"} == {"hung_up"}


def test_a_baresip_that_checks_the_certificate_registers_hears_music_holds_and_hangs_up(
    tmp_path: Path,
) -> None:
    need("baresip")
    made, store, port = self_signed(tmp_path), tmp_path / "store.db", free_port()
    text = tls_config(made, store, port).replace("[sip]\n", '[sip]\ndigest = ["MD5"]\n')
    text += '[[user]]\nname = "ann"\npassword = "secret"\n'
    with (
        serving(text, tmp_path),
        baresip(
            tmp_path / "ann", user="ann", bridge=f"{HOST}:{port}", tone_hz=440, rtp_port=21_320,
            transport="tls", trusted=made.certificate,
        ) as ann,
    ):  # fmt: skip
        ann.type(f"/dial sip:{CODE}@{HOST}:{port};transport=tls")
        ann.says("Call established")
        time.sleep(2)  # of hold music
        ann.type("/hold")
        ann.says("call: hold")
        time.sleep(0.5)
        ann.type("/resume")
        ann.says("call: resume")
        time.sleep(0.5)
        ann.type("/hangup")
        ann.quit("/quit")
        deadline = time.monotonic() + 10
        while not (left := [f for f in facts(store) if f["type"] == "leg.left"]):
            assert time.monotonic() < deadline
            time.sleep(0.1)
    assert [fact["reason"] for fact in left] == ["hung_up"]
    assert seconds_of_sound(ann.heard()) > 1


def test_srtp_is_declined_over_tls_too(tmp_path: Path) -> None:
    made, store, port = self_signed(tmp_path), tmp_path / "store.db", free_port()
    with (
        serving(tls_config(made, store, port), tmp_path),
        TlsWire((HOST, port), made.certificate, 16_384) as wire,
    ):
        talk = TlsTalk(wire, CODE)
        talk.invite(body=talk.offer().replace("RTP/AVP", "RTP/SAVP"))
        answer = wire.answer("INVITE")
        assert answer.status == 488
        talk.ack_failure(answer)


def test_serve_refuses_an_encrypted_key_with_exit_code_2(tmp_path: Path) -> None:
    path = tls_toml(tmp_path, *self_signed(tmp_path, password="secret"))
    command = [sys.executable, "-m", "bridge.cli", "serve", "--config", str(path)]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 2
    assert "sip.tls_key" in done.stderr
    assert "a key without a password" in done.stderr
    assert "Traceback" not in done.stderr
