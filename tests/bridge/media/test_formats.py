"""What payload types mean, and packets of all that a leg may send, through the plane."""

from dataclasses import replace

import numpy as np
import pytest

from bridge.media.codecs import NUMBERS
from bridge.media.formats import AUDIO, EVENT, NOTHING, TELEPHONE_EVENT, Formats
from bridge.media.shape import FRAME, PCMA, PCMU
from bridge.media.values import Remote
from tests.bridge.media.rig import Rig, coded, decoded, tone

PLAIN = Remote("PCMU", 0, 101, 0, proven=True)


def told(remote: Remote) -> dict[int, int]:
    """Return what payload types mean on a leg, but for those that mean nothing."""
    formats = Formats.of(3)
    formats.set_remote(1, replace(remote, payload_type=9, dtmf_payload_type=7))
    formats.set_remote(1, remote)
    assert not formats.meaning[[0, 2]].any()
    assert formats.keyed.tolist() == [False, remote.dtmf_payload_type >= 0, False]
    return {int(n): int(formats.meaning[1, n]) for n in np.flatnonzero(formats.meaning[1])}


@pytest.mark.parametrize(
    ("remote", "meaning"),
    [
        (PLAIN, {0: AUDIO + PCMU, 101: EVENT}),
        (replace(PLAIN, dtmf_payload_type=-1), {0: AUDIO + PCMU}),
        (
            replace(PLAIN, also=((8, "PCMA"), (100, TELEPHONE_EVENT))),
            {0: AUDIO + PCMU, 8: AUDIO + PCMA, 100: EVENT, 101: EVENT},
        ),
        (
            Remote("OPUS", 96, -1, 0, proven=True, also=((111, "OPUS"), (0, "PCMU"))),
            {96: AUDIO + NUMBERS["OPUS"], 111: AUDIO + NUMBERS["OPUS"]},
        ),
        (replace(PLAIN, also=((9, "G722"),)), {0: AUDIO + PCMU, 101: EVENT}),
        (
            # Each number has been given the other's meaning: that of our offer is what comes.
            Remote("OPUS", 101, 111, 0, True, also=((111, "OPUS"), (101, TELEPHONE_EVENT))),
            {111: AUDIO + NUMBERS["OPUS"], 101: EVENT},
        ),
    ],
)
def test_what_payload_types_mean(remote: Remote, meaning: dict[int, int]) -> None:
    assert told(remote) == meaning


def test_nothing_is_agreed_with_a_slot_that_was_left() -> None:
    formats = Formats.of(2)
    formats.set_remote(0, PLAIN)
    formats.forget(0)
    assert (formats.meaning == NOTHING).all()
    assert not formats.keyed.any()


def test_both_numbers_of_a_codec_are_heard_and_what_is_sent_has_the_answers() -> None:
    """A leg that sends with the number of our offer, then one that sends with its own."""
    rig = Rig()
    for slot in range(3):
        rig.add(slot, group=slot // 2)
    remote = Remote("PCMU", 96, 101, rig.source(0), proven=True, also=((0, "PCMU"),))
    rig.plane.set_remote(0, remote, 0)
    for kind in (0, 96):
        for n in range(10):
            at = n + (kind > 0) * 10
            rig.tick(rig.packet(0, at, coded(tone(500, at)), kind=kind))
            assert rig.sent[0][1] & 0x7F == 96
        assert np.array_equal(rig.heard(1), decoded(coded(tone(500, at - 1))))
    assert rig.count("payload_type") == 0
    rig.tick(rig.packet(0, 20, bytes(FRAME), kind=8))
    assert rig.count("payload_type") == 1


@pytest.mark.parametrize("kind", [100, 101])
def test_keys_are_heard_with_the_number_of_our_offer_and_with_that_of_the_answer(
    kind: int,
) -> None:
    """D11: a phone that wants its events at 100 sends them at our 101 (RFC 3264 §5.1)."""
    rig = Rig()
    rig.add(0)
    remote = Remote("PCMU", 0, 100, rig.source(0), proven=True, also=((101, TELEPHONE_EVENT),))
    rig.plane.set_remote(0, remote, 0)
    body = bytes((5, 0x8A, 0, 100))
    result = rig.tick(rig.packet(0, 0, body, ts=0, kind=kind))
    assert [key.key for key in result.keys] == ["5"]
    assert rig.count("payload_type") == 0


def test_who_answered_with_both_laws_may_change_between_them() -> None:
    """Each packet is decoded by its own, also those that come as expected; ours goes on."""
    rig = Rig()
    rig.add(0, group=5)
    rig.add(1, group=5)
    remote = Remote("PCMU", 0, 101, rig.source(0), proven=True, also=((8, "PCMA"),))
    rig.plane.set_remote(0, remote, 0)
    laws = ["PCMU"] * 6 + ["PCMA"] * 6 + ["PCMU"] * 6 + ["PCMA", "PCMU"] * 3
    heard, wanted = [], []
    for n, law in enumerate(laws):
        payload = coded(tone(500, n), law)
        rig.tick(rig.packet(0, n, payload, kind=8 if law == "PCMA" else 0))
        heard.append(rig.heard(1))
        wanted.append(decoded(coded(decoded(payload, law))))
        assert rig.sent[0][1] & 0x7F == 0
    assert np.array_equal(np.concatenate(heard[1:]), np.concatenate(wanted[:-1]))
    assert rig.count("payload_type") == rig.count("lost") == 0


def test_an_unknown_leg_is_latched_by_what_it_may_send_too() -> None:
    rig = Rig()
    rig.add(0, named=False, proven=False)
    remote = Remote("PCMU", 96, -1, 0, proven=False, also=((0, "PCMU"),))
    rig.plane.set_remote(0, remote, 0)
    rig.tick(rig.packet(0, 0, bytes(FRAME), kind=0))
    assert int(rig.plane.latched[0]) == rig.source(0)
    assert rig.count("unknown_source") == 0
