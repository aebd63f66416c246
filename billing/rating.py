"""Pricing settled seconds by a rate card (R8, D9); pure: same usage and card, same charges.

Order matters only where a month has included minutes or tiers: usage burns them in the order of
its start, then of its leg's name. A line is rounded once.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from billing.cards import Card, Rate
from billing.money import RATE_SECONDS, plain_text, rounded


class Priced(NamedTuple):
    """What one part of a leg costs, with its working."""

    amount_micros: int
    included_seconds: int
    rate: str
    working: str


@dataclass(slots=True)
class MonthMeter:
    """What an account has used of its included minutes and tiers in one month.

    Attributes:
        included: seconds taken from the included minutes, by contract and kind.
        used: charged seconds, by contract, kind and rate row.
        texts: workings seen before: most legs repeat one.
    """

    included: dict[tuple[str, str], int] = field(default_factory=dict)
    used: dict[tuple[str, str, str], int] = field(default_factory=dict)
    texts: dict[tuple[str, str, str, int, bool, int], Priced] = field(default_factory=dict)

    def price(self, card: Card, kind: str, key: str, *, seconds: int, first: bool) -> Priced:
        """Price the billed seconds of one part; `first` parts carry the connect fee."""
        rate = card.rates[kind][key]
        if not rate.tiers and kind not in card.included_s:
            seen = (card.contract, kind, key, seconds, first, rate.micros)
            priced = self.texts.get(seen)
            if priced is None:
                priced = _priced(card, rate, [(seconds, rate.micros)], included=0, first=first)
                self.texts[seen] = priced
            return priced
        free = self._take_included(card, kind, seconds)
        slices = self._slices(card, kind, key, seconds - free)
        return _priced(card, rate, slices, included=free, first=first and seconds > 0)

    def _take_included(self, card: Card, kind: str, seconds: int) -> int:
        allowance = (card.contract, kind)
        taken = self.included.get(allowance, 0)
        free = min(max(card.included_s.get(kind, 0) - taken, 0), seconds)
        self.included[allowance] = taken + free
        return free

    def _slices(self, card: Card, kind: str, key: str, seconds: int) -> list[tuple[int, int]]:
        """Cut seconds at the tiers' marks: (seconds, micros a minute) of each slice."""
        rate = card.rates[kind][key]
        meter = (card.contract, kind, key)
        at = self.used.get(meter, 0)
        end = at + seconds
        self.used[meter] = end
        slices: list[tuple[int, int]] = []
        bounds = [(0, rate.micros), *rate.tiers]
        for index, (mark, micros) in enumerate(bounds):
            stop = bounds[index + 1][0] if index + 1 < len(bounds) else end
            span = min(end, max(stop, at)) - max(at, mark)
            if span > 0:
                slices.append((span, micros))
        return slices or [(0, rate.micros)]


def _priced(
    card: Card, rate: Rate, slices: list[tuple[int, int]], *, included: int, first: bool
) -> Priced:
    fee = rate.connect_fee if first and (included or any(s for s, _ in slices)) else 0
    exact = sum(seconds * micros for seconds, micros in slices) + fee * RATE_SECONDS
    steps = [f"{seconds} s x {plain_text(micros)}/min" for seconds, micros in slices]
    if included:
        steps.insert(0, f"{included} s included")
    if fee:
        steps.append(f"connect fee {plain_text(fee)}")
    shown = " / ".join(dict.fromkeys(plain_text(micros) for _, micros in slices))
    return Priced(rounded(exact, card.unit), included, shown, " + ".join(steps))
