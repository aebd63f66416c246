"""Behind Kamailio: Record-Route is obeyed from both ends, over UDP, TCP and between the two."""

import collections
import subprocess
from pathlib import Path

import pytest

from tests.peers.bridge_process import config, facts, serving
from tests.peers.kamailio import kamailio
from tests.peers.needs import need
from tests.peers.probing import CODE, free_port
from tests.peers.sip_wire import HOST, Talk, Wire, sdp
from tests.peers.sipp_caller import sipp, write_keys

pytestmark = [pytest.mark.peer, pytest.mark.long, pytest.mark.timeout(240)]

CALLS = 50


@pytest.mark.parametrize(
    ("mode", "onward"), [("u1", ""), ("t1", ""), ("u1", ";transport=tcp")], ids=str
)
def test_sipp_dials_in_through_kamailio(tmp_path: Path, mode: str, onward: str) -> None:
    need("kamailio", "sipp")
    port, proxy, store = free_port(), free_port(), tmp_path / "store.db"
    text = config(port, store, [CODE]).replace("[sip]\n", "[sip]\ntcp = true\n")
    keys = write_keys(tmp_path / "keys.csv", [f"{CODE}#"])
    command = sipp(proxy, keys, calls=CALLS, stay_ms=4_000, own_port=free_port())
    command += ["-t", mode, "-trace_err"]
    with (
        serving(text, tmp_path),
        kamailio(tmp_path, port=proxy, bridge=port, transport=onward),
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
        errors = "".join(path.read_text() for path in tmp_path.glob("*errors*"))
        assert done.returncode == 0, errors + done.stdout[-3_000:]
    count = collections.Counter(fact["type"] for fact in facts(store))
    assert count["leg.answered"] == count["leg.waiting"] == count["leg.left"] == CALLS


def test_hold_and_the_bridges_own_bye_follow_the_route(tmp_path: Path) -> None:
    need("kamailio")
    port, proxy = free_port(), free_port()
    with (
        serving(config(port, tmp_path / "store.db", [CODE]), tmp_path),
        kamailio(tmp_path, port=proxy, bridge=port),
        Wire((HOST, proxy)) as wire,
    ):
        talk = Talk(wire)
        talk.invite()
        answer = wire.answer("INVITE")
        assert answer.status == 200
        recorded = answer.values("Record-Route")
        assert recorded
        route = "Route: " + ", ".join(reversed(recorded))
        talk.take(answer)
        talk.ack(route)
        hold = talk.ask("INVITE", route, body=sdp(wire.rtp_port, attributes=["sendonly"]))
        assert "a=recvonly" in hold.body
        talk.ack(route)
        talk.cseq += 1
        wire.send(talk.text("INVITE", route))
        assert wire.answer("INVITE").status == 200
        talk.ack(route, body="v=0\r\n")  # no answer to the bridge's offer: it hangs up
        bye = wire.request("BYE")
        assert len(bye.values("Via")) == 2
        wire.reply(bye)
        assert not [m for m in wire.drain(1.0) if m.start.startswith("BYE")]
