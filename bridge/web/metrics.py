"""The Prometheus text of a bridge: what it counts anyway, under stable names.

Knows counters and the exposition format; knows no HTTP. Nothing in it names a person or a number.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from bridge.link import TICK_BUCKETS_MS, Status
from bridge.server import Bridge

MEDIA_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
TOTALS: Final = frozenset({"rx", "tx", "rtcp"})
"""Worker counters that are packets taken or sent."""

DROPS: Final = frozenset(
    {
        *("unknown_source", "short", "bad_version", "truncated", "payload_type", "late"),
        *("duplicate", "burst", "not_ready", "bad_event", "event_overflow", "lost"),
        *("recording_dropped", "send_failed", "unknown_leg"),
    }
)
"""Worker counters that are reasons of loss; what is neither is an event."""


class Family(NamedTuple):
    """A metric: its kind as Prometheus has it, what it says, and the labels of its series."""

    kind: str
    help: str
    labels: tuple[str, ...] = ()


FAMILIES: Final[Mapping[str, Family]] = {
    "legs": Family("gauge", "Legs that are not over, by kind and state.", ("kind", "state")),
    "sessions": Family("gauge", "Sessions that can be dialled into."),
    "tick_milliseconds": Family("gauge", "Time of a media tick in the last second.", ("stat",)),
    "ticks_total": Family("counter", "Media ticks since the worker started."),
    "late_ticks_total": Family("counter", "Media ticks that began late or not at all."),
    "worker_legs": Family("gauge", "Legs of each media worker.", ("worker",)),
    "workers_up": Family("gauge", "Media workers that run."),
    "worker_ends_total": Family("counter", "Media workers that died by themselves."),
    "packets_total": Family("counter", "RTP and RTCP packets taken and sent.", ("direction",)),
    "packets_dropped_total": Family("counter", "Packets and frames lost, by reason.", ("reason",)),
    "media_events_total": Family("counter", "What the media plane did, by name.", ("event",)),
    "tick_seconds": Family("histogram", "Time of a media tick since the start."),
    "sip_messages_total": Family(
        "counter", "SIP messages by direction and method.", ("direction", "method", "code")
    ),
    "sip_dropped_total": Family("counter", "SIP datagrams thrown away, by reason.", ("reason",)),
    "facts_total": Family("counter", "Facts committed since start, by type.", ("type",)),
    "outbox_depth": Family("gauge", "Facts that billing has not taken yet."),
    "facts_not_written_total": Family(
        "counter", "Facts that are in the log only: a fault of ours."
    ),
}


def text(bridge: Bridge, facts: Mapping[str, int], *, outbox_waiting: int) -> str:
    """Return everything that is measured now; `facts` are those committed since start, by type."""
    parts = [
        _legs(bridge),
        _media(bridge),
        _sip(bridge.sip_counters),
        _rest(bridge, facts, outbox_waiting),
    ]
    return "\n".join(line for part in parts for line in part) + "\n"


def _family(name: str) -> list[str]:
    family = FAMILIES[name]
    return [
        f"# HELP tollbridge_{name} {family.help}",
        f"# TYPE tollbridge_{name} {family.kind}",
    ]


def _value(name: str, value: float, **labels: str) -> str:
    shown = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
    return f"tollbridge_{name}{{{shown}}} {value}" if shown else f"tollbridge_{name} {value}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _legs(bridge: Bridge) -> Iterator[str]:
    yield from _family("legs")
    counts = Counter((view.kind.value, view.state.value) for view in bridge.roster())
    for (kind, state), count in sorted(counts.items()):
        yield _value("legs", count, kind=kind, state=state)
    yield from _family("sessions")
    yield _value("sessions", len(bridge.sessions()))


def _media(bridge: Bridge) -> Iterator[str]:
    status = bridge.status.worker
    yield from _family("tick_milliseconds")
    for quantile, value in sorted(status.tick_ms.items()):
        yield _value("tick_milliseconds", value, stat=quantile)
    yield from _tick_times(status)
    yield from _family("ticks_total")
    yield _value("ticks_total", status.ticks)
    yield from _family("late_ticks_total")
    yield _value("late_ticks_total", status.late_ticks)
    yield from _family("worker_legs")
    for worker, legs in enumerate(bridge.media.load):
        yield _value("worker_legs", legs, worker=str(worker))
    yield from _family("workers_up")
    yield _value("workers_up", sum(bridge.media.up))
    yield from _family("worker_ends_total")
    yield _value("worker_ends_total", bridge.media.ends)
    yield from _family("packets_total")
    for name in sorted(TOTALS & status.counters.keys()):
        yield _value("packets_total", status.counters[name], direction=name)
    yield from _family("packets_dropped_total")
    for name in sorted(DROPS & status.counters.keys()):
        yield _value("packets_dropped_total", status.counters[name], reason=name)
    yield from _family("media_events_total")
    for name in sorted(status.counters.keys() - TOTALS - DROPS):
        yield _value("media_events_total", status.counters[name], event=name)


def _tick_times(status: Status) -> Iterator[str]:
    """Yield the histogram of tick times, in seconds and cumulative, as Prometheus wants it."""
    yield from _family("tick_seconds")
    below = 0
    counts = status.tick_counts or [0] * (len(TICK_BUCKETS_MS) + 1)
    for bound, count in zip(TICK_BUCKETS_MS, counts, strict=False):
        below += count
        yield _value("tick_seconds_bucket", below, le=f"{bound / 1_000:g}")
    yield _value("tick_seconds_bucket", sum(counts), le="+Inf")
    yield _value("tick_seconds_sum", round(status.tick_sum_ms / 1_000, 6))
    yield _value("tick_seconds_count", sum(counts))


def _sip(counters: Mapping[str, int]) -> Iterator[str]:
    yield from _family("sip_messages_total")
    rest = []
    for name, count in sorted(counters.items()):
        way, _, what = name.partition(".")
        if way in ("in", "out"):
            label = "code" if what.isdigit() else "method"
            yield _value("sip_messages_total", count, direction=way, **{label: what})
        else:
            rest.append((name, count))
    yield from _family("sip_dropped_total")
    for name, count in rest:
        yield _value("sip_dropped_total", count, reason=name.removeprefix("drop."))


def _rest(bridge: Bridge, facts: Mapping[str, int], outbox_waiting: int) -> Iterator[str]:
    yield from _family("facts_total")
    for type_, count in sorted(facts.items()):
        yield _value("facts_total", count, type=type_)
    yield from _family("outbox_depth")
    yield _value("outbox_depth", outbox_waiting)
    yield from _family("facts_not_written_total")
    yield _value("facts_not_written_total", bridge.facts_not_written)
