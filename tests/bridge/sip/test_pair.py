"""Two cores back to back, with and without losses on the wire."""

import random
from collections import Counter

import pytest

from bridge.sip.api import (
    CallAnswered,
    CallConfirmed,
    CallEnded,
    CallIncoming,
    CallMedia,
    CallProgress,
    Direction,
    Dropped,
    EndCause,
    HangUp,
    LocalMedia,
    Reinvite,
    Reject,
    Ring,
    SipConfig,
)
from bridge.units import LegId
from tests.bridge.sip.pair import BRIDGE, BRIDGE_MEDIA, MS, PHONE_MEDIA, Pair, S, accept_all

CALLS = 300
LOSS = 0.03


def test_a_call_from_end_to_end() -> None:
    pair = Pair()
    pair.connect()
    pair.order(pair.phone, HangUp(LegId("out-1"), "bye"))
    pair.run(1 * S)
    assert [type(event) for event in pair.bridge.events] == [CallIncoming, CallConfirmed, CallEnded]
    assert [type(event) for event in pair.phone.events] == [CallAnswered, CallEnded]
    pair.run(70 * S)
    for end in (pair.bridge, pair.phone):
        assert set(end.core.sizes.values()) == {0}
        assert end.wake_ns is None


def test_hold_from_either_side() -> None:
    pair = Pair()
    pair.connect()
    held = LocalMedia(PHONE_MEDIA.host, PHONE_MEDIA.port, Direction.SENDONLY)
    pair.order(pair.phone, Reinvite(LegId("out-1"), held))
    pair.run(1 * S)
    (told,) = pair.bridge.of(CallMedia)
    assert told.remote.held
    pair.order(pair.phone, Reinvite(LegId("out-1"), PHONE_MEDIA))
    pair.run(1 * S)
    moved = LocalMedia(BRIDGE_MEDIA.host, 41_000, Direction.INACTIVE)
    pair.order(pair.bridge, Reinvite(pair.leg, moved))
    pair.run(1 * S)
    last = pair.phone.of(CallMedia)[-1]
    assert not last.remote.remote_hears
    assert last.proven


def test_offers_that_cross_are_both_made_in_the_end() -> None:
    pair = Pair()
    pair.connect()
    for port in (31_000, 41_000):
        end = pair.phone if port == 31_000 else pair.bridge
        leg = LegId("out-1") if end is pair.phone else pair.leg
        pair.order(end, Reinvite(leg, LocalMedia(end.address.host, port)))
    pair.run(10 * S)
    ports = []
    for end in (pair.bridge, pair.phone):
        told = end.of(CallMedia)[-1]
        assert told.remote.address is not None
        ports.append(told.remote.address.port)
    assert ports == [31_000, 41_000]
    assert {"glare"} == {drop.reason for drop in pair.bridge.of(Dropped)}


def test_a_reliable_ring_and_a_rejection() -> None:
    pair = Pair()
    pair.dial(headers=(("Require", "100rel"),))
    pair.run(10 * MS)
    pair.order(pair.bridge, Ring(pair.leg))
    pair.run(40 * S)
    assert pair.phone.of(CallProgress) == [CallProgress(LegId("out-1"), 180)]
    assert sum(data.startswith(b"PRACK") for data in pair.phone.sent) == 1
    pair.order(pair.bridge, Reject(pair.leg, 486, "Busy Here"))
    pair.run(1 * S)
    assert pair.phone.of(CallEnded) == [CallEnded(LegId("out-1"), EndCause.REFUSED, 486)]


def test_a_too_small_session_interval_is_raised_by_the_caller() -> None:
    pair = Pair(phone=SipConfig(BRIDGE, session_expires_s=90))
    pair.connect()
    assert pair.phone.of(CallAnswered)


@pytest.mark.parametrize("method", ["INVITE", "ACK", "BYE", "CANCEL"])
def test_the_first_copy_of_any_request_may_be_lost(method: str) -> None:
    seen: Counter[bytes] = Counter()

    def loses(data: bytes, _number: int) -> bool:
        word = data.split(b" ", 1)[0]
        seen[word] += 1
        return word == method.encode() and seen[word] == 1

    pair = Pair(loses=loses)
    pair.bridge.react = None if method == "CANCEL" else accept_all
    pair.dial()
    pair.run(3 * S)
    pair.order(pair.phone, HangUp(LegId("out-1")))
    pair.run(3 * S)
    expected = EndCause.CANCELLED if method == "CANCEL" else EndCause.REMOTE_BYE
    (end,) = pair.bridge.of(CallEnded)
    assert end.cause is expected
    assert len(pair.bridge.of(CallIncoming)) == 1


@pytest.mark.parametrize("status", ["100", "200", "487"])
def test_the_first_copy_of_any_answer_may_be_lost(status: str) -> None:
    seen: Counter[bytes] = Counter()

    def loses(data: bytes, _number: int) -> bool:
        word = data[:11]
        seen[word] += 1
        return word == f"SIP/2.0 {status}".encode() and seen[word] == 1

    pair = Pair(loses=loses)
    pair.bridge.react = None if status == "487" else accept_all
    pair.dial()
    pair.run(3 * S)
    pair.order(pair.phone, HangUp(LegId("out-1")))
    pair.run(70 * S)
    assert len(pair.bridge.of(CallEnded)) == len(pair.phone.of(CallEnded)) == 1
    pair.run(70 * S)
    assert set(pair.bridge.core.sizes.values()) == set(pair.phone.core.sizes.values()) == {0}


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_with_3_percent_lost_both_ways_every_call_completes(seed: int) -> None:
    chance = random.Random(seed)
    pair = Pair(loses=lambda _data, _number: chance.random() < LOSS)
    pair.bridge.react = accept_all
    for number in range(CALLS):
        pair.dial(f"c{number}")
        pair.run(20 * MS)
    pair.run(20 * S)
    for number in range(CALLS):
        pair.order(pair.phone, HangUp(LegId(f"c{number}")))
    pair.run(100 * S)
    assert len(pair.bridge.of(CallIncoming)) == CALLS
    assert len(pair.bridge.of(CallConfirmed)) == CALLS
    assert len(pair.phone.of(CallAnswered)) == CALLS
    causes = Counter(end.cause for end in pair.bridge.of(CallEnded))
    assert causes == {EndCause.REMOTE_BYE: CALLS}
    assert not pair.bridge.of(Dropped)
    assert set(pair.bridge.core.sizes.values()) == {0}
    assert set(pair.phone.core.sizes.values()) == {0}


def test_with_half_of_everything_lost_every_call_still_ends_once_and_nothing_stays() -> None:
    chance = random.Random(5)
    pair = Pair(loses=lambda _data, _number: chance.random() < 0.5)
    pair.bridge.react = accept_all
    for number in range(100):
        pair.dial(f"c{number}")
        pair.run(20 * MS)
    pair.run(60 * S)
    for number in range(100):
        pair.order(pair.phone, HangUp(LegId(f"c{number}")))
    pair.run(4_000 * S)  # what is left over runs into its session timer
    for end in (pair.bridge, pair.phone):
        legs = Counter(event.leg for event in end.of(CallEnded))
        assert set(legs.values()) == {1}
        assert set(end.core.sizes.values()) == {0}
    assert len(pair.bridge.of(CallIncoming)) == len(pair.bridge.of(CallEnded))
