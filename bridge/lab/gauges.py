"""What the bridge counts, as Prometheus would read it, against what a story expects of it.

A counter is told since the story began: media workers are warm, and count on from one story to the
next. A gauge is told as it is.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from bridge.lab.source import suggestion
from bridge.lab.words import fault
from bridge.web.metrics import FAMILIES

PREFIX: Final = "tollbridge_"
_NAME: Final = re.compile(r'([a-z_]+)(?:\{((?:[a-z_]+="[^"]*",?)+)\})?')
_LABEL: Final = re.compile(r'([a-z_]+)="([^"]*)"')
_LINE: Final = re.compile(r"([a-z_]+)(?:\{(.*)\})? (\S+)")
_PARTS: Final = ("_bucket", "_sum", "_count")

Series = Mapping[tuple[str, frozenset[tuple[str, str]]], float]
"""Values by name and labels."""


class Wanted(NamedTuple):
    """A metric as a story names it: the sum of all series with these labels."""

    name: str
    labels: frozenset[tuple[str, str]]

    @classmethod
    def of(cls, text: str) -> "Wanted":
        """Return what `sip_messages_total{direction="in"}` means; the prefix may be left out."""
        match = _NAME.fullmatch(text)
        if not match:
            raise fault(f'{text!r} is no metric: write legs{{kind="voip"}}, in quotes', key=text)
        name = match[1].removeprefix(PREFIX)
        if name not in known_names():
            raise fault(f"unknown metric {name!r}{suggestion(name, known_names())}", key=text)
        labels = frozenset(_LABEL.findall(match[2] or ""))
        allowed = _labels_of(name)
        for label, _ in sorted(labels):
            if label not in allowed:
                near = suggestion(label, allowed)
                raise fault(f"{name} has no label {label!r}{near}", key=text)
        return cls(name, labels)


def _family(name: str) -> str:
    return next(
        (name.removesuffix(part) for part in _PARTS if name.removesuffix(part) in FAMILIES), name
    )


def _labels_of(name: str) -> tuple[str, ...]:
    labels = FAMILIES[_family(name)].labels
    return (*labels, "le") if name.endswith("_bucket") else labels


def known_names() -> list[str]:
    """Return every metric that a story may name."""
    return [name for family in FAMILIES for name in _names(family)]


def _names(family: str) -> Iterator[str]:
    if FAMILIES[family].kind == "histogram":
        yield from (family + part for part in _PARTS)
    else:
        yield family


def read_metrics(value: Any) -> Any:
    """Refuse names that no metric has; values are ranges."""
    if not isinstance(value, dict) or not value:
        raise fault('write metrics: {facts_total{type="leg.joined"}: 2}, the name in quotes')
    for name in value:
        Wanted.of(str(name))
    return value


def parsed(text: str) -> Series:
    """Return the values of a Prometheus text."""
    found = {}
    for line in text.splitlines():
        match = None if line.startswith("#") else _LINE.fullmatch(line)
        if match:
            labels = frozenset(_LABEL.findall(match[2] or ""))
            found[match[1].removeprefix(PREFIX), labels] = float(match[3])
    return found


def value_of(wanted: Wanted, before: Series, now: Series) -> float:
    """Return a metric's value: of a counter, what it has grown since `before`."""
    if FAMILIES[_family(wanted.name)].kind == "gauge":
        return _sum(wanted, now)
    return _sum(wanted, now) - _sum(wanted, before)


def _sum(wanted: Wanted, series: Series) -> float:
    fits = ((name, labels) for name, labels in series if name == wanted.name)
    return sum(series[key] for key in fits if wanted.labels <= key[1])


def shown_parts(wanted: Wanted, before: Series, now: Series) -> str:
    """Return the series that a metric is the sum of, as far as they are not 0."""
    names = {labels for name, labels in now if name == wanted.name and wanted.labels <= labels}
    parts = []
    for labels in sorted(names, key=sorted):
        value = value_of(Wanted(wanted.name, labels), before, now)
        if value:
            text = ",".join(f'{key}="{one}"' for key, one in sorted(labels))
            parts.append(f"{{{text}}} {value:g}")
    return ", ".join(parts)
