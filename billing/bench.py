"""`tollbridge bench billing`: how long facts, settlement and invoices of many legs take.

Knows the façade, and for the times of its phases nothing else. Facts are made by a rule and not
by chance, and written to a file of JSON lines first; reading that file is part of taking them in.
"""

import resource
import time
from collections.abc import Iterator
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from billing.config import AccountConfig, ContractConfig
from billing.facade import Billing
from billing.times import DAY_MS, iso, parse_time_ms

LEGS_PER_OCCURRENCE: Final = 20
LEGS_PER_ACCOUNT: Final = 1_000
MONTH: Final = "2026-02"
SPREAD_DAYS: Final = 26
_SCRAMBLE: Final = 2_654_435_761
"""Knuth's multiplier: leg ids come in no order, as a bridge's do."""

_EVENT: Final = (
    '{{"specversion":"1.0","id":"{subject}/{n}","source":"/tollbridge/bench","type":"{what}",'
    '"subject":"{subject}","time":"{at}","datacontenttype":"application/json","data":{{{data}}}}}'
)


def facts(legs: int) -> Iterator[str]:
    """Yield the facts of that many legs as JSON text: three a leg, three an occurrence."""
    begin = parse_time_ms(f"{MONTH}-02T00:00:00Z")
    accounts = accounts_of(legs)
    occurrences = legs // LEGS_PER_OCCURRENCE
    for number in range(occurrences):
        at = begin + number * SPREAD_DAYS * DAY_MS // occurrences
        account = f"acct{number % accounts:05d}"
        occurrence = f"s{number % 9_973}.{number:07x}"
        place = f'"session":"s{number % 9_973}","account":"{account}","occurrence":"{occurrence}"'
        yield _event(occurrence, 1, "organizer.joined", at, f'{place},"leg":"leg-org"')
        yield _event(occurrence, 2, "session.started", at, f'{place},"by":"leg-org"')
        for index in range(LEGS_PER_OCCURRENCE):
            yield from _leg(number * LEGS_PER_OCCURRENCE + index, at, place)
        end = f'{place},"reason":"organizer","started":true'
        yield _event(occurrence, 3, "session.ended", at + 7_200_000, end)


def _leg(number: int, at: int, place: str) -> Iterator[str]:
    leg = f"leg-{(number * _SCRAMBLE) % 2**40:010x}"
    kind, country = ("toll_free", "US") if number % 5 else ("voip", "")
    duration = 61_000 + number * 977 % 3_600_000
    answered = (
        f'"leg":"{leg}","kind":"{kind}","country":"{country}","did":"+18005550100",'
        f'"ani":"+1212555{number % 10_000:04d}","direction":"inbound"'
    )
    yield _event(leg, 1, "leg.answered", at, answered)
    yield _event(leg, 2, "leg.joined", at + 9_000, f'"leg":"{leg}",{place},"role":"participant"')
    left = f'"leg":"{leg}",{place},"reason":"hung_up","duration_ms":{duration}'
    yield _event(leg, 3, "leg.left", at + duration, left)


def _event(subject: str, n: int, what: str, at: int, data: str) -> str:
    return _EVENT.format(subject=subject, n=n, what=what, at=iso(at), data=data)


def accounts_of(legs: int) -> int:
    """Return how many accounts share that many legs."""
    return max(legs // LEGS_PER_ACCOUNT, 1)


SMALL_LEGS: Final = 10_000
"""What growth is measured against."""


def run(legs: int = 1_000_000, *, directory: Path | None = None) -> dict[str, Any]:
    """Take in, settle and invoice that many legs on SQLite; return counts and times.

    `_ms` are milliseconds of wall clock, `_cpu_ms` of this process on its one core. `make_ms` is
    the writing of the file, which is no part of the other times.
    """
    legs = max(legs // LEGS_PER_OCCURRENCE, 1) * LEGS_PER_OCCURRENCE
    with TemporaryDirectory(dir=directory) as place:
        path, lines = Path(place) / "bench.db", Path(place) / "facts.ndjson"
        clock = _Clock()
        with lines.open("w", encoding="ascii") as file:
            file.writelines(text + "\n" for text in facts(legs))
        found: dict[str, Any] = {"legs": legs} | clock.lap("make")
        with Billing(f"sqlite:///{path}", bulk=True) as billing:
            found |= _measured(billing, legs, lines)
        found["database_mb"] = path.stat().st_size // 1_000_000
    found["memory_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1_000
    return found


def growth(legs: int, *, directory: Path | None = None) -> dict[str, Any]:
    """Measure 10,000 legs as well; return both and what a leg of the many costs relative to one.

    The few take a second, so they are measured three times before and three times after the many,
    each in its own process, and the median counts: what else the machine does hits both alike.
    """
    some = [_apart(SMALL_LEGS, directory) for _ in range(3)]
    many = _apart(legs, directory)
    some += [_apart(SMALL_LEGS, directory) for _ in range(3)]
    few = sorted(some, key=lambda found: int(found["cpu_ns_per_leg"]))[len(some) // 2]
    percent = many["cpu_ns_per_leg"] * 100 // few["cpu_ns_per_leg"]
    return {"few": few, "many": many, "growth": f"{percent // 100}.{percent % 100:02d}"}


def _apart(legs: int, directory: Path | None) -> dict[str, Any]:
    """Measure in a process of its own, so that no run finds memory or caches of another."""
    with get_context("spawn").Pool(1) as pool:
        return pool.apply(run, (legs,), {"directory": directory})


def _measured(billing: Billing, legs: int, lines: Path) -> dict[str, Any]:
    names = [f"acct{number:05d}" for number in range(accounts_of(legs))]
    billing.configure(
        [ContractConfig(id="c1", currency="USD", toll_free={"US": "0.06"})],
        [AccountConfig(id=name, contract="c1", time_zone="America/New_York") for name in names],
    )
    clock = _Clock()
    with lines.open("rb") as file:
        report = billing.ingest_lines(file)
    found: dict[str, Any] = {"facts": report.accepted, "accounts": len(names)} | clock.lap("ingest")
    settled = billing.settle()
    found |= clock.lap("settle")
    total = sum(i.total_micros for name in names for i in billing.finalize(name, MONTH))
    found |= clock.lap("invoice")
    assert report.problems == 0, report
    assert settled == legs, settled
    with lines.open("rb") as file:
        again = billing.ingest_lines(file)
    found |= clock.lap("ingest_again")
    changed = billing.settle()
    assert again.accepted == changed == 0, (again, changed)
    found |= clock.lap("settle_again")
    spent = sum(found[f"{phase}_cpu_ms"] for phase in ("ingest", "settle", "invoice"))
    return found | {"total_micros": total, "cpu_ns_per_leg": spent * 1_000_000 // legs}


class _Clock:
    """Wall and CPU time since the last lap."""

    def __init__(self) -> None:
        self._wall_ns = time.perf_counter_ns()
        self._cpu_ns = time.process_time_ns()

    def lap(self, phase: str) -> dict[str, int]:
        """Return the times of the phase that ends now."""
        wall_ns, cpu_ns = time.perf_counter_ns(), time.process_time_ns()
        found = {
            f"{phase}_ms": (wall_ns - self._wall_ns) // 1_000_000,
            f"{phase}_cpu_ms": (cpu_ns - self._cpu_ns) // 1_000_000,
        }
        self._wall_ns, self._cpu_ns = wall_ns, cpu_ns
        return found
