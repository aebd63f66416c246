"""Stories against a bridge that is not ours: PJSIP's own mixer, in a process of its own."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.errors import InputError
from bridge.lab.foreign import Foreign
from tests.held import again_if_held
from tests.peers.needs import need

HEAR = """\
scenario: Two hear each other and not themselves; who is called that nobody knows is refused
session: {toll_free: [US]}
callers:
  olivia: {via: voip, role: organizer}
  ann:    {via: toll-free, country: US, codec: PCMA}
  lost:   {via: voip, dials: nobody}
steps:
  - olivia: join
  - ann: join
  - lost: is refused 404
  - organizer: lock
  - expect: {joined: [ann, olivia]}
  - expect:
      olivia: {hears: [ann], not_hears: [olivia]}
      ann: {hears: [olivia], delay: 900ms, packets: 20ms}
  - ann: hang up
  - expect: {olivia: {silence: true}}
expect:
  events: [session.started]
  exactly: [session.started]
  metrics: {legs: 0}
  sip:
    ann: {in_order: [INVITE, 200 to INVITE, ACK, BYE, 200 to BYE], codec: PCMA}
    lost: {status: 404, never: [2xx to INVITE]}
  bill: {total: 0.00 USD}
"""

OTHERS = """\
scenario: A phone of another make calls a bridge of another make
callers:
  olivia: {via: voip, role: organizer, agent: pjsip}
  lost:   {via: voip, dials: nobody, agent: pjsip}
steps:
  - olivia: join
  - lost: is refused 404
  - olivia: hold
expect:
  sip:
    olivia: {in_order: [INVITE, 180, 200, ACK, sends INVITE, 200, ACK, sends BYE], times: {ACK: 2}}
    lost: {status: 404, times: {404: 1, sends ACK: 1}}
"""


@pytest.fixture(scope="module")
def target() -> Iterator[str]:
    pytest.importorskip("pjsua2", reason="the wheel pjsua2-python is not installed")
    mixer = subprocess.Popen(
        [sys.executable, "-m", "tests.peers.pjsip_bridge"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert mixer.stdout
    assert mixer.stdin
    lines = iter(mixer.stdout.readline, "")  # PJSIP says a line of its own first
    port = next(line.split()[1] for line in lines if line.startswith("port "))
    yield f"sip:conference@127.0.0.1:{port}"
    mixer.stdin.close()
    assert mixer.wait(10) == 0
    mixer.stdout.close()


def told(
    tmp_path: Path, target: str, story: str, *more: str
) -> tuple[int, dict[str, dict[str, object]], str]:
    """Run a story with the command; return exit code, verdicts by name, and what was printed."""
    (tmp_path / "story.yaml").write_text(story)
    done = subprocess.run(
        [sys.executable, "-m", "bridge.cli", "scenario", "run", "story.yaml", "--target", target,
         "--json", "out.json", *more],
        cwd=tmp_path, capture_output=True, text=True, timeout=90,
    )  # fmt: skip
    result = json.loads((tmp_path / "out.json").read_text())
    return done.returncode, {one["name"]: one for one in result["verdicts"]}, done.stdout


@again_if_held
def test_audio_and_sip_are_judged_and_bills_do_not_apply(tmp_path: Path, target: str) -> None:
    code, verdicts, output = told(tmp_path, target, HEAR)
    assert code == 0, output
    judged = {name for name, one in verdicts.items() if one["applies"]}
    assert judged == {
        *("olivia", "ann", "lost is refused", "sip.ann.in_order", "sip.ann.codec"),
        *("sip.lost.status", "sip.lost.never"),
    }
    left = {"organizer: lock", "joined", "events", "exactly", "metrics.legs", "bill.total"}
    assert {name for name, one in verdicts.items() if not one["applies"]} == left
    assert verdicts["bill.total"]["observed"] == "not applicable: the bridge is not ours"


@again_if_held
def test_the_sip_of_a_phone_of_another_make_is_judged_and_opens_in_wireshark(
    tmp_path: Path, target: str
) -> None:
    """Neither end is ours: what there is to see, PJSIP's own log has told."""
    need("tshark")
    code, verdicts, output = told(tmp_path, target, OTHERS, "--evidence", "kept", "--keep")
    assert code == 0, output
    names = ("sip.olivia.in_order", "sip.olivia.times", "sip.lost.status", "sip.lost.times")
    assert all(verdicts[name]["applies"] for name in names)
    (packets,) = (tmp_path / "kept").glob("*/packets.pcapng")
    fields = ("-e", "sip.Method", "-e", "sip.Status-Code", "-e", "udp.dstport")
    done = subprocess.run(
        ["tshark", "-r", str(packets), "-Y", "sip", "-T", "fields", *fields],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    rows = [row.split("\t") for row in done.stdout.splitlines()]
    port = target.rpartition(":")[2]
    assert [row[0] for row in rows if row[2] == port] == [
        *("INVITE", "ACK", "INVITE", "ACK", "INVITE", "ACK", "BYE")
    ]
    assert Counter(row[1] for row in rows if row[2] != port)["200"] >= 2
    assert (packets.parent / "report.html").is_file()


@again_if_held
def test_a_foreign_bridge_that_fails_fails(tmp_path: Path, target: str) -> None:
    story = HEAR.replace("hears: [ann], not_hears: [olivia]", "not_hears: [ann]")
    code, _, output = told(tmp_path, target, story)
    assert code == 1, output
    assert "ann is heard" in output


def test_a_story_with_nothing_to_judge_there_fails(tmp_path: Path, target: str) -> None:
    story = HEAR[: HEAR.index("  - lost: is refused")] + "expect: {bill: {total: 0.00 USD}}\n"
    code, _, output = told(tmp_path, target, story)
    assert code == 1, output
    assert "nothing was evaluated" in output


@pytest.mark.parametrize(
    ("uri", "keys", "expected"),
    [
        ("http://x", None, "--target: 'http://x': expected a SIP URI"),
        ("sip:a@127.0.0.1:99999", None, "a port from 1 to 65535"),
        ("sip:127.0.0.1", "12x", "--target-keys: '12x': expected keys"),
    ],
)
def test_bad_targets_are_refused(uri: str, keys: str | None, expected: str) -> None:
    with pytest.raises(InputError) as refused:
        Foreign.of(uri, keys)
    assert expected in str(refused.value)


def test_without_user_and_keys_our_own_are_dialled() -> None:
    foreign = Foreign.of("sip:127.0.0.1")
    assert (foreign.address, foreign.user, foreign.keys) == (("127.0.0.1", 5_060), "", None)
