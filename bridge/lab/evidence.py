"""What a story leaves to look at: packets, sound, who was where, what each leg cost.

A `Witness` watches one run. What it saw becomes files and a page for a story that failed, or for
every story where that is asked for; of the others it forgets all. Judges nothing.
"""

import asyncio
import glob
import json
import re
import shutil
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from bridge.lab.bridge_watch import BridgeWatch, caller_in, callers_of
from bridge.lab.callers import Caller
from bridge.lab.capture import Address, Capture, Packet
from bridge.lab.hearing import Listened
from bridge.lab.host import Host
from bridge.lab.pcap import Datagram, write_pcapng
from bridge.lab.phones import Phone
from bridge.lab.pjsip_callers import PjsipCaller
from bridge.lab.rtp import RtpEngine
from bridge.lab.tracks import Track, tracks_of, write_wav
from bridge.lab.verdicts import StoryResult
from bridge.legstory.axis import Axis
from bridge.legstory.build import Story as LegStory
from bridge.legstory.build import leg_story
from bridge.legstory.explain import explanations_of
from bridge.legstory.sipline import SipLine, line_of
from bridge.units import NS_PER_MS, NS_PER_S

PCAP: Final = "packets.pcapng"
PAGE: Final = "report.html"
STORIES_MAX: Final = 40
"""Legs of a story whose own stories are told; a crowd has hundreds."""

SAME_NAME_MAX: Final = 10_000
NOT_IN_NAMES: Final = re.compile(r"[^\w.-]+")


@dataclass(frozen=True, slots=True)
class Keeping:
    """What is kept of runs, and where.

    Attributes:
        folder: a folder for each kept story is made in it; without one nothing is kept.
        everything: also of stories that held.
        pages: a page is wanted of every story, also of those of which nothing is kept.
    """

    folder: Path | None
    everything: bool = False
    pages: bool = False


@dataclass(frozen=True, slots=True)
class Done:
    """One step of a story: when it began and ended, and conference time then."""

    line: int
    text: str
    from_ns: int
    to_ns: int


@dataclass(frozen=True, slots=True)
class SipSeen:
    """One SIP message at a caller's phone."""

    name: str
    at_ns: int
    conf_ms: int | None
    sent: bool
    line: SipLine


@dataclass(slots=True)
class Evidence:
    """All that a report shows of one run beside its verdicts.

    Attributes:
        axis: conference time of the whole story; None against a bridge that is not ours.
        legs: leg stories, each with the `name` of its caller and the monotonic `begun_ns`.
        tracks: what each caller sent (True) and received (False); empty when nothing was kept.
        files: what was written, by what it is.
        left_out: packets that had no room; `lost` says which others are not there, and why.
    """

    began_ns: int
    axis: Axis | None = None
    begin_ms: int = 0
    steps: Sequence[Done] = ()
    listened: Sequence[Listened] = ()
    sip: Sequence[SipSeen] = ()
    legs: Sequence[LegStory] = ()
    legs_left_out: int = 0
    invoices: Sequence[dict[str, Any]] = ()
    tracks: dict[tuple[str, bool], Track] = field(default_factory=dict)
    files: dict[str, Path] = field(default_factory=dict)
    left_out: int = 0
    lost: str = ""


class Witness:
    """Watches one run of a story; without `keeping` it looks at nothing."""

    def __init__(self, engine: RtpEngine, keeping: Keeping | None, result: StoryResult) -> None:
        self._engine = engine
        self._keeping = keeping
        self._result = result
        self._sip = Capture()
        self._phones: set[Address] = set()
        self._at_bridge: BridgeWatch | None = None
        self._steps: list[Done] = []
        self._evidence = Evidence(result.began_ns)

    async def begin(self) -> None:
        """Have the callers' packets kept from now on."""
        if self._keeping is not None:
            self._sip.begin()
            await self._engine.begin_capture()

    def watch(self, phone: Phone) -> None:
        """Keep a phone's SIP too."""
        if self._keeping is not None:
            phone.watcher = self._sip.add
            self._phones.add((phone.address.host, phone.address.port))

    def watch_bridge(self, host: Host) -> None:
        """Keep the RTP that the bridge itself sees: a caller's phone owns its sockets."""
        if self._keeping is not None and self._at_bridge is None:
            self._at_bridge = BridgeWatch(host)
            self._at_bridge.begin()

    def step(self, line: int, text: str, from_ns: int) -> None:
        """Know that a step is done."""
        self._steps.append(Done(line, text, from_ns, time.monotonic_ns()))

    @property
    def shows_all(self) -> bool:
        """Whether runs that hold are shown, too, with all that was heard."""
        keeping = self._keeping
        return keeping is not None and (keeping.pages or keeping.everything)

    @property
    def wanted(self) -> bool:
        """Whether this run's evidence is wanted, as its verdicts stand."""
        keeping = self._keeping
        return keeping is not None and (keeping.pages or self._kept)

    @property
    def _kept(self) -> bool:
        keeping = self._keeping
        if keeping is None or keeping.folder is None:
            return False
        return keeping.everything or not self._result.ok

    async def ask(self, host: Host, callers: Iterable[Caller]) -> None:
        """Ask a bridge that is still up for what it knows of the legs, and for the bill."""
        callers = list(callers)
        if self._at_bridge is not None:
            ports = {(one.phone.address.host, port) for one in callers for port in one.ports}
            seen_at = {one.local for one in sip_of_others(callers)}
            await self._at_bridge.end(self._phones | seen_at | ports, wanted=self._kept)
        if not self.wanted:
            return
        evidence, clock = self._evidence, host.bridge.stories.clock
        now = time.monotonic_ns()
        moves = clock.moves(self._result.began_ns, now)
        since = [((at - self._result.began_ns) / NS_PER_MS, conf) for at, conf in moves]
        end = ((now - self._result.began_ns) / NS_PER_MS, int(host.now()))
        evidence.axis = Axis.of(since, running=clock.running, end=end)
        evidence.begin_ms = moves[0][1]
        names = {caller.number.lstrip("+"): caller.name for caller in callers}
        legs = [fact for fact in host.facts if fact.type == "leg.answered"]
        evidence.legs_left_out = max(len(legs) - STORIES_MAX, 0)
        stories = []
        told = [fact.subject for fact in legs[:STORIES_MAX]]
        explained = await asyncio.to_thread(explanations_of, host.settings, told)
        for fact in legs[:STORIES_MAX]:
            record = await host.bridge.stories.record(fact.subject)
            story = leg_story(fact.subject, record, explained.get(fact.subject))
            ani = str(fact.data["ani"]).lstrip("+") or "anonymous"
            story["name"] = names.get(ani) or str(story["who"])
            story["begun_ns"] = record["begun_ns"] if record else self._result.began_ns
            stories.append(story)
        evidence.legs = stories
        documents = [json.loads(one.to_json()) for one in await host.invoices()]
        evidence.invoices = [one for one in documents if one["lines"] or one["free"]]

    async def close(
        self, callers: Sequence[Caller], listened: Sequence[Listened], clock: Any = None
    ) -> None:
        """End the capture; write what is kept, and the page where one is wanted."""
        if self._keeping is None:
            return
        packets, left_out = await self._engine.end_capture(wanted=self._kept)
        sip, sip_left_out = self._sip.take()
        if not self.wanted:
            return
        of_others = sip_of_others(callers)
        sip = sorted([*sip, *of_others], key=_at)
        whose = {port: caller.name for caller in callers for port in caller.ports}
        if (seen := self._at_bridge) is not None:
            whose |= callers_of([*of_others, *seen.sip], callers)
            packets, sip = [*packets, *seen.rtp], sorted([*sip, *seen.sip], key=_at)
            left_out, self._evidence.lost = left_out + seen.left_out, seen.lost
        evidence, result = self._evidence, self._result
        result.seconds = result.seconds or (time.monotonic_ns() - result.began_ns) / NS_PER_S
        evidence.steps, evidence.listened = self._steps, listened
        evidence.sip = [_seen(one, callers, clock) for one in sip]
        evidence.left_out = left_out + sip_left_out
        if self._kept:
            await asyncio.to_thread(self._write, [*sip, *packets], packets, whose)
        from bridge.lab.report_page import card, report  # drawing is paid for only where wanted

        result.page = str(await asyncio.to_thread(card, result, evidence))
        if self._kept:
            page = Path(result.folder) / PAGE
            text = report([result], beside=page.parent)
            await asyncio.to_thread(page.write_text, text, encoding="utf-8")
            result.files = (*(str(one) for one in evidence.files.values()), str(page))

    def _write(self, everything: list[Packet], rtp: list[Packet], whose: dict[int, str]) -> None:
        assert self._keeping is not None, "nothing is kept without"
        assert self._keeping.folder is not None, "nor without a folder"
        evidence, began = self._evidence, self._result.began_ns
        folder = _new_folder(self._keeping.folder, self._result.story.file)
        self._result.folder = str(folder)
        evidence.tracks = tracks_of(rtp, whose, began_ns=began)
        for (name, sent), track in evidence.tracks.items():
            way = "sent" if sent else "received"
            file = folder / f"{name.replace('/', '_')}.{way}.wav"
            write_wav(file, track)
            evidence.files[f"{name} {way}"] = file
        wall = time.time_ns() - time.monotonic_ns()
        file = folder / PCAP
        story = self._result.story
        write_pcapng(
            file,
            (_datagram(one, wall) for one in sorted(everything, key=_at)),
            comment=f"{story.file}: {story.scenario}",
        )
        evidence.files["packets"] = file


def sip_of_others(callers: Iterable[Caller]) -> list[Packet]:
    """Return the SIP that phones of another make tell of."""
    return [one for caller in callers if isinstance(caller, PjsipCaller) for one in caller.messages]


def _at(packet: Packet) -> int:
    return packet.at_ns


def _datagram(packet: Packet, wall_ns: int) -> Datagram:
    ends = (packet.local, packet.remote) if packet.sent else (packet.remote, packet.local)
    return Datagram(packet.at_ns + wall_ns, *ends, packet.payload)


def _seen(packet: Packet, callers: Sequence[Caller], clock: Any) -> SipSeen:
    mine = [caller for caller in callers if tuple(caller.phone.address) == tuple(packet.local)]
    conf = clock.at(packet.at_ns) if clock is not None else None
    shown = caller_in(packet, mine or callers) or (mine[0].name if mine else "?")
    return SipSeen(shown, packet.at_ns, conf, packet.sent, line_of(packet.payload))


def folder_name(file: Path) -> str:
    """Return what a story's folder is called: its own folder and file; a test's by its name.

    >>> folder_name(Path("scenarios/audio/two.yaml"))
    'audio-two'
    >>> folder_name(Path("tests/test_calls.py::test_two[PCMU]"))
    'tests-test_calls-test_two-PCMU'
    """
    test = "::" in file.name
    name = NOT_IN_NAMES.sub("-", file.name.replace(".py::", "-")) if test else file.stem
    return f"{file.absolute().parent.name}-{name.strip('-')}"


def _new_folder(where: Path, file: Path) -> Path:
    """Make a folder of this run; a story that runs often gets several."""
    for number in range(1, SAME_NAME_MAX):
        folder = where / (folder_name(file) + (f".{number}" if number > 1 else ""))
        with suppress(FileExistsError):
            folder.mkdir(parents=True)
            return folder
    raise FileExistsError(f"{where}: {SAME_NAME_MAX} runs of {folder_name(file)}")


def clear(where: Path, files: Iterable[Path]) -> None:
    """Remove what earlier runs of these stories and tests left; nothing else is touched."""
    for name in {glob.escape(folder_name(file)) for file in files}:
        for folder in (*where.glob(name), *where.glob(f"{name}.[0-9]*")):
            if (folder / PAGE).is_file() or (folder / PCAP).is_file():
                shutil.rmtree(folder)
