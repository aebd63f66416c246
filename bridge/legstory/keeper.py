"""The bridge's end of the leg stories: hands what happens to the diary, and diaries to the shelf.

A shell that decides nothing. A fault in here ends no leg: everything goes through the bridge's
guard.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from bridge.clock import ConferenceClock
from bridge.conference.api import ConferenceCommand, DialLeg, Fact, Notice
from bridge.config import Settings
from bridge.legstory.diary import Diary
from bridge.legstory.shelf import Shelf, shelf_file, taken_down
from bridge.legtable import LegTable
from bridge.link import FromWorker, Status, TalkChanged
from bridge.net.sip_udp import Tap
from bridge.sip.api import Address, SipNotice
from bridge.stepper import now_ns
from bridge.units import LegId, NowNs

Guard = Callable[[Callable[[], object]], None]


class Keeper:
    """Keeps the stories of one bridge's legs; without a shelf, the latest.

    Attributes:
        clock: conference time.
        sip_watcher: told of every SIP message too, when somebody watches.
    """

    def __init__(
        self, settings: Settings, clock: ConferenceClock, legs: LegTable, guard: Guard
    ) -> None:
        self.clock = clock
        self.sip_watcher: Tap | None = None
        self._diary = Diary(clock)
        self._legs = legs
        self._guard = guard
        self._file: Final = shelf_file(settings.store.outbox_url)
        legs_max = settings.diary.legs_max
        self._shelf = Shelf(self._file, legs_max) if legs_max else None

    def on_sip(self, data: bytes, peer: Address, sent: bool) -> None:
        """Take a message that came or was sent."""
        self._guard(lambda: self._diary.on_sip(data, peer, sent=sent, now_ns=now_ns()))
        if self.sip_watcher is not None:
            self.sip_watcher(data, peer, sent)

    def on_notice(self, notice: SipNotice) -> None:
        """Take what SIP says of a leg."""
        self._guard(lambda: self._diary.on_notice(notice, now_ns()))

    def on_news(self, item: Fact | Notice) -> None:
        """Take a fact once it is committed, or a notice."""
        self._diary.on_news(item, now_ns())

    def on_command(self, command: ConferenceCommand) -> None:
        """Take what is about to be carried out."""
        if isinstance(command, DialLeg):
            self._diary.dialling(command.leg)
        else:
            self._guard(lambda: self._diary.on_command(command, now_ns()))

    def on_worker(self, message: FromWorker) -> None:
        """Take who talks and how the media are; put what is over on the shelf."""
        if isinstance(message, TalkChanged):
            self._guard(lambda: self._on_talk(message))
        elif isinstance(message, Status):
            self._guard(lambda: self._on_status(message))

    def _on_talk(self, message: TalkChanged) -> None:
        talking, quiet = (
            [record.leg for number in numbers if (record := self._legs.by_number(number))]
            for numbers in (message.talking, message.quiet)
        )
        self._diary.on_talk(talking, quiet, now_ns())

    def _on_status(self, status: Status) -> None:
        now = now_ns()
        self._diary.on_status(status, self._leg_of, now)
        self._put_away(now)

    def _leg_of(self, number: int) -> LegId | None:
        record = self._legs.by_number(number)
        return record.leg if record else None

    def _put_away(self, now: NowNs, *, all_of_them: bool = False) -> None:
        records = self._diary.finished(now, all_of_them=all_of_them)
        if self._shelf is not None:
            self._shelf.put(records)

    async def record(self, leg: str) -> dict[str, Any] | None:
        """Return a leg's diary: from memory, else from the shelf; None when it is not kept."""
        found = self._diary.record(leg, now_ns())
        if found is None and self._shelf is not None:
            return await asyncio.to_thread(taken_down, self._file, leg)
        return found

    async def close(self) -> None:
        """Put every leg that is over on the shelf and wait for the disk."""
        self._guard(lambda: self._put_away(now_ns(), all_of_them=True))
        if self._shelf is not None:
            await asyncio.to_thread(self._shelf.close)
