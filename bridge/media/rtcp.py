"""RTCP of all legs (RFC 3550 §6): reports to send and reports that came; knows no sockets.

Every leg gets a report each five seconds, an SR while the bridge sends to it and an RR while it
does not, with the SDES item that §6.1 demands. Legs take turns, so that a turn is a small batch.
The times in reports are of the wall clock and come in as arguments.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bridge.media import reception
from bridge.media.outgoing import Outgoing
from bridge.media.reception import Reception
from bridge.media.rtp import Counters, Packets
from bridge.media.shape import FRAME, HEADER_AT, LEGS_MAX
from bridge.media.sources import Sources
from bridge.units import NS_PER_MS, NS_PER_S

TURN_TICKS: Final = 25
"""Ticks between turns: 500 ms. A turn takes nearly as long for few legs as for a hundred."""

TURNS: Final = 10
"""Turns until every leg has had its own: 5 s (RFC 3550 §6.2)."""

TURN_LEGS_MAX: Final = LEGS_MAX // TURNS + 1

REPORT_BYTES_MAX: Final = 88
"""An SR with one block and its SDES."""

SUBPACKETS_MAX: Final = 8
"""Packets of a compound one; a longer compound is counted as bad."""

BLOCKS_MAX: Final = 31
CNAME_BYTES: Final = 24

_SR, _RR, _SDES, _APP = 200, 201, 202, 204
_SDES_BYTES = 36
_NTP_EPOCH_S = 2_208_988_800  # 1970 counted from 1900
_RTT_MAX = 10 << 16
_HEX: Final = np.frombuffer(b"0123456789abcdef", np.uint8)


@dataclass(slots=True)
class Reports:
    """What reports said: row i of every array is leg slot i; L = leg slots.

    Attributes:
        token: (16,) uint8, this worker's part of every CNAME.
        reported: (L,) uint32, packets sent at the leg's last report.
        sr_stamp: (L,) uint32, middle of the last SR's NTP time; 0 before one has come.
        sr_ns: (L,) int64, wall clock when it came.
        near_fraction: (L,) uint8, loss of what the leg sends, in 1/256, by our last block.
        rtt_ns: (L,) int64, round trip by the last report block; -1 before one has come.
        far_fraction: (L,) uint8, loss the other side sees, in 1/256, by its last block.
        far_lost, far_jitter: (L,) int64, packets and samples, by the same block.
    """

    token: NDArray[np.uint8]
    reported: NDArray[np.uint32]
    sr_stamp: NDArray[np.uint32]
    sr_ns: NDArray[np.int64]
    near_fraction: NDArray[np.uint8]
    rtt_ns: NDArray[np.int64]
    far_fraction: NDArray[np.uint8]
    far_lost: NDArray[np.int64]
    far_jitter: NDArray[np.int64]

    @classmethod
    def of(cls, legs_max: int, token: bytes = b"0" * 16) -> "Reports":
        """Return idle rows; `token`, 16 ASCII bytes, should be random (RFC 7022)."""
        assert len(token) == CNAME_BYTES - 8
        return cls(
            token=np.frombuffer(token, np.uint8),
            reported=np.zeros(legs_max, np.uint32),
            sr_stamp=np.zeros(legs_max, np.uint32),
            sr_ns=np.zeros(legs_max, np.int64),
            near_fraction=np.zeros(legs_max, np.uint8),
            rtt_ns=np.full(legs_max, -1, np.int64),
            far_fraction=np.zeros(legs_max, np.uint8),
            far_lost=np.zeros(legs_max, np.int64),
            far_jitter=np.zeros(legs_max, np.int64),
        )

    def open_leg(self, slot: int) -> None:
        """Make a row idle."""
        self.reported[slot] = self.sr_stamp[slot] = self.sr_ns[slot] = 0
        self.rtt_ns[slot] = -1
        self.near_fraction[slot] = self.far_fraction[slot] = self.far_lost[slot] = self.far_jitter[
            slot
        ] = 0


class Written(NamedTuple):
    """Reports to be sent: row i of the data is of leg `legs[i]`.

    Attributes:
        legs: (n,) int64, slots, by local port.
        length: (n,) int64, bytes.
        dest: (n,) uint64, where they go.
        ports: (port index, first row, rows) of each local port.
    """

    legs: NDArray[np.int64]
    length: NDArray[np.int64]
    dest: NDArray[np.uint64]
    ports: list[tuple[int, int, int]]


def due(tick: int, count: int) -> NDArray[np.int64]:
    """Return the slots below `count` whose turn it is; none but every `TURN_TICKS`."""
    turn, rest = divmod(tick, TURN_TICKS)
    return np.arange(turn % TURNS if rest == 0 else count, count, TURNS)


def neighbour(source: NDArray[np.uint64], step: int) -> NDArray[np.uint64]:
    """Return addresses whose ports are `step` further: RTCP's from RTP's, or back.

    See `sources.source_of` for how an address lies in the number.
    """
    port = (source >> np.uint64(16) & np.uint64(255)) << np.uint64(8)
    port |= source >> np.uint64(24) & np.uint64(255)
    moved = port.astype(np.int64) + step & 0xFFFF
    swapped = ((moved & 255) << 8 | moved >> 8).astype(np.uint64) << np.uint64(16)
    return np.asarray(source & ~np.uint64(0xFFFF_0000) | swapped)


def ntp(wall_ns: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Return wall-clock times as NTP timestamps, 32 bits of seconds and 32 of fraction."""
    seconds, rest = np.divmod(wall_ns, NS_PER_S)
    fraction = (rest.astype(np.uint64) << np.uint64(32)) // np.uint64(NS_PER_S)
    whole = (seconds + _NTP_EPOCH_S & 0xFFFF_FFFF).astype(np.uint64)
    return np.asarray(whole << np.uint64(32) | fraction)


# --- out ----------------------------------------------------------------------------------


def write(
    state: Reports,
    legs: NDArray[np.int64],
    out: Outgoing,
    received: Reception,
    *,
    wall_ns: int,
    data: NDArray[np.uint8],
) -> NDArray[np.int64]:
    """Write a compound report of each leg into the rows of `data`; return their lengths.

    `data`, (N, REPORT_BYTES_MAX) uint8, N at least the legs. `wall_ns`: when the tick began
    that has just run.
    """
    sends = out.sent[legs] != state.reported[legs]
    state.reported[legs] = out.sent[legs]
    heard = received.started[legs]
    length = np.zeros(len(legs), np.int64)
    for sender in (False, True):
        for block in (False, True):
            rows = np.flatnonzero((sends == sender) & (heard == block))
            if not len(rows):
                continue
            words = np.zeros((len(rows), REPORT_BYTES_MAX // 4), np.uint32)
            which = legs[rows]
            at = _sender_words(words, which, out, wall_ns) if sender else 2
            words[:, 0] = (0x80 | block) << 24 | (_SR if sender else _RR) << 16
            words[:, 0] |= at + 6 * block - 1
            words[:, 1] = out.ssrc[which].byteswap()
            if block:
                _block(words[:, at : at + 6], state, which, received, wall_ns)
                words[:, at + 3] *= out.rate[which]  # jitter is told on the leg's own clock
            end = at + 6 * block
            _sdes(words[:, end : end + _SDES_BYTES // 4], state, out.ssrc[which])
            data[rows] = words.byteswap().view(np.uint8)
            length[rows] = 4 * end + _SDES_BYTES
    return length


def _sender_words(
    words: NDArray[np.uint32], legs: NDArray[np.int64], out: Outgoing, wall_ns: int
) -> int:
    """Write sender information (§6.4.1); return the words up to its end."""
    now = int(ntp(np.array([wall_ns]))[0])
    words[:, 2], words[:, 3] = now >> 32, now & 0xFFFF_FFFF
    words[:, 4] = (
        out.ts[legs] - np.uint32(FRAME) * out.rate[legs]
    )  # of the frame that has just been sent
    words[:, 5], words[:, 6] = out.sent[legs], out.octets[legs]
    return 7


def _block(
    words: NDArray[np.uint32],
    state: Reports,
    legs: NDArray[np.int64],
    received: Reception,
    wall_ns: int,
) -> None:
    """Write a report block on what each leg sends (§6.4.1)."""
    seen = reception.look(received, legs)
    state.near_fraction[legs] = seen.fraction
    words[:, 0] = received.ssrc[legs].byteswap()
    words[:, 1] = seen.fraction << 24 | seen.lost & 0xFF_FFFF
    words[:, 2], words[:, 3] = seen.highest, seen.jitter
    stamp = state.sr_stamp[legs]
    since = np.maximum(wall_ns - state.sr_ns[legs], 0) // NS_PER_MS
    words[:, 4] = stamp
    words[:, 5] = np.where(stamp != 0, (since << 16) // 1_000 & 0xFFFF_FFFF, 0)


def _sdes(words: NDArray[np.uint32], state: Reports, ssrc: NDArray[np.uint32]) -> None:
    """Write a source description with a CNAME (§6.5.1)."""
    item = np.zeros((len(ssrc), _SDES_BYTES - 8), np.uint8)
    item[:, 0], item[:, 1] = 1, CNAME_BYTES
    item[:, 2:18] = state.token
    octets = ssrc.view(np.uint8).reshape(-1, 4)
    item[:, 18 : 2 + CNAME_BYTES : 2] = _HEX[octets >> 4]
    item[:, 19 : 2 + CNAME_BYTES : 2] = _HEX[octets & 15]
    words[:, 0] = 0x81 << 24 | _SDES << 16 | _SDES_BYTES // 4 - 1
    words[:, 1] = ssrc.byteswap()
    words[:, 2:] = item.view(">u4")


# --- in -----------------------------------------------------------------------------------


def take(
    state: Reports,
    packets: Packets,
    sources: Sources,
    out: Outgoing,
    received: Reception,
    *,
    latched: NDArray[np.uint64],
    counters: Counters,
) -> None:
    """Take in compound packets: when the last SR came, and what blocks say of our streams.

    A leg is known by its RTP address with the next port up, else by the SSRC of its stream and
    its host. `latched`, (L,) uint64: the RTP source of each leg, 0 before.
    """
    counters.add("rtcp", len(packets.length))
    start, sound = _walk(packets)
    slot = _legs_of(packets, sources, received, latched)
    counters.add("rtcp_bad", np.count_nonzero(~sound))
    counters.add("rtcp_unknown", np.count_nonzero(sound & (slot < 0)))
    assert packets.stamp is not None, "RTCP is nothing without the time it came"
    came_ns = packets.arrived(0)
    for turn in range(SUBPACKETS_MAX):
        rows = np.flatnonzero(sound & (slot >= 0) & (start[:, turn] >= 0))
        if not len(rows):
            break
        at = start[rows, turn]
        kind = packets.data[rows, at + 1]
        size = 4 * (_word(packets, rows, at) & 0xFFFF) + 4
        legs, arrived = slot[rows], came_ns[rows]
        report = (kind == _SR) & (size >= 28)
        state.sr_stamp[legs[report]] = _middle(packets, rows[report], at[report])
        state.sr_ns[legs[report]] = arrived[report]
        first = np.where(report, 28, 8)
        blocks = (packets.data[rows, at] & 31).astype(np.int64)
        blocks = np.where(report | (kind == _RR), np.minimum(blocks, (size - first) // 24), 0)
        for number in range(BLOCKS_MAX):
            has = np.flatnonzero(blocks > number)
            if not len(has):
                break
            where = at[has] + first[has] + 24 * number
            _take_block(state, packets, rows[has], where, legs[has], arrived[has], out)


def _word(packets: Packets, rows: NDArray[np.int64], at: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the 32-bit numbers at bytes `at` of rows."""
    octets = packets.data[rows[:, None], at[:, None] + np.arange(4)]
    return np.asarray(octets.copy().view(">u4")[:, 0].astype(np.int64))


def _middle(packets: Packets, rows: NDArray[np.int64], at: NDArray[np.int64]) -> NDArray[np.uint32]:
    """Return the middle 32 bits of the NTP times of SRs."""
    return _word(packets, rows, at + 10).astype(np.uint32)


def _walk(packets: Packets) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return where each packet of each compound starts, -1 for none, and which are sound.

    Sound as RFC 3550 A.2 has it: an SR or RR first, without padding, all of version 2, and the
    lengths add up to the datagram's.
    """
    count = len(packets.length)
    rows = np.arange(count)
    end = HEADER_AT + packets.length.astype(np.int64)
    start = np.full((count, SUBPACKETS_MAX), -1)
    sound = (packets.length >= 8) & (end <= packets.data.shape[1])
    at = np.full(count, HEADER_AT)
    first = packets.data[:, HEADER_AT]
    sound &= first >> 5 == 4  # version 2, no padding
    for turn in range(SUBPACKETS_MAX):
        going = sound & (at + 4 <= end)
        here = np.where(going, at, HEADER_AT)
        kind = packets.data[rows, here + 1]
        right = packets.data[rows, here] >> 6 == 2
        right &= (kind == _SR) | (kind == _RR) if turn == 0 else (kind >= _SR) & (kind <= _APP + 3)
        sound &= ~going | right
        start[going & right, turn] = at[going & right]
        at = np.where(going, at + 4 * (_word(packets, rows, here) & 0xFFFF) + 4, at)
    return start, sound & (at == end)


def _legs_of(
    packets: Packets, sources: Sources, received: Reception, latched: NDArray[np.uint64]
) -> NDArray[np.int64]:
    """Return the slot of each compound's sender, -1 when it is no leg's."""
    slot = sources.find(packets.port, neighbour(packets.source, -1))
    strange = np.flatnonzero(slot < 0)
    legs = np.flatnonzero(received.started & (latched != 0))
    if not len(strange) or not len(legs):
        return slot
    ssrc = packets.data.view(np.uint32)[strange, HEADER_AT // 4 + 1]
    order = legs[np.argsort(received.ssrc[legs], kind="stable")]
    at = np.searchsorted(received.ssrc[order], ssrc)
    found = order[np.minimum(at, len(order) - 1)]
    host = np.uint64(32)
    own = (received.ssrc[found] == ssrc) & (
        latched[found] >> host == packets.source[strange] >> host
    )
    slot[strange[own]] = found[own]
    return slot


def _take_block(
    state: Reports,
    packets: Packets,
    rows: NDArray[np.int64],
    at: NDArray[np.int64],
    legs: NDArray[np.int64],
    arrived: NDArray[np.int64],
    out: Outgoing,
) -> None:
    """Take in one report block of each row, if it is about the stream sent to that leg."""
    ours = _word(packets, rows, at).astype(np.uint32).byteswap() == out.ssrc[legs]
    rows, at, legs, arrived = rows[ours], at[ours], legs[ours], arrived[ours]
    loss = _word(packets, rows, at + 4)
    state.far_fraction[legs] = loss >> 24
    state.far_lost[legs] = (loss & 0xFF_FFFF ^ 0x80_0000) - 0x80_0000
    state.far_jitter[legs] = _word(packets, rows, at + 12)
    stamp, delay = _word(packets, rows, at + 16), _word(packets, rows, at + 20)
    now = (ntp(arrived) >> np.uint64(16)).astype(np.uint32).astype(np.int64)
    trip = (now - stamp - delay).astype(np.uint32).view(np.int32).astype(np.int64)
    known = (stamp != 0) & (trip < _RTT_MAX)
    state.rtt_ns[legs[known]] = np.maximum(trip[known], 0) * NS_PER_S >> 16
