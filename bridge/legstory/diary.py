"""What the bridge sees of each leg while it lasts: SIP, media, talk, prompts, and when.

It is told everything and decides nothing; times are arguments. Everything is bounded: a leg that
lasts for days keeps its first messages and its last. A leg that is over is handed out once, as
plain values, for the shelf.
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from bridge.clock import ConferenceClock
from bridge.conference.api import Fact, Notice, PlayPrompts
from bridge.legstory.sipline import SipLine, call_id_of, line_of, opens_call
from bridge.legstory.talks import Talks
from bridge.link import Status
from bridge.sip.api import (
    CallAnswered,
    CallConfirmed,
    CallEnded,
    CallIncoming,
    CallMedia,
    RemoteMedia,
    SipNotice,
)
from bridge.units import NS_PER_MS, NS_PER_S, LegId, NowNs

VERSION: Final = 1
SIP_FIRST: Final = 20
SIP_LAST: Final = 44
"""Messages kept of a leg: those that opened it, and the latest."""

STRANGERS_MAX: Final = 256
"""Calls whose messages came and whose leg is not known (yet)."""

STRANGER_MESSAGES_MAX: Final = 8
SAMPLES_MAX: Final = 720
"""Reports of a leg's media kept: an hour of one in five seconds; then every other one goes."""

MARKS_MAX: Final = 200
LINGER_NS: Final = 2 * NS_PER_S
"""How long after its end a leg's last messages may come: the answer to a BYE."""

FINISHED_MAX: Final = 300
"""Legs handed out at once: many that end together must not hold the loop."""

RECENT_MAX: Final = 200
"""Legs that are over and still at hand without the disk."""

MEETINGS_MAX: Final = 1_000
"""Occurrences whose own facts are dated."""

Record = dict[str, Any]
"""A diary as plain values: JSON holds it. Times in it are milliseconds since its beginning."""


class _Message(NamedTuple):
    at_ns: NowNs
    sent: bool
    peer: str
    line: SipLine


@dataclass(slots=True)
class _Ladder:
    """The messages of one call: the first and the last, and how many lay between."""

    first: list[_Message] = field(default_factory=list)
    last: deque[_Message] = field(default_factory=lambda: deque(maxlen=SIP_LAST))
    left_out: int = 0

    def add(self, message: _Message) -> None:
        if len(self.first) < SIP_FIRST:
            self.first.append(message)
            return
        self.left_out += len(self.last) == SIP_LAST
        self.last.append(message)

    def __iter__(self) -> Iterator[_Message]:
        yield from self.first
        yield from self.last


@dataclass(slots=True)
class _Entry:
    """One leg that is not over, or only just."""

    leg: LegId
    call_id: str
    begun_ns: NowNs
    ladder: _Ladder
    inbound: bool
    about: dict[str, str] = field(default_factory=dict)
    media: list[tuple[NowNs, RemoteMedia, bool]] = field(default_factory=list)
    samples: list[tuple[NowNs, list[float]]] = field(default_factory=list)
    marks: list[tuple[NowNs, str, str]] = field(default_factory=list)
    facts: dict[str, NowNs] = field(default_factory=dict)
    occurrence: str = ""
    end: str = ""
    ended_ns: NowNs | None = None
    rtp_ns: NowNs | None = None


class Diary:
    """Every leg's diary on one bridge."""

    def __init__(self, clock: ConferenceClock) -> None:
        self._clock = clock
        self._entries: dict[LegId, _Entry] = {}
        self._by_call: dict[str, _Entry] = {}
        self._strangers: OrderedDict[str, _Ladder] = OrderedDict()
        self._ended: deque[LegId] = deque()
        self._recent: OrderedDict[LegId, Record] = OrderedDict()
        self._dialling: LegId | None = None
        self._meetings: OrderedDict[str, dict[str, NowNs]] = OrderedDict()
        self.talks = Talks()

    # --- SIP ------------------------------------------------------------------------------

    def on_sip(self, data: bytes, peer: tuple[str, int], *, sent: bool, now_ns: NowNs) -> None:
        """Take one message that was sent or came; whose it is is told by its Call-ID."""
        call_id = call_id_of(data)
        if not call_id:
            return
        message = _Message(now_ns, sent, f"{peer[0]}:{peer[1]}", line_of(data))
        entry = self._by_call.get(call_id)
        if entry is None and self._dialling and sent and opens_call(data):
            entry = self._open(self._dialling, call_id, _Ladder(), now_ns, inbound=False)
            self._dialling = None
        if entry is not None:
            entry.ladder.add(message)
            return
        ladder = self._strangers.setdefault(call_id, _Ladder())
        self._strangers.move_to_end(call_id)
        if len(ladder.first) < STRANGER_MESSAGES_MAX:
            ladder.add(message)
        while len(self._strangers) > STRANGERS_MAX:
            self._strangers.popitem(last=False)

    def dialling(self, leg: LegId) -> None:
        """Know that the next INVITE that is sent is this leg's."""
        self._dialling = leg

    def on_notice(self, notice: SipNotice, now_ns: NowNs) -> None:
        """Take what SIP says of a leg."""
        match notice:
            case CallIncoming(leg=leg, call_id=call_id):
                ladder = self._strangers.pop(call_id, None) or _Ladder()
                begun = next((one.at_ns for one in ladder), now_ns)
                entry = self._open(leg, call_id, ladder, begun, inbound=True)
                entry.about = {
                    "number": notice.asserted or notice.authenticated or notice.from_user,
                    "name": notice.from_display,
                    "dialled": notice.user,
                    "from": f"{notice.source.host}:{notice.source.port}",
                }
                if notice.remote:
                    entry.media.append((now_ns, notice.remote, False))
            case CallConfirmed(leg, remote, proven) | CallMedia(leg, remote, proven):
                self._on_media(leg, remote, now_ns, proven=proven)
            case CallAnswered(leg, remote):
                self._on_media(leg, remote, now_ns, proven=True)
            case CallEnded(leg, cause, status):
                self._over(leg, cause.value + (f" {status}" if status else ""), now_ns)
            case _:
                pass

    def _open(
        self, leg: LegId, call_id: str, ladder: _Ladder, now_ns: NowNs, *, inbound: bool
    ) -> _Entry:
        entry = self._entries.get(leg)
        if entry is None:
            entry = self._entries[leg] = _Entry(leg, call_id, now_ns, ladder, inbound)
        else:  # Call Me dials a leg again that was busy: its story goes on
            if entry.ended_ns is not None:
                self._ended.remove(leg)
            self._by_call.pop(entry.call_id, None)
            entry.call_id, entry.end, entry.ended_ns = call_id, "", None
        self._by_call[call_id] = entry
        return entry

    def _on_media(self, leg: LegId, remote: RemoteMedia, now_ns: NowNs, *, proven: bool) -> None:
        entry = self._entries.get(leg)
        if entry and len(entry.media) < MARKS_MAX:
            entry.media.append((now_ns, remote, proven))

    def _over(self, leg: LegId, how: str, now_ns: NowNs) -> None:
        entry = self._entries.get(leg)
        if entry and entry.ended_ns is None:
            entry.end, entry.ended_ns = how, now_ns
            self._ended.append(leg)

    # --- the conference and the worker ------------------------------------------------------

    def on_news(self, item: Fact | Notice, now_ns: NowNs) -> None:
        """Take a fact once it is committed, or a notice."""
        if isinstance(item, Fact):
            self._on_fact(item, now_ns)
        elif item.leg is not None:
            self._mark(item.leg, now_ns, item.type, str(item.data.get("by") or ""))

    def _on_fact(self, fact: Fact, now_ns: NowNs) -> None:
        leg = LegId(str(fact.data.get("leg") or ""))
        if not fact.type.startswith("leg."):
            self._meetings.setdefault(fact.subject, {})[fact.id] = now_ns
            if len(self._meetings) > MEETINGS_MAX:
                self._meetings.popitem(last=False)
        entry = self._entries.get(leg)
        if entry is None:
            return
        entry.facts[fact.id] = now_ns
        entry.occurrence = str(fact.data.get("occurrence") or entry.occurrence)
        if fact.type == "leg.joined":
            self.talks.join(str(fact.data["occurrence"]), leg, now_ns)
        elif fact.type == "leg.left":
            self.talks.leave(leg, now_ns)

    def on_command(self, command: object, now_ns: NowNs) -> None:
        """Take what the conference has played to a leg."""
        if isinstance(command, PlayPrompts):
            shown = " ".join(command.prompts)
            self._mark(
                command.leg, now_ns, "plays", f"{shown} again and again" * command.loop or shown
            )

    def on_talk(self, talking: Iterable[LegId], quiet: Iterable[LegId], now_ns: NowNs) -> None:
        """Take who began to talk and who stopped."""
        self.talks.change(talking, quiet, now_ns)

    def on_status(
        self, status: Status, leg_of: Callable[[int], LegId | None], now_ns: NowNs
    ) -> None:
        """Take the worker's figures; `leg_of` tells whose a number is."""
        for number, last_ns in status.last_packet_ns:
            if entry := self._entries.get(leg_of(number) or LegId("")):
                entry.rtp_ns = NowNs(last_ns)
        for number, *figures in status.quality:
            if entry := self._entries.get(leg_of(int(number)) or LegId("")):
                entry.samples.append((now_ns, figures))
                if len(entry.samples) > SAMPLES_MAX:
                    del entry.samples[::2]

    def _mark(self, leg: LegId, now_ns: NowNs, what: str, text: str) -> None:
        entry = self._entries.get(leg)
        if entry and len(entry.marks) < MARKS_MAX:
            entry.marks.append((now_ns, what, text))

    # --- out --------------------------------------------------------------------------------

    def finished(self, now_ns: NowNs, *, all_of_them: bool = False) -> list[Record]:
        """Return the diaries of legs that are over, each once; the rest the next time."""
        done: list[Record] = []
        while self._ended and (all_of_them or len(done) < FINISHED_MAX):
            entry = self._entries[self._ended[0]]
            assert entry.ended_ns is not None, "it is in the queue because it ended"
            if not all_of_them and now_ns - entry.ended_ns < LINGER_NS:
                break
            self._ended.popleft()
            record = self._record(entry, entry.ended_ns)
            del self._entries[entry.leg]
            self._by_call.pop(entry.call_id, None)
            self.talks.forget(entry.leg)
            self._recent[entry.leg] = record
            done.append(record)
        while len(self._recent) > RECENT_MAX:
            self._recent.popitem(last=False)
        return done

    def record(self, leg: str, now_ns: NowNs) -> Record | None:
        """Return a leg's diary as far as it goes; None when it is on the shelf or unknown."""
        entry = self._entries.get(LegId(leg))
        if entry is not None:
            return self._record(entry, entry.ended_ns or now_ns)
        return self._recent.get(LegId(leg))

    def _record(self, entry: _Entry, end_ns: NowNs) -> Record:
        begun = entry.begun_ns
        end_ns = max(end_ns, *(one.at_ns for one in entry.ladder), begun)

        def ms(at_ns: int) -> float:
            return round((at_ns - begun) / NS_PER_MS, 1)

        return {
            "version": VERSION,
            "leg": entry.leg,
            "begun_ns": begun,
            "inbound": entry.inbound,
            "about": entry.about,
            "clock": {
                "running": self._clock.running,
                "moves": [[ms(at), conf] for at, conf in self._clock.moves(begun, end_ns)],
                "end": [ms(end_ns), self._clock.at(end_ns)],
            },
            "over": entry.end,
            "sip": [
                [ms(one.at_ns), self._clock.at(one.at_ns), one.sent, one.peer, *one.line]
                for one in entry.ladder
            ],
            "sip_left_out": entry.ladder.left_out,
            "media": [
                [ms(at), self._clock.at(at), *_media(one, proven)]
                for at, one, proven in entry.media
            ],
            "marks": [[ms(at), self._clock.at(at), what, text] for at, what, text in entry.marks],
            "facts": {name: ms(at) for name, at in self._facts_of(entry).items()},
            "quality": [[ms(at), self._clock.at(at), *figures] for at, figures in entry.samples],
            "rtp_last": None if entry.rtp_ns is None else ms(entry.rtp_ns),
            "talk": [self._span(one, ms) for one in self.talks.of(entry.leg, end_ns)],
            "heard": [
                [other, self._name(other), [self._span(one, ms) for one in spans]]
                for other, spans in self.talks.heard_by(entry.leg, end_ns).items()
            ],
        }

    def _facts_of(self, entry: _Entry) -> dict[str, NowNs]:
        return {**self._meetings.get(entry.occurrence, {}), **entry.facts}

    def _name(self, leg: LegId) -> str:
        entry, recent = self._entries.get(leg), self._recent.get(leg)
        about: dict[str, str] = entry.about if entry else recent["about"] if recent else {}
        return about.get("name") or about.get("number") or leg

    def _span(self, span: tuple[NowNs, NowNs], ms: Callable[[int], float]) -> list[float]:
        return [ms(span[0]), self._clock.at(span[0]), ms(span[1]), self._clock.at(span[1])]


def _media(remote: RemoteMedia, proven: bool) -> tuple[str, str, bool, bool, bool]:
    host, port = remote.address or ("", 0)
    where = f"{host}:{port}" if host else ""
    return remote.codec.name, where, remote.remote_sends, remote.remote_hears, proven
