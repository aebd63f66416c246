"""Debian's linphonec and baresip do what a user does with a softphone, against `tollbridge serve`.

They register with digest, dial a code or key it, hear hold music, hear each other and not
themselves, hold and resume, hang up.
"""

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

ANN_HZ, BEN_HZ = 440, 620
SIP = 'tcp = true\nrequire_auth = true\ndigest = ["MD5"]\n'
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


@pytest.fixture
def bridge(tmp_path: Path) -> Iterator[Bridge]:
    port, store = free_port(), tmp_path / "store.db"
    text = config(port, store, [CODE]).replace(
        CONTRACT, CONTRACT.replace("127.0.0.0/8", "192.0.2.0/24")
    )
    with serving(text.replace("[sip]\n", f"[sip]\n{SIP}") + USERS, tmp_path):
        yield Bridge(port, store)


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


def test_who_has_no_password_is_not_let_in(bridge: Bridge) -> None:
    with Wire((HOST, bridge.port)) as wire:
        talk = Talk(wire)
        answer = talk.ask("INVITE", body=talk.offer())
        assert answer.status == 401
        assert answer.value("WWW-Authenticate").startswith('Digest realm="tollbridge", nonce=')
        assert talk.ask("REGISTER").status == 401
        assert talk.ask("OPTIONS").status == 200
    assert not facts(bridge.store)
