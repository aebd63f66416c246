"""What one leg's outcome is and which parts it is billed in (D5, D7, D8); pure, knows no store.

The result is a function of the leg's facts, its occurrence's facts and the configuration, and of
nothing else; so settling again, or after facts came in another order, gives the same.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from billing.cards import Book, Segment, Timeline
from billing.fold import clash_text
from billing.jurisdiction import jurisdiction_of
from billing.quantity import billed_seconds, growth
from billing.times import months_of
from billing.words import (
    BILLABLE,
    CALL_ME,
    CARRIER_BILLED,
    INCLUDED,
    NEVER_STARTED,
    NOT_ACCEPTED,
    NOT_ADMITTED,
    NOT_ANSWERED,
    TOLL,
    VOIP,
)


class Leg(NamedTuple):
    """One leg as its facts tell it, and what matters of its occurrence."""

    no: int
    version: int
    hold: str | None
    kind: str | None
    country: str | None
    did: str | None
    ani: str | None
    direction: str | None
    answered_ms: int | None
    left_ms: int
    duration_ms: int
    left_reason: str
    account: str | None
    occurrence: str | None
    let_in: int
    first_ms: int
    facts: int
    n_max: int
    clash: int
    organizer: int | None
    occurrence_account: str | None
    occurrence_facts: int | None
    occurrence_n_max: int | None
    occurrence_clash: int | None


class Part(NamedTuple):
    """One settled part of a leg: one line of an invoice, or none when it is free."""

    part: int
    account: str
    month: int
    currency: str
    product: str
    seller: str
    contract: str
    rate_key: str
    jurisdiction: str
    from_ms: int
    to_ms: int
    billable_seconds: int
    billed_seconds: int
    increment: str
    reason: str


class Held(NamedTuple):
    """A leg that cannot be charged as it stands, and why."""

    reason: str
    detail: str


_REFUSED_AFTER_ACCEPTING: Final = frozenset(
    {"wrong_code", "no_code", "not_offered", "locked", "full"}
)


def settle(leg: Leg, book: Book) -> list[Part] | Held:
    """Decide what a leg whose outcome is final is charged for."""
    held = _fault(leg)
    if held:
        return held
    if leg.answered_ms is None:
        return _unanswered(leg)
    reason = outcome(leg)
    if leg.account is None:
        return [_nobodys(leg, leg.answered_ms, reason)]
    timeline = book.timelines.get(leg.account)
    segment = timeline.at(leg.answered_ms) if timeline else None
    if timeline is None or segment is None:
        known = "has no contract yet at that time" if timeline else "is not configured"
        return Held("unknown_account", f"account {leg.account!r} {known}")
    if reason == BILLABLE:
        return _charged(leg, leg.answered_ms, timeline, book)
    month = months_of(segment.account.time_zone).month(leg.answered_ms)
    end_ms = leg.answered_ms + leg.duration_ms
    whole = leg.duration_ms // 1_000
    return [
        Part(
            1,
            leg.account,
            month,
            segment.card.currency,
            segment.product,
            segment.seller,
            segment.card.contract,
            "",
            "",
            leg.answered_ms,
            end_ms,
            whole,
            0,
            segment.card.increment,
            reason,
        )
    ]


def outcome(leg: Leg) -> str:
    """Return why a leg is charged or not: the first line of D5 that fits."""
    if not leg.let_in:
        if leg.kind == CALL_ME and leg.left_reason not in _REFUSED_AFTER_ACCEPTING:
            return NOT_ACCEPTED
        return NOT_ADMITTED
    if not leg.organizer:
        return NEVER_STARTED
    if leg.kind == TOLL:
        return CARRIER_BILLED
    if leg.kind == VOIP:
        return INCLUDED
    return BILLABLE


def _fault(leg: Leg) -> Held | None:
    """Find what makes a leg's facts unfit to be charged by."""
    clash = leg.clash | (leg.occurrence_clash or 0)
    if clash:
        return Held("contradictory_facts", clash_text(clash))
    if leg.facts != leg.n_max:
        return Held("missing_facts", f"{leg.facts} of at least {leg.n_max} facts of the leg came")
    if leg.occurrence_facts != leg.occurrence_n_max:
        return Held(
            "missing_facts",
            f"{leg.occurrence_facts} of at least {leg.occurrence_n_max} facts of occurrence "
            f"{leg.occurrence!r} came",
        )
    if leg.occurrence_account is not None and leg.occurrence_account != leg.account:
        return Held(
            "contradictory_facts",
            f"account {leg.account!r} in an occurrence of {leg.occurrence_account!r}",
        )
    if leg.let_in and leg.account is None:
        return Held("contradictory_facts", "let in without an account")
    if leg.answered_ms is not None:
        if leg.left_ms < leg.answered_ms:
            return Held("ends_before_it_begins", f"left {leg.answered_ms - leg.left_ms} ms before")
        if leg.first_ms < leg.answered_ms:
            return Held("clock_went_back", "a fact of the leg is older than its answer")
        if leg.duration_ms > leg.left_ms - leg.answered_ms:
            return Held(
                "longer_than_its_times",
                f"{leg.duration_ms} ms within {leg.left_ms - leg.answered_ms} ms",
            )
    return None


def _unanswered(leg: Leg) -> list[Part] | Held:
    """Settle a Call Me leg that rang in vain: it left, and never was answered (D11)."""
    if leg.duration_ms or leg.let_in:
        return Held("contradictory_facts", "a leg that was never answered has a duration")
    return [_nobodys(leg, leg.left_ms, NOT_ANSWERED)]


def _nobodys(leg: Leg, from_ms: int, reason: str) -> Part:
    whole = leg.duration_ms // 1_000
    month = months_of("UTC").month(from_ms)
    end_ms = from_ms + leg.duration_ms
    return Part(1, "", month, "", "", "", "", "", "", from_ms, end_ms, whole, 0, "", reason)


def _charged(leg: Leg, answered_ms: int, timeline: Timeline, book: Book) -> list[Part] | Held:
    """Split a charged leg at month ends and changes, each part with its growth (D8)."""
    end_ms = answered_ms + leg.duration_ms
    opening = timeline.at(answered_ms)
    assert opening is not None, "the caller looked it up"
    card = opening.card  # the increments at the answer hold for the whole leg
    months = months_of(opening.account.time_zone)
    starts = [answered_ms, *timeline.cuts(months, answered_ms, end_ms)]
    if len(starts) == 1:
        whole = leg.duration_ms // 1_000
        billed = billed_seconds(whole, minimum_s=card.minimum_s, increment_s=card.increment_s)
        spans = [(whole, billed)]
    else:
        marks = [*(start - answered_ms for start in starts), leg.duration_ms]
        spans = growth(marks, minimum_s=card.minimum_s, increment_s=card.increment_s)
        while len(spans) > 1 and spans[0][1] == 0:  # under a second before a cut: no own line
            del starts[0], spans[0]
    number = (leg.did if leg.direction == "inbound" else leg.ani) or ""
    where = jurisdiction_of(leg.ani or "", leg.country or "", book.settings.bridge_state)
    stops = [*starts[1:], end_ms]
    parts: list[Part] = []
    for index, (billable, billed) in enumerate(spans):
        segment = opening if starts[index] == answered_ms else timeline.at(starts[index])
        assert segment is not None, "segments do not end"
        key = segment.card.rate_key(leg.kind or "", leg.country or "", number)
        if key is None:
            return _no_rate(leg, segment)
        parts.append(
            Part(
                index + 1,
                leg.account or "",
                months.month(starts[index]),
                segment.card.currency,
                segment.product,
                segment.seller,
                segment.card.contract,
                key,
                where,
                starts[index] if index else answered_ms,
                stops[index],
                billable,
                billed,
                card.increment,
                BILLABLE,
            )
        )
    return parts


def _no_rate(leg: Leg, segment: Segment) -> Held:
    contract = segment.card.contract
    return Held("no_rate", f"contract {contract!r} has no {leg.kind} rate for {leg.country!r}")


def parts_as_rows(leg_no: int, version: int, parts: list[Part]) -> list[tuple[Any, ...]]:
    """Return parts as rows of `billing_usage`, live."""
    return [(leg_no, part.part, version, 1, *part[1:]) for part in parts]


USAGE_COLUMNS: Final = ("leg_no", "part", "version", "live", *Part._fields[1:])

QUANTITIES: Final[Mapping[str, int]] = {
    name: USAGE_COLUMNS.index(name) for name in ("billable_seconds", "billed_seconds")
}
"""Where a reversal has its signs turned."""
