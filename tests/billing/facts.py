"""Facts as a bridge writes them (docs/facts.md), made by hand for tests of billing alone."""

import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from billing.times import iso, parse_time_ms

Event = dict[str, Any]


def event(subject: str, n: int, what: str, at_ms: int, /, **data: Any) -> Event:
    """Return one fact."""
    return {
        "specversion": "1.0",
        "id": f"{subject}/{n}",
        "source": "/tollbridge/local",
        "type": what,
        "subject": subject,
        "time": iso(at_ms),
        "datacontenttype": "application/json",
        "data": data,
    }


@dataclass
class Story:
    """The facts of one occurrence; times are milliseconds after `begins`."""

    begins: str = "2026-02-10T14:00:00.000Z"
    session: str = "s1"
    account: str = "acme"
    occurrence: str = "s1.o1"
    extra: Event = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    _count: int = 0

    @property
    def place(self) -> Event:
        return {"session": self.session, "account": self.account, "occurrence": self.occurrence}

    def at(self, offset_ms: int) -> int:
        return parse_time_ms(self.begins) + offset_ms

    def leg(
        self,
        name: str,
        start_ms: int,
        end_ms: int,
        *,
        kind: str = "toll_free",
        country: str = "US",
        ani: str = "+12125550111",
        reason: str = "hung_up",
        let_in: bool = True,
        identified: bool = True,
        role: str = "participant",
        direction: str = "inbound",
    ) -> None:
        """Add a leg from its answer to its end."""
        place = self.place if identified or let_in else {}
        steps: list[tuple[str, int, Event]] = [
            (
                "leg.answered",
                start_ms,
                {
                    "kind": kind,
                    "country": "" if kind == "voip" else country,
                    "did": "" if kind == "voip" else "+18005550100",
                    "ani": ani,
                    "direction": direction,
                },
            )
        ]
        if place:
            steps.append(("leg.identified", start_ms, {**place, **self.extra}))
        if let_in:
            steps.append(("leg.waiting", start_ms, place))
            steps.append(("leg.joined", start_ms, {**place, "role": role}))
        none = dict.fromkeys(("session", "account", "occurrence"))
        left = {"reason": reason, "duration_ms": end_ms - start_ms, **(place or none)}
        steps.append(("leg.left", end_ms, left))
        for n, (what, offset, data) in enumerate(steps, start=1):
            self.events.append(event(name, n, what, self.at(offset), leg=name, **data))

    def fact(self, what: str, offset_ms: int, /, **data: Any) -> None:
        """Add a fact of the occurrence."""
        self._count += 1
        self.events.append(
            event(self.occurrence, self._count, what, self.at(offset_ms), **self.place, **data)
        )

    def organizer(self, offset_ms: int, leg: str = "leg-org") -> None:
        self.fact("organizer.joined", offset_ms, leg=leg)

    def started(self, offset_ms: int) -> None:
        self.fact("session.started", offset_ms, by="leg-org")

    def ended(self, offset_ms: int, *, reason: str = "organizer", started: bool = True) -> None:
        self.fact("session.ended", offset_ms, reason=reason, started=started)

    def cancelled(self, offset_ms: int) -> None:
        self.fact("session.cancelled", offset_ms, by="api")


def twice_in_any_order(events: Iterable[Event], seed: int) -> list[Event]:
    """Return each event twice, shuffled."""
    doubled = [*events, *events]
    random.Random(seed).shuffle(doubled)
    return doubled
