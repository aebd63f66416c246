"""Debian's linphonec and baresip do what a user does with a softphone, against `tollbridge serve`.

They register with digest, dial a code or key it, hear hold music, hear each other and not
themselves, hold and resume, hang up.
"""

import contextlib
import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.peers.bridge_process import CONTRACT, config, facts, serving
from tests.peers.needs import need
from tests.peers.probing import CODE, free_port
from tests.peers.sip_wire import HOST, Talk, Wire
from tests.peers.softphones import (
    baresip,
    linphonec,
    seconds_of_sound,
    seconds_of_tone,
)

pytestmark = [pytest.mark.peer, pytest.mark.timeout(90)]

HAS_PJSIP = importlib.util.find_spec("pjsua2") is not None
ANN_HZ, BEN_HZ = 440, 620
USERS = '[[user]]\nname = "ann"\npassword = "secret"\n[[user]]\nname = "ben"\npassword = "secret"\n'
KEYS_S = 20.0
"""linphonec takes almost a second for each key."""

WAIT_S = 2.0
TALK_S = 3.0


class Bridge:
    """A bridge with two users, of which nobody is a trunk."""

    def __init__(self, port: int, store: Path) -> None:
        self.port = port
        self.store = store

    @property
    def address(self) -> str:
        """Host and port."""
        return f"{HOST}:{self.port}"

    def until(self, kind: str, count: int = 1) -> None:
        """Wait until there are so many facts of a kind."""
        deadline = time.monotonic() + KEYS_S
        while sum(fact["type"] == kind for fact in facts(self.store)) < count:
            assert time.monotonic() < deadline, f"no {kind}"
            time.sleep(0.05)

    def reasons(self) -> list[str]:
        """Return why legs left."""
        return [fact["reason"] for fact in facts(self.store) if fact["type"] == "leg.left"]


@contextlib.contextmanager
def bridge_with_users(tmp_path: Path, digest: str) -> Iterator[Bridge]:
    """Run a bridge that asks callers for a password."""
    port, store = free_port(), tmp_path / "store.db"
    text = config(port, store, [CODE]).replace(
        CONTRACT, CONTRACT.replace("127.0.0.0/8", "192.0.2.0/24")
    )
    sip = f'[sip]\ntcp = true\nrequire_auth = true\ndigest = ["{digest}"]\n'
    with serving(text.replace("[sip]\n", sip) + USERS, tmp_path):
        yield Bridge(port, store)


@pytest.fixture
def bridge(tmp_path: Path) -> Iterator[Bridge]:
    with bridge_with_users(tmp_path, "MD5") as made:
        yield made


def test_linphone_waits_and_baresip_starts_the_session_and_both_talk(
    bridge: Bridge, tmp_path: Path
) -> None:
    need("linphonec", "baresip")
    with (
        linphonec(
            tmp_path / "ann", user="ann", bridge=bridge.address, tone_hz=ANN_HZ,
            sip_port=free_port(),
        ) as ann,
        baresip(
            tmp_path / "ben", user="ben", bridge=bridge.address, tone_hz=BEN_HZ,
            rtp_port=21_200, transport="tcp",
        ) as ben,
    ):  # fmt: skip
        ann.type(f"call sip:join@{bridge.address}")
        ann.says("Media streams established")
        ann.type(f"{CODE}#")
        bridge.until("leg.waiting")
        time.sleep(WAIT_S)
        ben.type(f"/dial sip:{CODE}@{bridge.address};transport=tcp")
        ben.says("Call established")
        ben.type("*0771144#")
        bridge.until("session.started")
        bridge.until("leg.joined", 2)
        time.sleep(TALK_S)
        ann.type("pause")
        ann.says("is now paused")
        ann.type("resume")
        ann.says("(?s)Media streams established.*Media streams established")
        ben.type("/hold")
        ben.says("call: hold")
        time.sleep(0.5)
        ben.type("/resume")
        ben.says("call: resume")
        time.sleep(1)
        ann.type("terminate")
        ann.says(r"ended \(No error\)")
        bridge.until("leg.left")
        ben.type("/hangup")
        bridge.until("leg.left", 2)
        ann.quit("quit")
        ben.quit("/quit")
    assert bridge.reasons() == ["hung_up", "hung_up"]
    answered = [fact for fact in facts(bridge.store) if fact["type"] == "leg.answered"]
    assert [fact["ani"] for fact in answered] == ["ann", "ben"]
    heard = ann.heard()
    assert seconds_of_sound(heard) > WAIT_S  # hold music, then Ben
    assert seconds_of_tone(heard, BEN_HZ) > TALK_S / 2
    assert seconds_of_tone(heard, ANN_HZ) == pytest.approx(0, abs=0.5)
    heard = ben.heard()
    assert seconds_of_tone(heard, ANN_HZ) > TALK_S / 2
    assert seconds_of_tone(heard, BEN_HZ) == pytest.approx(0, abs=0.5)


@pytest.mark.parametrize("digest", ["MD5", "SHA-256"])
def test_a_strict_pjsip_phone_proves_who_it_is_and_is_let_in(tmp_path: Path, digest: str) -> None:
    """It requires 100rel and session timers of 90 s."""
    assert HAS_PJSIP or os.environ.get("CI") != "true", "CI needs pjsua2-python"
    if not HAS_PJSIP:
        pytest.skip("pjsua2-python is not installed: pip install 'tollbridge[phone]'")
    with bridge_with_users(tmp_path, digest) as bridge:
        command = [sys.executable, "-m", "tests.peers.pjsip_phone"]
        command += [f"sip:{CODE}@{bridge.address}", "ann", str(ANN_HZ), str(tmp_path / "raw")]
        phone = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "TEST_PHONE_STRICT": "1"},
        )
        try:
            bridge.until("leg.waiting")
            said, _ = phone.communicate("keys *0771144#\n", timeout=20)
        finally:
            phone.kill()
            phone.wait(10)
        bridge.until("leg.left")
    assert '"event": "confirmed", "status": 200' in said
    answered = [fact["ani"] for fact in facts(bridge.store) if fact["type"] == "leg.answered"]
    assert answered == ["ann"]


def test_who_has_no_password_is_not_let_in(bridge: Bridge) -> None:
    with Wire((HOST, bridge.port)) as wire:
        talk = Talk(wire)
        answer = talk.ask("INVITE", body=talk.offer())
        assert answer.status == 401
        assert answer.value("WWW-Authenticate").startswith('Digest realm="tollbridge", nonce=')
        assert talk.ask("REGISTER").status == 401
        assert talk.ask("OPTIONS").status == 200
    assert not facts(bridge.store)
