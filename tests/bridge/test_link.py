"""The messages between control and media workers: what is sent is what comes."""

import numpy as np

from bridge.link import (
    MESSAGE_BYTES_MAX,
    Levels,
    OpenLeg,
    SetRemote,
    Status,
    decode,
    encode,
)
from bridge.media.shape import LEGS_MAX


def test_tables_are_handed_over_as_arrays_and_come_as_rows() -> None:
    heard = np.array([[7, 1_234_567_890_123_456_789], [8, 0]])
    figures = np.array([[7, 3, 0.125, 2.5, -1, 0.004, 2]])
    sent = Status(5, last_packet_ns=heard, quality=figures, counters={"rx": 9})
    got = decode(encode(sent))
    assert got == Status(
        5,
        last_packet_ns=[[7, 1_234_567_890_123_456_789], [8, 0]],
        quality=[[7, 3, 0.125, 2.5, -1, 0.004, 2]],
        counters={"rx": 9},
    )
    assert decode(encode(Levels(np.array([[7, -12]])))) == Levels([[7, -12]])
    none = np.column_stack([np.zeros(0, np.int64), np.zeros(0, np.int64)])
    assert decode(encode(Levels(none))) == Levels([])


def test_what_is_said_of_all_legs_fits_into_a_message() -> None:
    """With long numbers, and figures of all of them, as when a worker is asked seldom."""
    each = np.full(LEGS_MAX, 9_999_999)
    figures = (1e7, 0.996, 60_000.123, 60_000.123, 0.996, 1e7)
    late = np.full(LEGS_MAX, 2**63 - 1)
    said = Status(
        2**63 - 1,
        last_packet_ns=np.column_stack([each, late]),
        quality=np.column_stack([each, np.tile(figures, (LEGS_MAX, 1))]),
    )
    longest = max(len(encode(said)), len(encode(Levels(np.column_stack([each, -each % 90])))))
    assert longest < MESSAGE_BYTES_MAX


def test_further_payload_types_come_as_they_were_sent() -> None:
    also = ((101, "TELEPHONE-EVENT"), (8, "PCMA"))
    remote = SetRemote(7, "PCMU", 0, 100, 20, "192.0.2.1", 4_000, proven=True, also=also)
    assert decode(encode(remote)) == remote
    opened = OpenLeg(7, "192.0.2.1", 4_000, remote)
    assert decode(encode(opened)) == opened
    assert decode(encode(OpenLeg(7))) == OpenLeg(7)
