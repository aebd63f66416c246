"""Who a packet belongs to: sharing of ports, latching, and strangers."""

import numpy as np
import pytest

from bridge.media.sources import DEPARTED_FINDS, Sources, address_of, source_of

ANN, BOB, CID = (source_of(f"10.0.0.{n}", 4_000) for n in (1, 2, 3))
ANN_OTHER = source_of("10.0.0.1", 9_999)


def find(sources: Sources, port: int, source: int) -> int:
    return int(sources.find(np.array([port]), np.array([source], np.uint64))[0])


@pytest.fixture
def sources() -> Sources:
    return Sources(8)


def test_addresses_survive() -> None:
    assert address_of(source_of("192.0.2.7", 65_535)) == ("192.0.2.7", 65_535)


@pytest.mark.parametrize(
    ("host", "port"), [("", 5), ("pbx.example", 5), ("::1", 5), ("0.0.0.0", 5), ("10.0.0.1", 0)]
)
def test_what_is_no_address_is_none(host: str, port: int) -> None:
    assert source_of(host, port) == 0


def test_port_too_large_is_none() -> None:
    assert source_of("10.0.0.1", 65_536) == 0


def test_nobody_is_found_where_nobody_is(sources: Sources) -> None:
    assert find(sources, 0, ANN) == -1


def test_sdp_address_finds_the_leg_at_once_and_only_on_its_port(sources: Sources) -> None:
    sources.open(5, 1, ANN)
    assert find(sources, 1, ANN) == 5
    assert find(sources, 0, ANN) == -1
    assert find(sources, 1, ANN_OTHER) == -1


def test_unknown_leg_wants_a_port_without_another_unknown(sources: Sources) -> None:
    assert sources.may_share(0, 0)
    sources.open(1, 0, ANN)
    assert not sources.may_share(0, BOB)
    sources.set_remote(1, ANN, proven=True, relatch=False)
    assert sources.may_share(0, BOB)
    assert not sources.may_share(0, ANN)
    assert sources.may_share(0, 0)
    sources.open(2, 0, 0)
    assert not sources.may_share(0, CID)
    sources.heard(2, BOB)
    assert sources.may_share(0, CID)
    assert not sources.may_share(0, BOB)


def test_closed_leg_leaves_nothing(sources: Sources) -> None:
    sources.open(1, 0, ANN)
    sources.heard(1, ANN_OTHER)
    sources.close(1)
    assert find(sources, 0, ANN) == find(sources, 0, ANN_OTHER) == -1
    assert sources.may_share(0, ANN)
    assert not sources.waiting[0]


def test_what_a_leg_has_left_is_not_taken_for_another_legs(sources: Sources) -> None:
    sources.open(1, 0, ANN)
    sources.set_remote(1, ANN, proven=True, relatch=False)
    sources.heard(1, ANN)
    sources.open(2, 0, ANN_OTHER)  # of the same host, and not heard yet
    sources.close(1)
    assert sources.claimant(0, ANN) == -1, "its last packets are still on their way"
    assert sources.claimant(0, source_of("10.0.0.1", 5_000)) == 2
    sources.open(3, 0, ANN)
    assert find(sources, 0, ANN) == 3, "unless it is called again from there"
    sources.close(3)
    for _ in range(DEPARTED_FINDS):
        assert sources.claimant(0, ANN) == -1
        find(sources, 0, ANN)
    find(sources, 0, ANN)
    assert sources.claimant(0, ANN) == 2
    sources.close(2)
    assert list(sources._departed) == [ANN_OTHER - 2], "it grows no longer than it is needed"


def test_rtp_goes_nowhere_before_it_is_proven_or_heard(sources: Sources) -> None:
    sources.open(1, 0, ANN)
    assert sources.destination(1) == 0
    sources.set_remote(1, ANN, proven=True, relatch=False)
    assert sources.destination(1) == ANN
    sources.heard(1, ANN_OTHER)
    assert sources.destination(1) == ANN_OTHER


def test_source_is_latched_once_and_the_sdp_address_preferred(sources: Sources) -> None:
    sources.open(1, 0, ANN)
    assert sources.heard(1, BOB)
    assert not sources.heard(1, BOB)
    assert find(sources, 0, ANN) == 1
    assert sources.heard(1, ANN)
    assert find(sources, 0, BOB) == -1
    assert sources.claimant(0, CID) == -1


def test_relatch_forgets_the_source(sources: Sources) -> None:
    sources.open(1, 0, ANN)
    sources.heard(1, ANN)
    sources.set_remote(1, BOB, proven=False, relatch=False)
    assert sources.destination(1) == ANN
    assert find(sources, 0, ANN) == 1
    sources.set_remote(1, BOB, proven=False, relatch=True)
    assert sources.destination(1) == 0
    assert find(sources, 0, ANN) == -1
    assert find(sources, 0, BOB) == 1
    assert sources.waiting[0]


def test_address_of_another_leg_cannot_be_taken(sources: Sources) -> None:
    sources.open(1, 0, ANN)
    sources.heard(1, ANN)
    sources.open(2, 0, 0)
    sources.set_remote(2, ANN, proven=True, relatch=False)
    assert find(sources, 0, ANN) == 1
    assert sources.destination(2) == 0
    sources.close(2)
    assert find(sources, 0, ANN) == 1


def test_stranger_goes_to_the_one_leg_that_can_be_his(sources: Sources) -> None:
    sources.open(1, 0, ANN)
    sources.set_remote(1, ANN, proven=True, relatch=False)
    assert sources.claimant(0, ANN_OTHER) == 1, "same host, other port: NAT"
    assert sources.claimant(0, BOB) == -1, "a proven leg is no other host's"
    sources.open(2, 0, 0)
    assert sources.claimant(0, BOB) == 2
    assert sources.claimant(0, ANN_OTHER) == 1
    assert sources.claimant(3, BOB) == -1


def test_with_two_candidates_nobody_gets_it(sources: Sources) -> None:
    sources.open(1, 0, ANN)
    sources.open(2, 0, ANN_OTHER)
    assert sources.claimant(0, source_of("10.0.0.1", 77)) == -1
    assert sources.claimant(0, BOB) == -1


def test_many_are_found_at_once() -> None:
    rng = np.random.default_rng(3)
    sources = Sources(4)
    known = {}
    for slot, number in enumerate(rng.permutation(500).tolist()):
        source, port = source_of(f"10.1.{number // 250}.{number % 250 + 1}", 5_000), number % 4
        sources.open(slot, port, source)
        known[port, source] = slot
    asked = [
        (int(rng.integers(4)), source_of(f"10.1.{n // 250}.{n % 250 + 1}", 5_000))
        for n in rng.integers(0, 600, 2_000).tolist()
    ]
    found = sources.find(
        np.array([port for port, _ in asked]), np.array([s for _, s in asked], np.uint64)
    )
    assert found.tolist() == [known.get(pair, -1) for pair in asked]


def test_source_without_a_number_is_nobodys(sources: Sources) -> None:
    sources.open(1, 0, 0)
    assert sources.claimant(0, 0) == -1
    assert find(sources, 0, 0) == -1


def test_stranger_before_the_sdp_address_does_not_win_for_good(sources: Sources) -> None:
    """Who spoke first is heard until the SDP's address speaks; after that nobody else is."""
    sources.open(1, 0, ANN)
    assert sources.claimant(0, BOB) == 1
    sources.heard(1, BOB)
    assert find(sources, 0, ANN) == 1
    sources.heard(1, ANN)
    assert (find(sources, 0, BOB), sources.claimant(0, BOB)) == (-1, -1)
    assert sources.destination(1) == ANN
    assert sources.has(1, ANN)
    assert not sources.has(1, BOB)


def test_what_is_agreed_again_with_nothing_new_changes_nothing_but_what_is_proven(
    sources: Sources,
) -> None:
    """The ACK proves what the offer said: who was heard meanwhile stays, and the port is free."""
    sources.open(1, 0, ANN)
    sources.heard(1, BOB)
    assert (find(sources, 0, ANN), find(sources, 0, BOB)) == (1, 1)
    sources.set_remote(1, ANN, proven=True, relatch=False)
    assert (find(sources, 0, ANN), find(sources, 0, BOB)) == (1, 1)
    assert sources.destination(1) == BOB
    sources.open(2, 1, ANN)
    assert not sources.may_share(1, BOB)
    sources.set_remote(2, ANN, proven=True, relatch=False)
    assert sources.may_share(1, BOB)
    sources.set_remote(2, ANN, proven=False, relatch=False)
    assert not sources.may_share(1, BOB)
    sources.close(2)
    assert sources.may_share(1, BOB)


def test_address_that_was_anothers_is_given_once_it_is_agreed_again(sources: Sources) -> None:
    sources.open(1, 0, ANN)
    sources.open(2, 0, ANN)
    sources.set_remote(2, ANN, proven=True, relatch=False)
    assert (sources.has(2, ANN), sources.destination(2)) == (False, 0)
    sources.close(1)
    sources.set_remote(2, ANN, proven=True, relatch=False)
    assert (sources.has(2, ANN), sources.destination(2)) == (True, ANN)
