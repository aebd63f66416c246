"""`advance`: moves a story's conference clock by a time, or to a moment that it works out (D19)."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from bridge.conference.api import LegState
from bridge.lab.callers import Caller
from bridge.lab.doing import StepFailed
from bridge.lab.host import Host
from bridge.lab.steps import AdvanceStep
from bridge.lab.times import month_end, show_duration
from bridge.lab.words import FACT_TYPES
from bridge.units import MS_PER_S, ConfMs

DEADLINES_MAX: Final = 10_000


@dataclass(frozen=True, slots=True)
class Clockwork:
    """The clock of one story.

    Attributes:
        keyed_at: conference time of each caller's last key: his waiting time counts from there.
    """

    host: Host
    callers: Mapping[str, Sequence[Caller]]
    keyed_at: Mapping[str, ConfMs]

    async def advance(self, step: AdvanceStep) -> None:
        """Move conference time by a span, or to a moment."""
        if not step.to:
            await self.go_to(ConfMs(self.host.now() + step.by_ms))
        elif step.to == "month-end":
            await self.go_to(month_end(self.host.now(), self.host.time_zone))
        elif step.to in FACT_TYPES:
            await self._go_until(step.to, None)
        else:
            name, _, what = step.to.partition(".")
            if what in {"warning", "timeout"}:
                await self.go_to(self._waiting_moment(name, what))
            else:
                await self._go_until(f"leg.{what}", self.callers[name][0])

    async def go_to(self, target: ConfMs) -> None:
        """Move conference time to `target`, or wait for it when it runs by itself."""
        if self.host.clock_running:
            await asyncio.sleep(max(target - self.host.now(), 0) / MS_PER_S)
        else:
            await self.host.bridge.advance_to(target)

    def _waiting_moment(self, name: str, what: str) -> ConfMs:
        """Return when a waiting caller is warned or sent away (D1)."""
        view = self.host.view_of(self.callers[name][0].number)
        if view is None or view.waiting_since is None or view.state is not LegState.WAITING:
            raise StepFailed(f"{name} does not wait: no {what} will come")
        settings = self.host.settings.waiting_room
        since = view.waiting_since
        if settings.keys_count:
            since = max(since, self.keyed_at.get(name, since))
        ahead_s = settings.timeout_s - (settings.warning_s if what == "warning" else 0)
        moment = ConfMs(since + round(ahead_s * MS_PER_S))
        if (late_ms := self.host.now() - moment) > 0 and not self.host.clock_running:
            raise StepFailed(f"{name}'s {what} was {show_duration(late_ms)} ago")
        return moment

    async def _go_until(self, fact_type: str, caller: Caller | None) -> None:
        """Go from deadline to deadline until a new fact of this type is there."""
        before = len(self.host.facts)
        # bound: a story that still waits after this many timers waits for what never comes
        for _ in range(DEADLINES_MAX):
            leg = self.host.leg_of(caller.number) if caller else None
            new = self.host.facts[before:]
            meant = [f for f in new if caller is None or f.subject == leg]
            if any(fact.type == fact_type for fact in meant):
                return
            deadline = self.host.bridge.next_deadline_conf()
            if deadline is None:
                break
            await self.go_to(max(deadline, self.host.now()))
        raise StepFailed(f"{fact_type} does not come: no timer is left to bring it")
