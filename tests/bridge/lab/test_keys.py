"""RFC 4733 keys, frame by frame."""

import struct

from bridge.lab.keys import KeySender


def frames_of(digits: str) -> list[tuple[int, bool, int, bool, int]]:
    """Return (event, end, duration, marker, ts_back) of each packet until all is sent."""
    sender = KeySender()
    sender.press(digits, 7)
    result = []
    while sender.busy:
        packet, _ = sender.next_frame()
        if packet is not None:
            event, flags, duration = struct.unpack("!BBH", packet.payload)
            result.append((event, bool(flags & 0x80), duration, packet.marker, packet.ts_back))
    return result


def test_a_key_grows_and_ends_three_times_at_one_timestamp() -> None:
    assert frames_of("#") == [
        (11, False, 160, True, 0),
        (11, False, 320, False, 160),
        (11, True, 480, False, 320),
        (11, True, 480, False, 480),
        (11, True, 480, False, 640),
    ]


def test_keys_follow_each_other_with_a_frame_of_voice_between() -> None:
    sender = KeySender()
    sender.press("12", 7)
    packets = [sender.next_frame() for _ in range(12)]
    assert [packet is None for packet, _ in packets] == [*[False] * 5, True, *[False] * 5, True]
    assert [order for _, order in packets] == [*[0] * 11, 7]
    assert not sender.busy


def test_all_sixteen_keys_have_their_event_numbers() -> None:
    events = [event for event, _, _, marker, _ in frames_of("0123456789*#ABCD") if marker]
    assert events == list(range(16))
