"""Folding facts into what they say together of one leg or occurrence; knows no store.

The fold does not depend on the order of the facts, and adding folds of two batches is the same as
folding both at once; so facts may come in any order. Two facts that cannot both be true set a bit
of `clash`, and the leg is set aside instead of being charged.
"""

from typing import Any, Final, Generic, TypeVar

from billing.events import (
    ANSWERED,
    CANCELLED,
    ENDED,
    JOINED,
    LEFT,
    ORGANIZER,
    STARTED,
    WAITING,
    Fact,
)

ANSWERED_TWICE: Final = 1
LEFT_TWICE: Final = 2
MOVED: Final = 4
ID_REUSED: Final = 8
CLASHES: Final = {
    ANSWERED_TWICE: "answered twice",
    LEFT_TWICE: "left twice",
    MOVED: "named with different sessions, accounts or occurrences",
    ID_REUSED: "the same fact came with different content",
}

LEG_COLUMNS: Final = (
    "kind",
    "country",
    "did",
    "ani",
    "direction",
    "answered_ms",
    "left_ms",
    "duration_ms",
    "left_reason",
    "session",
    "account",
    "occurrence",
    "name",
    "charge_code",
    "role",
    "let_in",
    "first_ms",
    "facts",
    "n_max",
    "clash",
)
(
    _KIND,
    _COUNTRY,
    _DID,
    _ANI,
    _DIRECTION,
    _ANSWERED_MS,
    _LEFT_MS,
    _DURATION_MS,
    _LEFT_REASON,
    _SESSION,
    _ACCOUNT,
    _OCCURRENCE,
    _NAME,
    _CHARGE_CODE,
    _ROLE,
    _LET_IN,
    _FIRST_MS,
    _FACTS,
    _N_MAX,
    _CLASH,
) = range(len(LEG_COLUMNS))

OCCURRENCE_COLUMNS: Final = (
    "session",
    "account",
    "charge_code",
    "organizer",
    "started_ms",
    "ended_ms",
    "facts",
    "n_max",
    "clash",
)

_EMPTY_LEG: Final[tuple[Any, ...]] = (*[None] * _LET_IN, 0, None, 0, 0, 0)
_EMPTY_OCCURRENCE: Final[tuple[Any, ...]] = (None, None, None, 0, None, None, 0, 0, 0)


_Source = TypeVar("_Source", int, str)


class Folds(Generic[_Source]):
    """What one batch of facts says: by (source, leg) and by (source, occurrence).

    A source is its name, or its number in the store.
    """

    def __init__(self) -> None:
        self.legs: dict[tuple[_Source, str], list[Any]] = {}
        self.occurrences: dict[tuple[_Source, str], list[Any]] = {}

    def add(self, source: _Source, fact: Fact) -> None:
        """Fold one fact that is new to the store."""
        key = (source, fact.subject)
        if fact.type <= LEFT:
            leg = self.legs.get(key)
            if leg is None:
                leg = self.legs[key] = list(_EMPTY_LEG)
            _fold_leg(leg, fact)
        else:
            occurrence = self.occurrences.get(key)
            if occurrence is None:
                occurrence = self.occurrences[key] = list(_EMPTY_OCCURRENCE)
            _fold_occurrence(occurrence, fact)

    def count(self, source: _Source, fact: Fact) -> None:
        """Count a fact that came and does not hold, so that it is not missing."""
        key = (source, fact.subject)
        if fact.type <= LEFT:
            fold, place = self.legs.setdefault(key, list(_EMPTY_LEG)), _FACTS
        else:
            fold, place = self.occurrences.setdefault(key, list(_EMPTY_OCCURRENCE)), 6
        fold[place] += 1
        fold[place + 1] = max(fold[place + 1], fact.n)

    def reused(self, source: _Source, fact: Fact) -> None:
        """Note that a stored fact came again with different content."""
        key = (source, fact.subject)
        if fact.type <= LEFT:
            self.legs.setdefault(key, list(_EMPTY_LEG))[_CLASH] |= ID_REUSED
        else:
            self.occurrences.setdefault(key, list(_EMPTY_OCCURRENCE))[8] |= ID_REUSED


def _fold_leg(leg: list[Any], fact: Fact) -> None:
    _, _, kind, time_ms, n, _, data, _, _ = fact
    leg[_FACTS] += 1
    if n > leg[_N_MAX]:
        leg[_N_MAX] = n
    if leg[_FIRST_MS] is None or time_ms < leg[_FIRST_MS]:
        leg[_FIRST_MS] = time_ms
    if kind == ANSWERED:
        if leg[_ANSWERED_MS] is not None:
            leg[_CLASH] |= ANSWERED_TWICE
        leg[_KIND] = data["kind"]
        leg[_COUNTRY] = data["country"]
        leg[_DID] = data["did"]
        leg[_ANI] = data["ani"]
        leg[_DIRECTION] = data["direction"]
        leg[_ANSWERED_MS] = time_ms
    else:
        if kind == LEFT:
            if leg[_LEFT_MS] is not None:
                leg[_CLASH] |= LEFT_TWICE
            leg[_LEFT_MS] = time_ms
            leg[_DURATION_MS] = data["duration_ms"]
            leg[_LEFT_REASON] = data["reason"]
        elif kind in (WAITING, JOINED):
            leg[_LET_IN] = 1
            if kind == JOINED:
                leg[_ROLE] = _smaller(leg[_ROLE], data["role"])  # organizer first
        place = [data.get("session"), data.get("account"), data.get("occurrence")]
        if leg[_SESSION : _OCCURRENCE + 1] != place:
            _fold_place(leg, place)
    if "name" in data:
        leg[_NAME] = _larger(leg[_NAME], data["name"])
    if "charge_code" in data:
        leg[_CHARGE_CODE] = _larger(leg[_CHARGE_CODE], data["charge_code"])


def _fold_place(leg: list[Any], place: list[str | None]) -> None:
    """Fold session, account and occurrence; a fact that does not know one says nothing of it."""
    for column, value in enumerate(place, start=_SESSION):
        if value is None:
            continue
        known = leg[column]
        if known is None:
            leg[column] = value
        elif known != value:
            leg[_CLASH] |= MOVED
            leg[column] = max(known, value)


def _fold_occurrence(occurrence: list[Any], fact: Fact) -> None:
    kind, data = fact.type, fact.data
    for column, name in ((0, "session"), (1, "account")):
        known, value = occurrence[column], data.get(name)
        if None not in (known, value) and known != value:
            occurrence[8] |= MOVED
        occurrence[column] = _larger(known, value)
    occurrence[2] = _larger(occurrence[2], data.get("charge_code"))
    if kind == ORGANIZER:
        occurrence[3] = 1
    elif kind == STARTED:
        occurrence[4] = _smaller(occurrence[4], fact.time_ms)
    elif kind in (ENDED, CANCELLED):
        occurrence[5] = _smaller(occurrence[5], fact.time_ms)
    occurrence[6] += 1
    occurrence[7] = max(occurrence[7], fact.n)


def _larger(known: str | None, value: str | None) -> str | None:
    if known is None or (value is not None and value > known):
        return value
    return known


def _smaller(known: Any, value: Any) -> Any:
    return value if known is None or value < known else known


def clash_text(clash: int) -> str:
    """Say what contradicts.

    >>> clash_text(ANSWERED_TWICE | LEFT_TWICE)
    'answered twice; left twice'
    """
    return "; ".join(text for bit, text in CLASHES.items() if clash & bit)
